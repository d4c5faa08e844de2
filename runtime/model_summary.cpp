// Model::summary: the table that Keras's summary() prints, with the work of each layer.
#include <algorithm>
#include <optional>

#include "frontend/keras/weight_shapes.hpp"
#include "ir/graph/graph_work.hpp"
#include "runtime/model.hpp"

namespace convsmith {

namespace {

// The sizes of one node's output for a call with some number of steps.
std::vector<double> sizes_of(const std::vector<ir::Axis>& axes, std::span<const int64_t> extents) {
  std::vector<double> sizes;
  for (const ir::Axis& axis : axes) {
    const int64_t factor = axis.extent < 0 ? 1 : extents[static_cast<size_t>(axis.extent)];
    sizes.push_back(static_cast<double>(axis.size) * static_cast<double>(factor));
  }
  return sizes;
}

// Multiply-adds of one sample.
double count_macs(const LayerSpec& spec, const std::vector<double>& in, const std::vector<double>& out) {
  const auto taps = static_cast<double>(spec.kernel_size);
  const auto filters = static_cast<double>(spec.filters);
  if (spec.kind == LayerKind::kDense) {
    double macs = filters;
    for (const double size : in) macs *= size;
    return macs;
  }
  const bool last = spec.data_format == DataFormat::kChannelsLast;
  const double channels = in[last ? 1 : 0];
  const double steps = out[last ? 0 : 1];
  const double depthwise = taps * channels * static_cast<double>(spec.depth_multiplier);
  switch (spec.kind) {
    case LayerKind::kConv1DTranspose:
      return in[last ? 0 : 1] * taps * channels * filters;
    case LayerKind::kDepthwiseConv1D:
      return steps * depthwise;
    case LayerKind::kSeparableConv1D:
      return steps * (depthwise + channels * static_cast<double>(spec.depth_multiplier) * filters);
    default:
      return steps * taps * channels / static_cast<double>(spec.groups) * filters;
  }
}

int64_t size_of(const std::vector<int64_t>& shape) {
  int64_t size = 1;
  for (const int64_t axis : shape) size *= axis;
  return size;
}

// Of a layer whose input has these axes; of a layer without weights what it will have.
int64_t count_parameters(const ModelLayer& layer, const std::vector<ir::Axis>& in) {
  int64_t count = 0;
  for (const Tensor& weight : layer.weights) count += static_cast<int64_t>(weight.data.size());
  // Keras counts the samples that a Normalization has seen among them; files are read without.
  if (std::holds_alternative<NormalizationOp>(layer.op) && count > 0) return count + 1;
  if (!layer.weights.empty()) return count;
  if (const auto* norm = std::get_if<BatchNormOp>(&layer.op)) {
    return (2 + (norm->center ? 1 : 0) + (norm->scale ? 1 : 0)) * channels_into(layer.op, in);
  }
  const auto* spec = std::get_if<LayerSpec>(&layer.op);
  if (spec == nullptr) return 0;
  for (const WeightShape& weight : weight_shapes(*spec, channels_into(layer.op, in)))
    count += size_of(weight.shape);
  return count;
}

class Counter {
 public:
  explicit Counter(const ir::Graph& graph) : graph_(graph) {
    pinned_ = !graph.pinned_steps.empty() && graph.pinned_steps[0].has_value();
    far_ = extents_for(2 * ir::kLongInput);
    near_ = extents_for(ir::kLongInput);
  }

  const std::vector<ir::Axis>& axes(int node) const {
    return graph_.output_shapes[static_cast<size_t>(node)];
  }

  // What one more step costs; where the number of steps is fixed, the mean.
  double macs_per_step(const LayerSpec& spec, int in, int out) const {
    const auto macs = [&](const std::vector<int64_t>& extents) {
      return count_macs(spec, sizes_of(axes(in), extents), sizes_of(axes(out), extents));
    };
    if (pinned_) return macs(far_) / static_cast<double>(*graph_.pinned_steps[0]);
    return (macs(far_) - macs(near_)) / static_cast<double>(ir::kLongInput);
  }

  double macs_of_sample(const LayerSpec& spec, int in, int out, const std::vector<int64_t>& steps) const {
    const std::vector<int64_t> extents = ir::evaluate_extents(graph_, steps);
    return count_macs(spec, sizes_of(axes(in), extents), sizes_of(axes(out), extents));
  }

 private:
  std::vector<int64_t> extents_for(int64_t steps) const {
    std::vector<int64_t> by_input;
    for (const std::optional<int64_t>& fixed : graph_.pinned_steps) by_input.push_back(fixed.value_or(steps));
    return ir::evaluate_extents(graph_, by_input);
  }

