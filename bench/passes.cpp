#include "bench/passes.hpp"
#include "convsmith/activation.hpp"

#include <optional>
#include <utility>

namespace convsmith::bench {
namespace {

Shape last(int64_t channels) {
  return {std::nullopt, channels};
}
Shape first(int64_t channels) {
  return {channels, std::nullopt};
}

// A layer on inputs of these shapes, with weights that are small and differ.
Pass layer(std::string name, LayerOp op, const std::vector<Shape>& inputs,
           const std::vector<std::vector<int64_t>>& weights = {}) {
  ModelSpec model;
  model.name = name;
  ModelNode call{static_cast<int>(inputs.size()), {}};
  for (size_t i = 0; i < inputs.size(); ++i) {
    model.layers.push_back({"input" + std::to_string(i), "InputLayer", InputOp{inputs[i]}, {}});
    model.nodes.push_back({static_cast<int>(i), {}});
    model.inputs.push_back(static_cast<int>(i));
    call.inputs.push_back(static_cast<int>(i));
  }
  ModelLayer made{name, name, std::move(op), {}};
  for (const std::vector<int64_t>& shape : weights) {
    Tensor tensor{shape, {}};
    int64_t size = 1;
    for (const int64_t axis : shape) size *= axis;
    for (int64_t i = 0; i < size; ++i) tensor.data.push_back(0.5F + 0.25F * static_cast<float>(i % 5));
    made.weights.push_back(std::move(tensor));
  }
  model.layers.push_back(std::move(made));
  model.nodes.push_back(std::move(call));
  model.outputs = {static_cast<int>(inputs.size())};
  return {std::move(name), std::move(model)};
}

Pass activation(std::string name, ActivationKind kind, const Shape& shape) {
  return layer(std::move(name), ActivationOp{{kind, {-1.0F, 0, 0}}}, {shape});
}

Pass merge(std::string name, MergeKind kind, const Shape& shape, size_t count = 2) {
  return layer(std::move(name), MergeOp{kind}, std::vector<Shape>(count, shape));
}

Pass pool(std::string name, bool average, int64_t size, int64_t strides, DataFormat format,
          const Shape& shape) {
  const PoolOp op{.average = average,
                  .pool_size = size,
                  .strides = strides,
                  .padding = Padding::kSame,
                  .data_format = format};
  return layer(std::move(name), op, {shape});
}

void add_values(std::vector<Pass>& all, int64_t c) {
  all.push_back(layer("relu", ActivationOp{make_relu()}, {last(c)}));
  all.push_back(layer("relu_first", ActivationOp{make_relu()}, {first(c)}));
  all.push_back(activation("tanh", ActivationKind::kTanh, last(c)));
  all.push_back(activation("sigmoid", ActivationKind::kSigmoid, last(c)));
  all.push_back(activation("gelu", ActivationKind::kGelu, last(c)));
  all.push_back(activation("softmax", ActivationKind::kSoftmax, last(c)));
  all.push_back(activation("log_softmax", ActivationKind::kLogSoftmax, last(c)));
}

void add_merges(std::vector<Pass>& all, int64_t c) {
  all.push_back(merge("add", MergeKind::kAdd, last(c)));
  all.push_back(merge("add_first", MergeKind::kAdd, first(c)));
  all.push_back(merge("add3", MergeKind::kAdd, last(c), 3));
  all.push_back(merge("add6", MergeKind::kAdd, last(c), 6));
  all.push_back(merge("multiply", MergeKind::kMultiply, last(c)));
  all.push_back(merge("multiply3", MergeKind::kMultiply, last(c), 3));
  all.push_back(merge("subtract", MergeKind::kSubtract, last(c)));
  all.push_back(merge("maximum", MergeKind::kMaximum, last(c)));
  all.push_back(merge("minimum", MergeKind::kMinimum, last(c)));
  all.push_back(merge("average", MergeKind::kAverage, last(c)));
  all.push_back(merge("average3", MergeKind::kAverage, last(c), 3));
  const MergeOp product{MergeKind::kMultiply};
  all.push_back(layer("channel_gate", product, {last(c), {1, c}}));
  all.push_back(layer("channel_gate_first", product, {first(c), {c, 1}}));
  all.push_back(layer("step_gate", product, {last(c), last(1)}));
  all.push_back(layer("concatenate", ConcatenateOp{}, {last(c), last(c)}));
  all.push_back(layer("concatenate_first", ConcatenateOp{1}, {first(c), first(c)}));
}

void add_weighted(std::vector<Pass>& all, int64_t c) {
  const std::vector<std::vector<int64_t>> norm(4, {c});
  all.push_back(layer("batch_norm", BatchNormOp{}, {last(c)}, norm));
  all.push_back(layer("batch_norm_first", BatchNormOp{.axis = 1}, {first(c)}, norm));
  all.push_back(layer("prelu", PreluOp{}, {last(c)}, {{1, c}}));
  all.push_back(layer("prelu_first", PreluOp{}, {first(c)}, {{c, 1}}));
}

void add_windows(std::vector<Pass>& all, int64_t c) {
  for (const DataFormat format : {DataFormat::kChannelsLast, DataFormat::kChannelsFirst}) {
    const bool is_last = format == DataFormat::kChannelsLast;
    const Shape shape = is_last ? last(c) : first(c);
    const std::string tail = is_last ? "" : "_first";
    all.push_back(pool("max_pool2" + tail, false, 2, 2, format, shape));
    all.push_back(pool("max_pool3s1" + tail, false, 3, 1, format, shape));
    all.push_back(pool("mean_pool2" + tail, true, 2, 2, format, shape));
    all.push_back(pool("mean_pool3s1" + tail, true, 3, 1, format, shape));
    all.push_back(layer("global_max" + tail, GlobalPoolOp{.average = false, .data_format = format}, {shape}));
    all.push_back(layer("global_mean" + tail, GlobalPoolOp{.average = true, .data_format = format}, {shape}));
    all.push_back(layer("pad" + tail, ZeroPaddingOp{3, 4, format}, {shape}));
  }
  all.push_back(layer("crop", CroppingOp{3, 4}, {last(c)}));
  all.push_back(layer("up_sampling2", UpSamplingOp{2}, {last(c)}));
  all.push_back(layer("up_sampling5", UpSamplingOp{5}, {last(c)}));
  all.push_back(layer("transpose", PermuteOp{{2, 1}}, {last(c)}));
  all.push_back(layer("transpose_first", PermuteOp{{2, 1}}, {first(c)}));
}

}  // namespace

std::vector<Pass> all_passes(int64_t channels) {
  std::vector<Pass> all;
  add_values(all, channels);
  add_merges(all, channels);
  add_weighted(all, channels);
  add_windows(all, channels);
  return all;
}

}  // namespace convsmith::bench
