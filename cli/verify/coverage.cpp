#include "cli/verify/coverage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "codegen/programs/vmath.hpp"
#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/layer_class.hpp"
#include "ir/nest/parts.hpp"

namespace convsmith::cli {

namespace {

constexpr std::string_view kBackEnd = "back end";
constexpr std::string_view kBlock = "block";
constexpr std::string_view kOperation = "operation";

struct Name {
  std::string_view group;
  std::string_view name;
};
constexpr Name kNames[] = {
    {"kind", "Conv1D"},
    {"kind", "Conv1DTranspose"},
    {"kind", "DepthwiseConv1D"},
    {"kind", "SeparableConv1D"},
    {"kind", "Dense"},
    {"padding", "valid"},
    {"padding", "same"},
    {"padding", "causal"},
    {"padding", "explicit"},
    {"layout", "channels_last"},
    {"layout", "channels_first"},
    {"layer", "with bias"},
    {"layer", "without bias"},
    {"layer", "one group"},
    {"layer", "groups"},
    {"layer", "depthwise"},
    {"layer", "depthwise with multiplier"},
    {"layer", "stride 1"},
    {"layer", "stride above 1"},
    {"layer", "dilation above 1"},
    {"layer", "stride and dilation above 1"},
    {"layer", "one tap"},
    {"layer", "output padding"},
    {"layer", "no output padding"},
    {"passes", "one"},
    {"passes", "two"},
    {"passes", "three or more"},
    {"passes", "chunk by chunk"},
    {"phases", "merged"},
    {"phases", "edge of merged"},
    {"phases", "single"},
    {"phases", "no taps"},
    {"model", "batch norm folded"},
    {"model", "batch norm kept"},
    {"model", "fused passes"},
    {"model", "fixed steps"},
    {"model", "open steps"},
    {"model", "slices"},
    {"model", "several inputs"},
    {"model", "several outputs"},
    {"model", "shared layer"},
    {"call", "no samples"},
    {"call", "no steps"},
    {"call", "no output"},
    {"call", "one output step"},
    {"call", "one sample"},
    {"call", "several samples"},
    {"data", "integers"},
    {"data", "floats"},
    {"data", "special"},
    {"data", "huge"},
    {"data", "tiny"},
    {"denormals", "keep"},
    {"denormals", "flush"},
    {"activation runs on", "accumulators"},
    {"activation runs on", "stored tile"},
};

// What random models are made of beside layers, by the class that Keras has for it.
constexpr const char* kModelLayers[] = {"Conv1D",
                                        "Conv1DTranspose",
                                        "DepthwiseConv1D",
                                        "SeparableConv1D",
                                        "Dense",
                                        "Activation",
                                        "PReLU",
                                        "BatchNormalization",
                                        "MaxPooling1D",
                                        "AveragePooling1D",
                                        "GlobalMaxPooling1D",
                                        "GlobalAveragePooling1D",
                                        "ZeroPadding1D",
                                        "Cropping1D",
                                        "UpSampling1D",
                                        "Flatten",
                                        "Reshape",
                                        "Permute",
                                        "Add",
                                        "Subtract",
                                        "Multiply",
                                        "Average",
                                        "Maximum",
                                        "Minimum",
                                        "Concatenate",
                                        "Dropout"};

std::string_view padding_name(Padding padding) {
  switch (padding) {
    case Padding::kValid:
      return "valid";
    case Padding::kSame:
      return "same";
    case Padding::kCausal:
      return "causal";
    default:
      return "explicit";
  }
}

// The name alone, parameters left out: "relu", "gelu tanh".
std::string activation_name(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kGeluTanh:
      return "gelu tanh";
    case ActivationKind::kHardSigmoidKeras2:
      return "hard_sigmoid (Keras 2)";
    case ActivationKind::kHardSigmoidKeras3:
      return "hard_sigmoid (Keras 3)";
    case ActivationKind::kRelu:
      return "relu";
    default:
      break;
  }
  if (!is_elementwise(kind)) return std::string(keras_name_of(kind));
  std::string text = activation_text({kind, {}}, Dialect::kCall);
  const size_t call = text.find("activations.");
  if (call != std::string::npos) text = text.substr(call + 12, text.find('(', call) - call - 12);
  std::erase(text, '\'');
  return text;
}

}  // namespace

