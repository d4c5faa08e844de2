#include "ir/graph/build_graph.hpp"

#include "frontend/base/check.hpp"
#include "frontend/keras/layer_class.hpp"
#include "ir/graph/build_graph_layers.hpp"
#include "ir/graph/turn.hpp"

namespace convsmith::ir {
namespace {

// The data format that an operation asks for, if its kind has one and it is not channels last by nature.
std::optional<DataFormat> format_of(const LayerOp& op) {
  if (const auto* spec = std::get_if<LayerSpec>(&op)) {
    if (spec->kind == LayerKind::kDense) return DataFormat::kChannelsLast;
    return spec->data_format;
  }
  if (const auto* pool = std::get_if<PoolOp>(&op)) return pool->data_format;
  if (const auto* pool = std::get_if<GlobalPoolOp>(&op)) return pool->data_format;
  if (const auto* padding = std::get_if<ZeroPaddingOp>(&op)) return padding->data_format;
  if (const auto* flatten = std::get_if<FlattenOp>(&op)) return flatten->data_format;
  return {};
}

bool keeps_axes(const LayerOp& op) {
  return std::holds_alternative<ActivationOp>(op) || std::holds_alternative<PreluOp>(op) ||
         std::holds_alternative<BatchNormOp>(op) || std::holds_alternative<MergeOp>(op) ||
         std::holds_alternative<ConcatenateOp>(op) || std::holds_alternative<IdentityOp>(op) ||
         std::holds_alternative<AffineOp>(op) || std::holds_alternative<NormalizationOp>(op) ||
         std::holds_alternative<LimitOp>(op);
}

// By node: for an input with two declared axes, what the first layer behind it says about their order.
std::vector<std::optional<DataFormat>> find_input_formats(const ModelSpec& model) {
  std::vector<std::optional<DataFormat>> formats(model.nodes.size());
  std::vector<int> origin(model.nodes.size(), -1);
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    const ModelNode& node = model.nodes[i];
    const LayerOp& op = model.layers[static_cast<size_t>(node.layer)].op;
    if (std::holds_alternative<InputOp>(op)) {
      origin[i] = static_cast<int>(i);
      continue;
    }
    for (const int input : node.inputs) {
      const int from = origin[static_cast<size_t>(input)];
      if (from < 0) continue;
      if (keeps_axes(op)) origin[i] = from;
      const std::optional<DataFormat> format = format_of(op);
      if (format && !formats[static_cast<size_t>(from)]) formats[static_cast<size_t>(from)] = format;
    }
  }
  return formats;
}

// Which axis of an input may differ from call to call.
int find_steps_axis(const Shape& shape, std::optional<DataFormat> format) {
  if (shape.size() < 2) return -1;
  if (shape.size() > 2) return 0;
  if (!shape[0]) return 0;
  return !shape[1] || format == DataFormat::kChannelsFirst ? 1 : 0;
}

Result<Value> add_node(const LayerCall& call) {
  return std::visit(
      [&](const auto& op) -> Result<Value> {
        using Op = std::decay_t<decltype(op)>;
        if constexpr (std::is_same_v<Op, IdentityOp>) {
          return call.in();
        } else if constexpr (std::is_same_v<Op, InputOp>) {
          return call.builder.refuse("An input cannot stand behind other layers.");
        } else {
          return add_layer(call, op);
        }
      },
      call.layer.op);
}

}  // namespace

Result<Graph> build_graph(const ModelSpec& model, Rules rules) {
  GraphBuilder builder(model.name);
  const std::vector<std::optional<DataFormat>> formats = find_input_formats(model);
  std::vector<Value> values(model.nodes.size());
  const auto enter = [&](const ModelNode& node) -> const ModelLayer& {
    const ModelLayer& layer = model.layers[static_cast<size_t>(node.layer)];
    builder.enter(layer.name, layer.class_name);
    return layer;
  };
  for (const int number : model.inputs) {
    const auto index = static_cast<size_t>(number);
    const ModelLayer& layer = enter(model.nodes[index]);
    CONVSMITH_CHECK(std::holds_alternative<InputOp>(layer.op), "an input is a node of an InputOp layer");
    const Shape& shape = std::get<InputOp>(layer.op).shape;
    Result<Value> value = builder.add_input(shape, find_steps_axis(shape, formats[index]));
    if (!value) return tl::unexpected(value.error());
    values[index] = *value;
  }
  std::vector<LayerArrays> arrays(model.layers.size());
  std::vector<Value> inputs;
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    if (values[i].tensor >= 0) continue;
    const ModelNode& node = model.nodes[i];
    const ModelLayer& layer = enter(node);
    inputs.clear();
    for (const int input : node.inputs) inputs.push_back(values[static_cast<size_t>(input)]);
    if (inputs.empty()) return builder.refuse("The layer has no input and is none of the model's inputs.");
    Result<Value> value = add_node({builder, layer, arrays[static_cast<size_t>(node.layer)], inputs, rules});
    if (!value) return tl::unexpected(value.error());
    values[i] = std::move(*value);
  }
  std::vector<Value> outputs;
  for (const int output : model.outputs) outputs.push_back(values[static_cast<size_t>(output)]);
  Result<Graph> graph = builder.finish(std::move(outputs));
  if (!graph) return graph;
  graph->input_names = input_names(model);
  graph->output_names = output_names(model);
  return turn(std::move(*graph));
}

Result<Graph> build_graph(const LayerSpec& layer, int64_t channels, Rules rules) {
  Shape shape{std::nullopt, channels};
  if (layer.data_format == DataFormat::kChannelsFirst) std::swap(shape[0], shape[1]);
  ModelSpec model;
  const std::string class_name(class_name_of(layer.kind));
  const std::string name = layer.name.empty() ? std::string(default_name_of(layer.kind)) : layer.name;
  model.name = name;
  model.layers = {{"input", "InputLayer", InputOp{shape}, {}}, {name, class_name, layer, {}}};
  model.nodes = {{0, {}}, {1, {0}}};
  model.inputs = {0};
  model.outputs = {1};
  return build_graph(model, rules);
}

}  // namespace convsmith::ir
