// Reads whole Keras models: .keras, .h5 and JSON files of Keras 1 to 3. The front door of frontend/models;
// called by runtime and the command line.
//
// A file's kind is decided by its first bytes, not by its name. Nothing but the named files is opened,
// whatever they say, and damaged or hostile files give an error in bounded time and memory. HDF5 files are
// read by another program (h5_tree.hpp says why).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith {

struct LoadOptions {
  Rules rules = Rules::kCommon;
  // Where weights come from for an architecture in JSON, or instead of the file's own: .weights.h5, weights
  // only .h5, or a whole model in .h5 or .keras. Without it the layers of a JSON file have no weights, not
  // even empty ones.
  std::string weights_path = {};
  // Read what can be read of a model with layers that are not supported, without weights, to look at it.
  bool partial = false;
};

// A layer that is not in the spec of a partial model: it is not supported, or it is called with what such a
// layer gives.
struct SkippedLayer {
  std::string name;  // as those of ModelLayer
  std::string kind;
  std::vector<std::string> inputs;  // names of the layers before it
  bool is_supported = false;
};

struct LoadedModel {
  ModelSpec spec;
  std::vector<std::string> notes;          // whole sentences: what was ignored, converted or decided
  std::vector<SkippedLayer> skipped = {};  // of a partial model, in the order of calls
  std::string missing = {};                // what the error would be; empty: all is supported
};

// kUnavailable in a build without CONVSMITH_MODELS, and for HDF5 where the program that reads it is missing.
Result<LoadedModel> load_model(const std::string& path, const LoadOptions& options = {});

// kUnavailable, with what is missing, where not all of these files can be read.
Result<void> check_model_files();

// The architecture alone, from the text that to_json gives; layers have no weights.
Result<LoadedModel> parse_model_json(std::string_view text, Rules rules = Rules::kCommon);

// The same for a file that is in memory; `name` is what errors call it. For tests and fuzzing.
Result<LoadedModel> load_model_bytes(std::string_view bytes, const std::string& name,
                                     const LoadOptions& options = {});

}  // namespace convsmith
