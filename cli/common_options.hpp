// The options that mean the same on every subcommand, and the reading of SPEC. Used by each add_*.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <variant>

#include "codegen/vir.hpp"
#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/options.hpp"
#include "frontend/make_problem.hpp"
#include "frontend/parse_layer.hpp"
#include "frontend/problem.hpp"
#include "ir/nest.hpp"

namespace convsmith::cli {

struct CommonOptions {
  std::string spec;  // as typed: call text, JSON text, or a path to a .json, .nest or .vir file
  Rules rules = Rules::kCommon;
  Backend backend = Backend::kAuto;
  Isa isa = Isa::kAuto;
  std::string schedule;  // empty: the chosen one
  Shape input_shape;     // without the batch axis; empty: not given
  int threads = 0;       // 0: not given; see thread_count
  uint64_t seed = 0;
  bool json = false;
};

// Adds SPEC as the positional argument.
void add_spec(CLI::App& command, CommonOptions& options, bool required);
// Adds --rules --backend --isa --schedule --input-shape --threads --seed --json.
void add_common_options(CLI::App& command, CommonOptions& options);

// What SPEC is: a layer with the notes of its parser, a scheduled nest, or a vir program.
using LoadedSpec = std::variant<ParsedLayer, ir::LoopNest, vir::Program>;

// Reads options.spec. Notes are printed to stderr ("note: ..."). Files beyond 1 MiB are refused.
Result<LoadedSpec> load_spec(const CommonOptions& options);

// The problem for --input-shape where given, else for the spec's own input_shape; without either an error
// that says how to give one.
Result<Problem> problem_for(const LayerSpec& spec, const CommonOptions& options);
// The same for layers of several passes.
Result<LayerProblem> layer_problem_for(const LayerSpec& spec, const CommonOptions& options);

// Whether SPEC names a whole Keras model: .keras, .h5 or .hdf5.
bool is_model_file(const std::string& spec);

// --threads, else CONVSMITH_NUM_THREADS, else 1.
int thread_count(const CommonOptions& options);

// "error: <message>" to stderr; returns the exit code: kFailure where the host, the build or a disk refused
// (kUnavailable, kIo), kUsage otherwise.
int report(const Error& error);
// "note: <sentence>" to stderr.
void print_note(const std::string& sentence);

}  // namespace convsmith::cli