Coverage::Coverage() {
  for (const Name& name : kNames) rows_.push_back({std::string(name.group), std::string(name.name), 0});
  for (int kind = 0; kind <= static_cast<int>(ActivationKind::kGlu); ++kind) {
    rows_.push_back({"activation", activation_name(static_cast<ActivationKind>(kind)), 0});
  }
  for (const char* name : kModelLayers) rows_.push_back({"model layer", name, 0});
  seen_.assign(rows_.size(), false);
}

void Coverage::hit(std::string_view group, std::string_view name, bool ran) {
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].group != group || rows_[i].name != name) continue;
    seen_[i] = seen_[i] || ran;
    return;
  }
  rows_.push_back({std::string(group), std::string(name), 0});
  seen_.push_back(ran);
}

void Coverage::count() {
  for (size_t i = 0; i < rows_.size(); ++i) rows_[i].cases += seen_[i] ? 1 : 0;
  seen_.assign(rows_.size(), false);
}

void Coverage::add(const LayerSpec& spec, const CompiledGraph& compiled, const Call& call,
                   const interp::BlockTrace& trace) {
  hit_spec(spec, compiled.graph);
  hit_call(compiled.graph, call);
  hit_parts(compiled, call);
  hit_code(trace);
  count();
}

void Coverage::hit_code(const interp::BlockTrace& trace) {
  for (const auto& [name, ran] : trace.blocks()) hit(kBlock, name, ran);
  for (const auto& [name, ran] : trace.operations()) hit(kOperation, name, ran);
}

void Coverage::add(const ModelSpec& model, const ir::Graph& graph, const Call& call,
                   const interp::BlockTrace& trace) {
  hit("data", data_name(call.data));
  hit("denormals", call.denormals == Denormals::kFlush ? "flush" : "keep");
  for (const ModelLayer& layer : model.layers) {
    if (!std::holds_alternative<InputOp>(layer.op)) hit("model layer", layer.class_name);
  }
  for (const std::string& decision : graph.decisions) {
    const bool is_folded = decision.find(" is folded into ") != std::string::npos;
    const bool is_kept = decision.find(" is a pass of its own: ") != std::string::npos;
    if (is_folded || is_kept) hit("model", is_folded ? "batch norm folded" : "batch norm kept");
  }
  for (const ir::Op& op : graph.ops) {
    if (op.name.find(" + ") != std::string::npos) hit("model", "fused passes");
    if (graph.tensors[static_cast<size_t>(op.out)].slice) hit("model", "slices");
  }
  const bool is_fixed = std::any_of(graph.pinned_steps.begin(), graph.pinned_steps.end(),
                                    [](const auto& steps) { return steps.has_value(); });
  hit("model", is_fixed ? "fixed steps" : "open steps");
  if (model.inputs.size() > 1) hit("model", "several inputs");
  if (model.outputs.size() > 1) hit("model", "several outputs");
  if (model.nodes.size() > model.layers.size()) hit("model", "shared layer");
  hit_code(trace);
  count();
}

void Coverage::add_back_end(std::string_view back_end) {
  hit(kBackEnd, back_end);
  count();
}

void Coverage::add_threads(int threads) {
  hit("threads", fmt::format("{}", threads));
  count();
}

void Coverage::merge(const Coverage& other) {
  for (const Row& row : other.rows_) {
    const auto mine = std::find_if(rows_.begin(), rows_.end(),
                                   [&](const Row& r) { return r.group == row.group && r.name == row.name; });
    if (mine == rows_.end()) {
      rows_.push_back(row);
    } else {
      mine->cases += row.cases;
    }
  }
  seen_.assign(rows_.size(), false);
}

std::vector<std::string> Coverage::missing() const {
  std::vector<std::string> names;
  for (const Row& row : rows_) {
    if (row.cases == 0) names.push_back(row.group + ": " + row.name);
  }
  return names;
}

std::string Coverage::print() const {
  std::vector<std::string> groups;
  for (const Row& row : rows_) {
    if (std::find(groups.begin(), groups.end(), row.group) == groups.end()) groups.push_back(row.group);
  }
  std::string text;
  for (const std::string& group : groups) {
    text += fmt::format("  {:<19}", group);
    size_t column = 21;
    bool first = true;
    std::vector<Row> of_group;
    std::copy_if(rows_.begin(), rows_.end(), std::back_inserter(of_group),
                 [&](const Row& row) { return row.group == group; });
    // In the order of no worker's work.
    if (group == kBlock || group == kOperation)
      std::sort(of_group.begin(), of_group.end(), [](const Row& a, const Row& b) { return a.name < b.name; });
    for (const Row& row : of_group) {
      const std::string item = fmt::format("{} {}", row.name, row.cases);
      if (!first) text += ", ";
      if (!first && column + item.size() > 110) {
        text += fmt::format("\n{:21}", "");
        column = 21;
      }
      text += item;
      column += item.size() + 2;
      first = false;
    }
    text += '\n';
  }
  return text;
}

