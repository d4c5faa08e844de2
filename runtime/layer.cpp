#include <fmt/format.h>

#include <array>

#include "frontend/keras/make_problem.hpp"
#include "runtime/layer_data.hpp"
#include "runtime/shared.hpp"

namespace convsmith {

// The types that a program copies, moves and ends without their definitions.
template class Shared<const PackedGraph>;
template class Shared<const LayerData>;

Result<PackedWeights> CompiledLayer::pack(std::span<const std::span<const float>> weights) const {
  const std::vector<WeightShape>& shapes = data_->weights;
  if (weights.size() != shapes.size()) {
    return make_error(ErrorCode::kInvalidData, fmt::format("The layer has {} arrays of weights, got {}.",
                                                           shapes.size(), weights.size()));
  }
  for (size_t i = 0; i < shapes.size(); ++i) {
    int64_t wanted = 1;
    for (const int64_t size : shapes[i].shape) wanted *= size;
    if (static_cast<int64_t>(weights[i].size()) == wanted) continue;
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("{} has {} values; shape ({}) needs {}.", shapes[i].name, weights[i].size(),
                                  fmt::join(shapes[i].shape, ", "), wanted));
  }
  PackedWeights packed;
  packed.data_ = Shared<const PackedGraph>(pack_graph(data_->graph, weights));
  return packed;
}

Result<PackedWeights> CompiledLayer::pack(std::span<const float> kernel, std::span<const float> bias) const {
  const std::array<std::span<const float>, 2> arrays = {kernel, bias};
  const bool has_bias = data_->weights.back().name == "bias";
  if (!has_bias && !bias.empty()) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("bias has {} values; this layer has use_bias=False.", bias.size()));
  }
  return pack(std::span(arrays).first(has_bias ? 2 : 1));
}

RunStatus CompiledLayer::run(const PackedWeights& weights, const float* input, float* output, int64_t batch,
                             int64_t steps, const RunOptions& options) const noexcept {
  if (weights.data_.get() == nullptr) return RunStatus::kNullPointer;
  if (!weights_fit(*data_->graph, *weights.data_)) return RunStatus::kWrongWeights;
  return run_graph(*data_->graph, *weights.data_, {&input, 1}, {&output, 1}, batch, {&steps, 1}, options);
}

int64_t CompiledLayer::output_steps(int64_t steps) const {
  return ir::evaluate_extents(data_->graph->graph, {&steps, 1})
      .at(static_cast<size_t>(
          data_->graph->graph.tensors[static_cast<size_t>(data_->graph->graph.outputs[0])].steps));
}
int64_t CompiledLayer::channels() const {
  const ir::Graph& graph = data_->graph->graph;
  return graph.tensors[static_cast<size_t>(graph.inputs[0])].channels;
}
int64_t CompiledLayer::filters() const {
  const ir::Graph& graph = data_->graph->graph;
  return graph.tensors[static_cast<size_t>(graph.outputs[0])].channels;
}
const std::vector<WeightShape>& CompiledLayer::weight_shapes() const {
  return data_->weights;
}
Result<Shape> CompiledLayer::output_shape(const Shape& input_shape) const {
  return convsmith::output_shape(data_->problem, input_shape);
}
size_t CompiledLayer::workspace_bytes(int64_t batch, int64_t steps, int threads) const {
  return convsmith::workspace_bytes(*data_->graph, batch, {&steps, 1}, threads);
}
const LayerSpec& CompiledLayer::spec() const {
  return data_->spec;
}
Backend CompiledLayer::backend() const {
  return data_->graph->backend;
}
Isa CompiledLayer::isa() const {
  return data_->graph->isa;
}
size_t CompiledLayer::code_bytes() const {
  return data_->graph->code_bytes;
}

}  // namespace convsmith
