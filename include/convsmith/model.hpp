// Whole Keras models:
//
//   auto model = convsmith::load_model("denoiser.keras");
//   if (!model) { std::puts(model.error().message.c_str()); return 1; }
//   auto compiled = convsmith::compile(*model);
//   if (!compiled) { std::puts(compiled.error().message.c_str()); return 1; }
//   compiled->run(input, output, batch, steps);      // any batch, any number of steps
//
// Layers, batch normalisations, activations and residual additions become few passes over memory, all
// compiled; everything between input and output lives in one workspace. Results do not depend on back end,
// instruction set or number of threads. A Model and a CompiledModel are immutable values that threads may
// share.
#pragma once

#include "convsmith/language.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "convsmith/convsmith.hpp"
#include "convsmith/export.h"

namespace convsmith {

// One row of the table that Keras's summary() prints.
struct LayerSummary {
  std::string name;
  std::string class_name;
  Shape output_shape;        // with the batch axis; steps are numbers where the file declares the input's
  int64_t parameters = 0;    // trained or not
  double macs_per_step = 0;  // multiply-adds for one step of the model's first input, of a long one
  std::vector<std::string> inputs;             // names of the layers before it
  std::optional<double> macs_per_sample = {};  // where the file declares how many steps all inputs have
};

// A model as its file says it: layers, graph and weights.
class CONVSMITH_API Model {
 public:
  explicit Model(std::shared_ptr<const struct ModelSpec> spec) : spec_(std::move(spec)) {}
  const std::string& name() const;
  // In the order in which a run takes and gives them: the keys, where the model was made with dictionaries,
  // else the layers' names. No two are alike ("conv1d", "conv1d_1").
  std::vector<std::string> input_names() const;
  std::vector<std::string> output_names() const;
  // Errors of shapes name the layer.
  Result<std::vector<LayerSummary>> summary() const;
  const ModelSpec& spec() const { return *spec_; }

 private:
  std::shared_ptr<const ModelSpec> spec_;
};

struct ModelFile {
  std::string path;          // .keras, .h5 or .json
  std::string weights = {};  // for .json, or instead of the file's own
  Rules rules = Rules::kCommon;
};
// Errors: kUnavailable in a build without CONVSMITH_MODELS, kIo, kInvalidData, kUnsupported (names all layers
// that are not supported). What was ignored or converted goes to the verbose channel.
CONVSMITH_API Result<Model> load_model(const ModelFile& file);
// The same for a path alone. A template, so that load_model({...}) is always a ModelFile.
template <class Path, class = std::enable_if_t<std::is_convertible_v<const Path&, std::string>>>
Result<Model> load_model(const Path& path) {
  return load_model(ModelFile{.path = path});
}

struct ModelOptions {
  Backend backend = Backend::kAuto;
  Isa isa = Isa::kAuto;
  Rules rules = Rules::kCommon;
  std::string tuning = {};  // as that of CompileOptions
  // Which passes run together, a chunk of steps at a time, in place of what is chosen (docs/graph.md):
  // "group 3..4 chunk 512". Empty: chosen.
  std::string schedule = {};
};

class CONVSMITH_API CompiledModel {
 public:
  size_t input_count() const;
  size_t output_count() const;
  // As those of Model.
  const std::vector<std::string>& input_names() const;
  const std::vector<std::string>& output_names() const;
  // As the file has it, without the batch axis. Steps that are None or a number alike may be any number,
  // unless fixed_steps says otherwise.
  std::vector<Shape> input_shapes() const;
  // The same of the outputs; an axis that depends on the inputs' steps is unknown.
  std::vector<Shape> output_shapes() const;
  // By input: the only number of steps that a layer behind it (Flatten and the like) allows, if there is one.
  std::vector<std::optional<int64_t>> fixed_steps() const;
  // With the batch axis, for inputs with these numbers of steps (1 for an input without a steps axis); empty
  // for another number of inputs.
  std::vector<std::vector<int64_t>> output_shapes(int64_t batch, std::span<const int64_t> steps) const;

  // Arrays as Keras has them, dense; outputs must not overlap inputs or each other. `steps` by input. On one
  // thread: no allocation (with a workspace of the caller's, or after the thread's first call of that size),
  // no lock, no system call.
  RunStatus run(std::span<const float* const> inputs, std::span<float* const> outputs, int64_t batch,
                std::span<const int64_t> steps, const RunOptions& options = {}) const noexcept;
  // The same for one input and one output.
  RunStatus run(const float* input, float* output, int64_t batch, int64_t steps,
                const RunOptions& options = {}) const noexcept;
  // Whether run takes a call of these sizes. An error names the layer that does not: because it fixes the
  // number of steps, because too few arrive there, or because tensors that it combines do not meet; and the
  // nearest numbers of input steps that fit, or the batches where the batch axis of a tensor meets steps.
  Result<void> check(int64_t batch, std::span<const int64_t> steps) const;
  // Bytes of memory that a run uses beside its arrays and weights; 0 for sizes that it refuses.
  size_t workspace_bytes(int64_t batch, std::span<const int64_t> steps, int threads = 1) const;

  Backend backend() const;
  Isa isa() const;
  size_t code_bytes() const;
  // How often a run goes over its tensors: the number of compiled passes.
  int passes() const;
  // The passes, and what was folded and fused, or why not, as text for people.
  std::string plan() const;

 private:
  friend Result<CompiledModel> compile(const Model& model, const ModelOptions& options);
  explicit CompiledModel(std::shared_ptr<const struct ModelData> data) : data_(std::move(data)) {}
  std::shared_ptr<const ModelData> data_;
};

// Errors of shapes and weights name the layer.
CONVSMITH_API Result<CompiledModel> compile(const Model& model, const ModelOptions& options = {});

}  // namespace convsmith
