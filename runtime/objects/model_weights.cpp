// Weights of models that come without: what Keras gives a fresh model.
#include <fmt/format.h>

#include "frontend/base/check.hpp"
#include "runtime/model.hpp"
#include "runtime/objects/initialize_weights.hpp"

namespace convsmith {

namespace {

bool needs_weights(const LayerOp& op) {
  return std::holds_alternative<LayerSpec>(op) || std::holds_alternative<BatchNormOp>(op) ||
         std::holds_alternative<PreluOp>(op);
}

std::vector<Tensor> fresh_norm(const BatchNormOp& op, int64_t channels) {
  const auto all = [&](float value) {
    return Tensor{{channels}, std::vector<float>(static_cast<size_t>(channels), value)};
  };
  std::vector<Tensor> weights;
  if (op.scale) weights.push_back(all(1));
  if (op.center) weights.push_back(all(0));
  weights.push_back(all(0));  // moving_mean
  weights.push_back(all(1));  // moving_variance
  return weights;
}

}  // namespace

int64_t channels_into(const LayerOp& op, const std::vector<ir::Axis>& in) {
  if (const auto* norm = std::get_if<BatchNormOp>(&op)) {
    const auto rank = static_cast<int64_t>(in.size());
    return in[static_cast<size_t>(norm->axis < 0 ? norm->axis + rank : norm->axis - 1)].size;
  }
  const auto* spec = std::get_if<LayerSpec>(&op);
  CONVSMITH_CHECK(spec != nullptr, "only these layers have a size for their input's channels");
  const bool first = spec->kind != LayerKind::kDense && spec->data_format == DataFormat::kChannelsFirst;
  return (first ? in.front() : in.back()).size;
}

const ModelLayer* find_layer_without_weights(const ModelSpec& model) {
  for (const ModelLayer& layer : model.layers)
    if (layer.weights.empty() && needs_weights(layer.op)) return &layer;
  return nullptr;
}

Result<ir::Graph> node_graph(const ModelSpec& model, Rules rules) {
  ModelSpec open = model;
  open.outputs.clear();
  for (size_t n = 0; n < model.nodes.size(); ++n) open.outputs.push_back(static_cast<int>(n));
  return ir::build_graph(open, rules);
}

Result<void> draw_weights(ModelSpec& model, Rules rules, uint64_t seed) {
  const Result<ir::Graph> graph = node_graph(model, rules);
  if (!graph) return tl::unexpected(graph.error());
  for (const ModelNode& node : model.nodes) {
    ModelLayer& layer = model.layers[static_cast<size_t>(node.layer)];
    if (node.inputs.empty() || !layer.weights.empty()) continue;
    const std::vector<ir::Axis>& in = graph->output_shapes[static_cast<size_t>(node.inputs[0])];
    if (const auto* norm = std::get_if<BatchNormOp>(&layer.op))
      layer.weights = fresh_norm(*norm, channels_into(layer.op, in));
    const auto* spec = std::get_if<LayerSpec>(&layer.op);
    if (spec == nullptr) continue;
    const auto number = static_cast<uint64_t>(node.layer);
    auto drawn = initialize_weights(*spec, channels_into(layer.op, in), seed + number);
    if (!drawn) {
      return make_error(drawn.error().code, fmt::format("Layer {}: {}", layer.name, drawn.error().message));
    }
    layer.weights = std::move(*drawn);
  }
  return {};
}

}  // namespace convsmith
