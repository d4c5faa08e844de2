#include "cli/coverage.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "codegen/vmath.hpp"
#include "frontend/activations.hpp"
#include "frontend/layer_class.hpp"
#include "ir/band.hpp"
#include "ir/pack_layout.hpp"

namespace convsmith::cli {

namespace {

using ir::Dim;
using ir::Role;

constexpr std::string_view kBackEnd = "back end";

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
    {"lanes over", "filters"},
    {"lanes over", "steps"},
    {"lanes over", "groups"},
    {"reduction", "fused"},
    {"reduction", "tap loop"},
    {"band", "interior"},
    {"band", "left edge"},
    {"band", "right edge"},
    {"band", "both edges"},
    {"band", "no taps"},
    {"steps", "whole tiles"},
    {"steps", "smaller tiles"},
    {"steps", "single vectors"},
    {"steps", "masked vector"},
    {"steps", "several chunks"},
    {"form", "ragged tiles"},
    {"form", "sliding windows"},
    {"form", "lifted"},
    {"form", "lifted, sliding"},
    {"form", "lifted, neighbouring steps"},
    {"form", "lifted, staged"},
    {"form", "single steps in wide tiles"},
    {"form", "prefetching"},
    {"form", "reading ahead"},
    {"form", "rows that share vectors"},
    {"form", "streamed where large"},
    {"units", "whole blocks"},
    {"units", "rest block"},
    {"units", "masked vector"},
    {"input", "direct"},
    {"input", "staged"},
    {"store", "rows of filters"},
    {"store", "rows of steps"},
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

// The serial loops over output steps: of the outermost and of the innermost one, which goes from tile to
// tile.
struct StepLoops {
  int64_t count = 0;
  int64_t chunk = 1;
  int64_t tile = 1;
};
StepLoops step_loops(const ir::LoopNest& nest) {
  StepLoops result;
  for (const ir::Loop& loop : nest.loops) {
    if (loop.dim != Dim::kStep || loop.role != Role::kSerial) continue;
    if (result.count++ == 0) result.chunk = loop.step;
    result.tile = loop.step;
  }
  return result;
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

void Coverage::hit(std::string_view group, std::string_view name) {
  for (size_t i = 0; i < rows_.size(); ++i) {
    if (rows_[i].group != group || rows_[i].name != name) continue;
    seen_[i] = true;
    return;
  }
  rows_.push_back({std::string(group), std::string(name), 0});
  seen_.push_back(true);
}

void Coverage::count() {
  for (size_t i = 0; i < rows_.size(); ++i) rows_[i].cases += seen_[i] ? 1 : 0;
  seen_.assign(rows_.size(), false);
}

void Coverage::add(const LayerSpec& spec, const ir::Graph& graph,
                   const std::vector<ScheduledGraph>& scheduled, const Call& call) {
  hit_spec(spec, graph);
  hit_call(graph, call);
  for (const ScheduledGraph& nests : scheduled) hit_parts(graph, nests, call);
  count();
}

void Coverage::add(const ModelSpec& model, const ir::Graph& graph, const Call& call) {
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
    for (const Row& row : rows_) {
      if (row.group != group) continue;
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

void Coverage::hit_parts(const ir::Graph& graph, const ScheduledGraph& scheduled, const Call& call) {
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, {&call.steps, 1});
  const auto steps_of = [&](int tensor) {
    return extents[static_cast<size_t>(graph.tensors[static_cast<size_t>(tensor)].steps)];
  };
  const Target& target = target_for(scheduled.isa);
  for (size_t i = 0; i < graph.ops.size() && call.batch > 0; ++i) {
    const ir::Op& op = graph.ops[i];
    if (op.kind != ir::OpKind::kNest) continue;
    const int64_t out_steps = steps_of(op.out);
    if (scheduled.chunks[i] > 0 && out_steps > scheduled.chunks[i]) hit("passes", "chunk by chunk");
    const std::vector<ir::Part> parts = ir::split_parts(op.problem);
    for (size_t j = 0; j < parts.size(); ++j) {
      const ir::Part& part = parts[j];
      for (const ir::RowRange& rows : op.problem.transposed
                                          ? ir::part_rows(part, out_steps)
                                          : std::array{ir::RowRange{0, out_steps}, ir::RowRange{}}) {
        if (rows.begin >= rows.end) continue;
        if (op.problem.transposed) {
          hit("phases", part.phases > 1          ? "merged"
                        : part.merged_phases > 0 ? "edge of merged"
                        : part.taps[0] < 0       ? "no taps"
                                                 : "single");
        }
        hit_nest(scheduled.nests[i][j], target);
        hit_bands(scheduled.nests[i][j], target, rows, steps_of(op.in));
      }
    }
  }
}

void Coverage::hit_nest(const ir::LoopNest& nest, const Target& target) {
  const Dim lanes = ir::lanes_dim(nest).value_or(Dim::kFilter);
  const bool over_steps = lanes == Dim::kStep;
  hit("lanes over", over_steps ? "steps" : lanes == Dim::kGroup ? "groups" : "filters");
  hit("reduction", nest.fused() ? "fused" : "tap loop");
  hit("input", nest.staged && over_steps ? "staged" : "direct");
  hit("store", over_steps ? "rows of steps" : "rows of filters");
  if (nest.stream) hit("form", "streamed where large");
  const ir::PackLayout layout = ir::pack_layout(nest);
  if (layout.units >= layout.block) hit("units", "whole blocks");
  if (layout.units % layout.block != 0) hit("units", "rest block");
  if (!over_steps && layout.units % target.lanes != 0) hit("units", "masked vector");
}

void Coverage::hit_bands(const ir::LoopNest& nest, const Target& target, ir::RowRange rows, int64_t steps) {
  const Problem& p = nest.problem;
  const int64_t block = step_loops(nest).tile * nest.row_distance();
  const int64_t in_tiles = (rows.end - rows.begin) / block * block;
  const int64_t lifted = target.lanes * nest.lifted;
  ir::HostInts z;
  for (int64_t o = rows.begin; o < rows.end;) {
    const ir::Band<int64_t> band = ir::band_at(z, p, o, rows.end, steps, p.left_padding(steps));
    const bool left = band.tap_begin > 0;
    const bool right = band.tap_end < p.taps;
    const bool empty = band.tap_begin >= band.tap_end;
    hit("band", empty           ? "no taps"
                : left && right ? "both edges"
                : left          ? "left edge"
                : right         ? "right edge"
                                : "interior");
    const int64_t begin = o - rows.begin;
    const int64_t first_tile = (begin + block - 1) / block * block;
    const bool interior = !left && !right && !empty;
    if (!nest.ragged) {
      hit_steps(nest, target, band.end - o);
    } else if (nest.lifted > 0) {
      const char* form = !nest.near        ? (nest.slide ? "lifted, sliding" : "lifted")
                         : p.channels == 1 ? "lifted, neighbouring steps"
                                           : "lifted, staged";
      if (interior && band.end - o >= lifted) hit("form", form);
    } else {
      if (first_tile != begin && first_tile <= in_tiles) hit("form", "ragged tiles");
      const bool has_tile = block > 1 && first_tile + block <= band.end - rows.begin;
      if (nest.slide && interior && has_tile) hit("form", "sliding windows");
    }
    o = band.end;
  }
  if (nest.ragged && nest.lifted == 0) hit_steps(nest, target, rows.end - rows.begin);
}

// A run of `width` steps that tiles share.
void Coverage::hit_steps(const ir::LoopNest& nest, const Target& target, int64_t width) {
  const auto [loops, chunk, tile] = step_loops(nest);
  const bool over_steps = ir::lanes_dim(nest) == Dim::kStep;
  const int64_t block = tile * nest.row_distance();
  const int64_t rest = width % block;
  if (width >= block) hit("steps", "whole tiles");
  if (loops > 1 && width > chunk) hit("steps", "several chunks");
  if (over_steps) {
    if (rest >= target.lanes) hit("steps", "single vectors");
    if (rest % target.lanes != 0) hit("steps", "masked vector");
    return;
  }
  if (rest > 0) hit("steps", "smaller tiles");
  if (nest.prefetch && width >= block) hit("form", "prefetching");
  if (nest.read_ahead && width >= block) hit("form", "reading ahead");
  if (nest.blended > 0 && tile > 1 && width >= block) hit("form", "rows that share vectors");
  int64_t single = block == tile && nest.problem.has_weights() ? rest : 0;
  for (int64_t height = tile / 2; height > 1; height /= 2) single %= height;
  const ir::PackLayout layout = ir::pack_layout(nest);
  if (tile > 1 && single > 0 && layout.units >= 2 * layout.block) hit("form", "single steps in wide tiles");
}

}  // namespace convsmith::cli