void Coverage::hit_spec(const LayerSpec& spec, const ir::Graph& graph) {
  hit("kind", class_name_of(spec.kind));
  hit("activation", activation_name(spec.activation.kind));
  hit("layer", spec.use_bias ? "with bias" : "without bias");
  hit("passes", graph.ops.size() == 1 ? "one" : graph.ops.size() == 2 ? "two" : "three or more");
  if (spec.kind != LayerKind::kDense) {
    hit("padding", padding_name(spec.padding));
    hit("layout", spec.data_format == DataFormat::kChannelsLast ? "channels_last" : "channels_first");
  }
  if (spec.kind == LayerKind::kConv1DTranspose)
    hit("layer", spec.output_padding ? "output padding" : "no output padding");
  for (const ir::Op& op : graph.ops) {
    if (op.kernel >= 0) hit_layer(spec, op.problem);
  }
}

void Coverage::hit_layer(const LayerSpec& spec, const Problem& p) {
  if (p.groups == 1) {
    hit("layer", "one group");
  } else if (p.group_channels() > 1) {
    hit("layer", "groups");
  } else {
    hit("layer", p.group_filters() == 1 ? "depthwise" : "depthwise with multiplier");
  }
  if (spec.kind != LayerKind::kDense) hit("layer", p.stride == 1 ? "stride 1" : "stride above 1");
  if (p.dilation > 1) hit("layer", p.stride == 1 ? "dilation above 1" : "stride and dilation above 1");
  if (p.taps == 1) hit("layer", "one tap");
  hit("activation runs on", is_cheap(p.activation) ? "accumulators" : "stored tile");
}

void Coverage::hit_call(const ir::Graph& graph, const Call& call) {
  hit("data", data_name(call.data));
  hit("denormals", call.denormals == Denormals::kFlush ? "flush" : "keep");
  if (call.batch == 0) hit("call", "no samples");
  if (call.steps == 0) hit("call", "no steps");
  if (call.batch > 0) hit("call", call.batch == 1 ? "one sample" : "several samples");
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, {&call.steps, 1});
  const ir::GraphTensor& out = graph.tensors[static_cast<size_t>(graph.outputs[0])];
  const int64_t outputs = extents[static_cast<size_t>(out.steps)];
  if (outputs == 0) hit("call", "no output");
  if (outputs == 1) hit("call", "one output step");
}

void Coverage::hit_parts(const CompiledGraph& compiled, const Call& call) {
  const ir::Graph& graph = compiled.graph;
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, {&call.steps, 1});
  for (const RollingGroup& group : compiled.rolling) {
    const auto steps =
        static_cast<size_t>(graph.tensors[static_cast<size_t>(graph.ops[group.first].in)].steps);
    if (call.batch > 0 && extents[steps] > group.chunk) hit("passes", "rolling");
  }
  for (size_t i = 0; i < graph.ops.size() && call.batch > 0; ++i) {
    const ir::Op& op = graph.ops[i];
    const ir::GraphTensor& out = graph.tensors[static_cast<size_t>(op.out)];
    const int64_t out_steps = extents[static_cast<size_t>(out.steps)];
    if (compiled.samples_within > 0 && call.batch > 1) hit("passes", "samples in blocks");
    if (compiled.chunks[i] > 0 && out_steps > compiled.chunks[i]) hit("passes", "chunk by chunk");
    if (op.kind != ir::OpKind::kNest || !op.problem.transposed) continue;
    for (const ir::Part& part : ir::split_parts(op.problem)) {
      const auto rows = ir::part_rows(part, out_steps);
      if (rows[0].begin >= rows[0].end && rows[1].begin >= rows[1].end) continue;
      hit("phases", part.phases > 1          ? "merged"
                    : part.merged_phases > 0 ? "edge of merged"
                    : part.taps[0] < 0       ? "no taps"
                                             : "single");
    }
  }
}

}  // namespace convsmith::cli
