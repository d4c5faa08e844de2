// The reading of SPEC: what it is, and the problem that follows. Used by each command that takes one.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "cli/verify/nest_file.hpp"
#include "codegen/vir/text.hpp"
#include "convsmith/error.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/model_spec.hpp"
#include "frontend/problem.hpp"
#include "ir/nest/nest.hpp"

namespace convsmith::cli {

struct CommonOptions;

// A whole model. Without a file of weights its layers may have none.
struct LoadedModelSpec {
  std::shared_ptr<const ModelSpec> spec;
  std::vector<std::string> notes;
};

using VirFile = std::vector<vir::Listing>;

// A layer with the notes of its parser, nests, vector programs, a model.
using Subject = std::variant<ParsedLayer, NestFile, VirFile, LoadedModelSpec>;

// Reads options.spec: text as it was typed, or a file, whose first bytes say what it is (but for .nest and
// .vir). `weights` is only for models: a file that has theirs. Notes are printed to stderr ("note: ..."),
// and errors name the file. Texts beyond 1 MiB are refused, but for models.
Result<Subject> load_subject(const CommonOptions& options, const std::string& weights = {});
// The same for what has no use for weights but a model's: elsewhere they are refused.
Result<Subject> load_subject_with_model_weights(const CommonOptions& options, const std::string& weights);

// Errors of what a file holds do not know the file: in front of the sentence, unless it is there.
Error in_file(const std::string& path, const Error& error);

// For --input-shape where given, else for the spec's own input_shape; without either an error that says how
// to give one.
Result<LayerProblem> layer_problem_for(const LayerSpec& spec, const CommonOptions& options);
// The same for layers that are one problem.
Result<Problem> problem_for(const LayerSpec& spec, const CommonOptions& options);

// "aa, zz": what a model calls its inputs, where it has several; else empty.
std::string several_inputs(const ModelSpec& model);

}  // namespace convsmith::cli