  const ir::Graph& graph_;
  bool pinned_ = false;
  std::vector<int64_t> near_;
  std::vector<int64_t> far_;
};

// By input: the steps that the file declares, if it does.
std::vector<std::optional<int64_t>> declared_steps(const ModelSpec& model, const ir::Graph& graph) {
  std::vector<std::optional<int64_t>> all;
  for (size_t i = 0; i < model.inputs.size(); ++i) {
    const ModelNode& node = model.nodes[static_cast<size_t>(model.inputs[i])];
    const Shape& shape = std::get<InputOp>(model.layers[static_cast<size_t>(node.layer)].op).shape;
    const std::vector<ir::Axis>& axes = graph.input_shapes[i];
    all.emplace_back();
    for (size_t axis = 0; axis < axes.size(); ++axis)
      if (axes[axis].extent >= 0) all.back() = shape[axis];
  }
  return all;
}

// The steps of all inputs, where the file declares them; 1 of an input without such an axis.
std::optional<std::vector<int64_t>> sample_steps(const ModelSpec& model, const ir::Graph& graph) {
  const std::vector<std::optional<int64_t>> declared = declared_steps(model, graph);
  std::vector<int64_t> steps;
  for (size_t i = 0; i < declared.size(); ++i) {
    const std::vector<ir::Axis>& axes = graph.input_shapes[i];
    const bool has_steps = std::any_of(axes.begin(), axes.end(), [](const auto& a) { return a.extent >= 0; });
    if (has_steps && !declared[i]) return std::nullopt;
    steps.push_back(declared[i].value_or(1));
  }
  return steps;
}

// Shapes as Keras shows them: with numbers where the input that the steps come from declares its own.
class ShapeTable {
 public:
  ShapeTable(const ModelSpec& model, const ir::Graph& graph) : graph_(graph) {
    const std::vector<std::optional<int64_t>> declared = declared_steps(model, graph);
    std::vector<int64_t> steps;
    for (const std::optional<int64_t>& number : declared) steps.push_back(number.value_or(0));
    extents_ = ir::evaluate_extents(graph, steps);
    for (const ir::Extent& extent : graph.extents) {
      using Kind = ir::Extent::Kind;
      is_known_.push_back(extent.kind == Kind::kFixed ? true
                          : extent.kind == Kind::kInput
                              ? declared[static_cast<size_t>(extent.value)].has_value()
                              : is_known_[static_cast<size_t>(extent.from)]);
    }
  }

  // Of a node's value, with the batch axis.
  Shape of(size_t node) const {
    Shape shape{std::nullopt};
    for (const ir::Axis& axis : graph_.output_shapes[node]) {
      const auto extent = static_cast<size_t>(axis.extent);
      const bool is_open = axis.extent >= 0 && !is_known_[extent];
      const int64_t factor = axis.extent < 0 || is_open ? 1 : extents_[extent];
      shape.push_back(is_open ? std::nullopt : std::optional(axis.size * factor));
    }
    return shape;
  }

 private:
  const ir::Graph& graph_;
  std::vector<int64_t> extents_;
  std::vector<bool> is_known_;  // by extent
};

}  // namespace

Result<std::vector<LayerSummary>> Model::summary() const {
  const Result<ir::Graph> graph = node_graph(*spec_, Rules::kAny);
  if (!graph) return tl::unexpected(graph.error());
  const Counter counter(*graph);
  const ShapeTable shapes(*spec_, *graph);
  const std::optional<std::vector<int64_t>> steps = sample_steps(*spec_, *graph);
  std::vector<LayerSummary> rows;
  std::vector<int> row_of_layer(spec_->layers.size(), -1);
  for (size_t n = 0; n < spec_->nodes.size(); ++n) {
    const ModelNode& node = spec_->nodes[n];
    const ModelLayer& layer = spec_->layers[static_cast<size_t>(node.layer)];
    int& row = row_of_layer[static_cast<size_t>(node.layer)];
    const int in = node.inputs.empty() ? static_cast<int>(n) : node.inputs[0];
    if (row < 0) {
      row = static_cast<int>(rows.size());
      rows.push_back({.name = layer.name,
                      .class_name = layer.class_name,
                      .output_shape = shapes.of(n),
                      .parameters = count_parameters(layer, counter.axes(in)),
                      .inputs = {},
                      .macs_per_sample = steps ? std::optional(0.0) : std::nullopt});
    }
    LayerSummary& summary = rows[static_cast<size_t>(row)];
    for (const int input : node.inputs) {
      const int before = spec_->nodes[static_cast<size_t>(input)].layer;
      summary.inputs.push_back(spec_->layers[static_cast<size_t>(before)].name);
    }
    const auto* spec = std::get_if<LayerSpec>(&layer.op);
    if (spec == nullptr) continue;
    summary.macs_per_step += counter.macs_per_step(*spec, in, static_cast<int>(n));
    if (steps) *summary.macs_per_sample += counter.macs_of_sample(*spec, in, static_cast<int>(n), *steps);
  }
  return rows;
}

}  // namespace convsmith
