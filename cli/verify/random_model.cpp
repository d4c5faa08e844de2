#include "cli/verify/random_model.hpp"

#include <fmt/format.h>

#include <cmath>
#include <functional>

#include "cli/verify/random_layer.hpp"
#include "convsmith/activation.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/weight_shapes.hpp"

namespace convsmith::cli {

namespace {

constexpr int64_t kMostSteps = 160;
constexpr int64_t kMostChannels = 24;

// A value on the way, of (steps, channels), its steps those for the declared length.
struct Value {
  int node = 0;
  int64_t steps = 0;
  int64_t channels = 0;
};

class Drawer {
 public:
  explicit Drawer(uint64_t seed) : random_(seed) { model_.name = "random"; }

  ModelSpec draw(uint64_t form) {
    steps_ = random_.between(8, 40);
    const bool ends = form >= kForms;  // the sure one is an ending
    const bool is_open = !ends && random_.one_in(2);
    Value x = input(random_.one_in(4) ? 1 : random_.between(2, kMostChannels), is_open);
    if (random_.one_in(8)) x = merge(x, input(x.channels, is_open), MergeKind::kAdd);
    const int64_t pieces = random_.between(1, 4);
    const int64_t sure = ends ? -1 : random_.between(0, pieces - 1);
    for (int64_t i = 0; i < pieces; ++i) {
      const auto drawn = static_cast<uint64_t>(random_.between(0, kForms + 2));
      x = piece(i == sure ? form : drawn, x);
    }
    const auto last = static_cast<uint64_t>(random_.between(kForms, kModelForms + 5));
    finish(ends ? form : last, x, is_open);
    return std::move(model_);
  }

 private:
  static constexpr int64_t kForms = 20;  // those of piece, all beyond a residual; behind them the endings

  int add(std::string class_name, LayerOp op, std::vector<int> inputs, std::vector<Tensor> weights = {}) {
    std::string name = fmt::format("layer{}", model_.layers.size());
    model_.layers.push_back({std::move(name), std::move(class_name), std::move(op), std::move(weights)});
    model_.nodes.push_back({static_cast<int>(model_.layers.size()) - 1, std::move(inputs)});
    return static_cast<int>(model_.nodes.size()) - 1;
  }
  Value next(Value x, std::string class_name, LayerOp op, std::vector<Tensor> weights = {}) {
    x.node = add(std::move(class_name), std::move(op), {x.node}, std::move(weights));
    return x;
  }

  Value input(int64_t channels, bool is_open) {
    const auto steps = is_open ? std::optional<int64_t>() : steps_;
    const int node = add("InputLayer", InputOp{{steps, channels}}, {});
    model_.inputs.push_back(node);
    return {node, steps_, channels};
  }

  Tensor weights(std::vector<int64_t> shape, float scale, float offset = 0) {
    Tensor tensor{std::move(shape), {}};
    int64_t size = 1;
    for (const int64_t axis : tensor.shape) size *= axis;
    for (int64_t i = 0; i < size; ++i) tensor.data.push_back(offset + scale * random_.signed_unit());
    return tensor;
  }

  Activation some_activation() {
    using Kind = ActivationKind;
    constexpr Kind kKinds[] = {Kind::kLinear,  Kind::kLinear, Kind::kRelu,     Kind::kTanh,
                               Kind::kSigmoid, Kind::kElu,    Kind::kGelu,     Kind::kSilu,
                               Kind::kSelu,    Kind::kMish,   Kind::kSoftplus, Kind::kHardSigmoidKeras3};
    const Kind kind = random_.pick(kKinds);
    if (kind == Kind::kRelu) return make_relu(random_.one_in(2) ? 0.0F : 0.25F);
    return {kind, {1.0F, 0, 0}};
  }

  // The layer behind x with drawn weights, or x itself where nothing would be left of it.
  Value layer(LayerSpec spec, Value x) {
    const auto problem = make_layer_problem(spec, {1, x.steps, x.channels}, Rules::kAny);
    if (!problem) return x;
    const auto shape = output_shape(*problem, {1, x.steps, x.channels});
    if (!shape || *(*shape)[1] < 1 || *(*shape)[1] > kMostSteps) return x;
    std::vector<Tensor> arrays;
    for (const WeightShape& weight : weight_shapes(spec, x.channels)) {
      const bool is_bias = weight.name == "bias";
      const auto terms = static_cast<float>(problem->chain[0].taps * x.channels);
      arrays.push_back(weights(weight.shape, is_bias ? 0.5F : 2.0F / std::sqrt(terms)));
    }
    x = next(x, std::string(class_name_of(spec.kind)), spec, std::move(arrays));
    x.steps = *(*shape)[1];
    x.channels = *(*shape)[2];
    return x;
  }

  LayerSpec conv_spec(LayerKind kind) {
    LayerSpec spec;
    spec.kind = kind;
    if (kind != LayerKind::kDepthwiseConv1D) spec.filters = random_.between(1, kMostChannels);
    if (kind != LayerKind::kDense) {
      spec.kernel_size = random_.between(1, 5);
      spec.padding = random_.one_in(2) ? Padding::kSame : Padding::kValid;
      if (kind == LayerKind::kConv1D && random_.one_in(4)) spec.padding = Padding::kCausal;
      if (random_.one_in(3)) spec.strides = random_.between(2, 3);
      if (spec.strides == 1 && random_.one_in(3)) spec.dilation_rate = 2;
    }
    spec.activation = some_activation();
    spec.use_bias = !random_.one_in(3);
    return spec;
  }
  // Keeps the steps.
  LayerSpec same_spec(int64_t filters, int64_t taps, Activation activation = {}) {
    LayerSpec spec;
    spec.filters = filters;
    spec.kernel_size = taps;
    spec.padding = Padding::kSame;
    spec.activation = activation;
    spec.use_bias = !random_.one_in(3);
    return spec;
  }

  Value norm(Value x, int64_t axis = -1) {
    BatchNormOp op{.axis = axis, .center = !random_.one_in(4), .scale = !random_.one_in(4)};
    std::vector<Tensor> arrays;
    if (op.scale) arrays.push_back(weights({x.channels}, 0.5F, 1.0F));
    if (op.center) arrays.push_back(weights({x.channels}, 0.5F));
    arrays.push_back(weights({x.channels}, 0.5F));
    arrays.push_back(weights({x.channels}, 0.5F, 1.0F));
    return next(x, "BatchNormalization", op, std::move(arrays));
  }

  Value pool(Value x, bool average, DataFormat format = DataFormat::kChannelsLast) {
    PoolOp op{.average = average, .pool_size = random_.between(2, 4), .strides = random_.between(1, 3)};
    op.data_format = format;
    if (random_.one_in(2)) op.padding = Padding::kSame;
    const bool is_same = op.padding == Padding::kSame;
    if (!is_same && x.steps < op.pool_size) return x;
    x.steps = is_same ? (x.steps + op.strides - 1) / op.strides : (x.steps - op.pool_size) / op.strides + 1;
    return next(x, average ? "AveragePooling1D" : "MaxPooling1D", op);
  }

  Value merge(const Value& a, const Value& b, MergeKind kind) {
    constexpr const char* kNames[] = {"Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum"};
    Value y = a;
    y.node = add(kNames[static_cast<size_t>(kind)], MergeOp{kind}, {a.node, b.node});
    return y;
  }

  Value residual(Value x, MergeKind kind) {
    const int64_t taps = random_.between(1, 3);
    Value y = layer(same_spec(x.channels, taps, some_activation()), x);
    // The same layer once more.
    if (random_.one_in(4)) {
      model_.nodes.push_back({model_.nodes.back().layer, {y.node}});
      y.node = static_cast<int>(model_.nodes.size()) - 1;
    }
    if (random_.one_in(2)) y = norm(y);
    y = random_.one_in(2) ? merge(x, y, kind) : merge(y, x, kind);
    return random_.one_in(2) ? next(y, "Activation", ActivationOp{some_activation()}) : y;
  }

  Value gated(Value x) {
    const int64_t filters = random_.between(1, 16);
    const Value a = layer(same_spec(filters, 2, {ActivationKind::kTanh, {}}), x);
    const Value b = layer(same_spec(filters, 2, {ActivationKind::kSigmoid, {}}), x);
    return merge(a, b, MergeKind::kMultiply);
  }

  Value inception(Value x) {
    std::vector<int> parts;
    int64_t channels = 0;
    for (int64_t i = random_.between(2, 3); i > 0; --i) {
      const int64_t filters = random_.between(1, 9);
      const int64_t taps = random_.between(1, 4);
      const Value part = i == 1 ? x : layer(same_spec(filters, taps), x);
      parts.push_back(part.node);
      channels += part.channels;
    }
    x.channels = channels;
    x.node = add("Concatenate", ConcatenateOp{}, parts);
    return random_.one_in(2) ? norm(x) : x;
  }

  Value excite(Value x) {
    const bool average = random_.one_in(2);
    Value y = next(x, average ? "GlobalAveragePooling1D" : "GlobalMaxPooling1D",
                   GlobalPoolOp{.average = average, .keepdims = true});
    y.steps = 1;
    LayerSpec spec;
    spec.kind = LayerKind::kDense;
    spec.filters = x.channels;
    spec.activation = {ActivationKind::kSigmoid, {}};
    return merge(x, layer(spec, y), MergeKind::kMultiply);
  }

  Value row_activation(Value x) {
    using Kind = ActivationKind;
    constexpr Kind kKinds[] = {Kind::kSoftmax, Kind::kLogSoftmax, Kind::kSparsemax, Kind::kGlu};
    const Kind kind = random_.pick(kKinds);
    const bool is_possible = kind != Kind::kGlu || x.channels % 2 == 0;
    if (!is_possible) return x;
    x = next(x, "Activation", ActivationOp{{kind, {-1}}});
    if (kind == Kind::kGlu) x.channels /= 2;
    return x;
  }

  // (steps, channels) the other way round, a layer that knows how, and back.
  Value channels_first(Value x) {
    const PermuteOp turn{{2, 1}};
    const int64_t filters = random_.between(1, 9);
    LayerSpec spec = same_spec(filters, 3, some_activation());
    spec.data_format = DataFormat::kChannelsFirst;
    std::vector<Tensor> arrays;
    for (const WeightShape& weight : weight_shapes(spec, x.channels))
      arrays.push_back(weights(weight.shape, 0.3F));
    x = next(x, "Permute", turn);
    x = next(x, "Conv1D", spec, std::move(arrays));
    x.channels = spec.filters;
    if (random_.one_in(2)) x = norm(x, 1);
    if (random_.one_in(2)) x = pool(x, random_.one_in(2), DataFormat::kChannelsFirst);
    return next(x, "Permute", turn);
  }

  Value cropping(Value x) {
    const CroppingOp op{random_.between(0, 2), random_.between(0, 2)};
    if (op.left + op.right >= x.steps) return x;
    x.steps -= op.left + op.right;
    return next(x, "Cropping1D", op);
  }
  Value zero_padding(Value x) {
    const ZeroPaddingOp op{.left = random_.between(0, 4), .right = random_.between(0, 4)};
    x.steps += op.left + op.right;
    return next(x, "ZeroPadding1D", op);
  }
  Value up_sampling(Value x) {
    const UpSamplingOp op{random_.between(2, 3)};
    if (x.steps * op.size > kMostSteps) return x;
    x.steps *= op.size;
    return next(x, "UpSampling1D", op);
  }

  // Normalized values into a convolution that pads nothing, or one that does.
  Value norm_before(Value x) {
    LayerSpec spec = conv_spec(LayerKind::kConv1D);
    spec.padding = random_.one_in(2) ? Padding::kValid : Padding::kSame;
    return layer(spec, norm(x));
  }
  Value norm_behind(Value x, LayerKind kind) {
    LayerSpec spec = conv_spec(kind);
    spec.activation = {};
    x = norm(layer(spec, x));
    return next(x, "Activation", ActivationOp{some_activation()});
  }

  Value piece(uint64_t form, const Value& x) {
    switch (form) {
      case 0:
        return layer(conv_spec(LayerKind::kConv1D), x);
      case 1:
        return layer(conv_spec(LayerKind::kConv1DTranspose), x);
      case 2:
        return layer(conv_spec(LayerKind::kDepthwiseConv1D), x);
      case 3:
        return layer(conv_spec(LayerKind::kSeparableConv1D), x);
      case 4:
        return layer(conv_spec(LayerKind::kDense), x);
      case 5:
        return next(x, "PReLU", PreluOp{}, {weights({1, x.channels}, 0.5F)});
      case 6:
        return norm_before(x);
      case 7:
        return norm_behind(x, random_.one_in(2) ? LayerKind::kConv1D : LayerKind::kConv1DTranspose);
      case 8:
        return pool(x, false);
      case 9:
        return pool(x, true);
      case 10:
        return up_sampling(x);
      case 11:
        return zero_padding(x);
      case 12:
        return cropping(x);
      case 13:
        return gated(x);
      case 14:
        return inception(x);
      case 15:
        return excite(x);
      case 16:
        return row_activation(x);
      case 17:
        return channels_first(x);
      case 18:
        return next(x, "Dropout", IdentityOp{});
      default: {
        constexpr MergeKind kKinds[] = {MergeKind::kAdd,     MergeKind::kAdd,     MergeKind::kSubtract,
                                        MergeKind::kAverage, MergeKind::kMaximum, MergeKind::kMinimum};
        return residual(x, random_.pick(kKinds));
      }
    }
  }

  void finish(uint64_t form, Value x, bool is_open) {
    if (form == kForms || form == kForms + 1) {  // a classifier
      const bool average = form == kForms;
      x = next(x, average ? "GlobalAveragePooling1D" : "GlobalMaxPooling1D",
               GlobalPoolOp{.average = average});
      head(x, x.channels);
    } else if (form == kForms + 2 && !is_open) {
      head(next(x, "Flatten", FlattenOp{}), x.steps * x.channels);
    } else if (form == kForms + 3 && x.channels > 1) {  // every channel a step of one channel
      x = next(x, "Reshape", ReshapeOp{{-1, 1}});
      model_.outputs = {layer(same_spec(2, 3), {x.node, std::min(x.steps * x.channels, kMostSteps), 1}).node};
    } else if (random_.one_in(4) && x.node > 1) {  // two outputs
      model_.outputs = {layer(same_spec(3, 1), x).node, x.node};
    } else {
      model_.outputs = {x.node};
    }
    // An output that is the input itself is legal, but nothing to check.
    if (model_.outputs[0] == model_.inputs[0]) model_.outputs = {layer(same_spec(5, 3), x).node};
  }

  void head(const Value& x, int64_t features) {
    LayerSpec spec;
    spec.kind = LayerKind::kDense;
    spec.filters = random_.between(1, 10);
    if (random_.one_in(2)) spec.activation = {ActivationKind::kSoftmax, {-1}};
    const float scale = 1.0F / std::sqrt(static_cast<float>(features));
    model_.outputs = {add("Dense", spec, {x.node},
                          {weights({features, spec.filters}, scale), weights({spec.filters}, 0.5F)})};
  }

  Random random_;
  ModelSpec model_;
  int64_t steps_ = 0;
};

}  // namespace

ModelSpec random_model(uint64_t seed) {
  return Drawer(seed).draw(seed % kModelForms);
}

}  // namespace convsmith::cli
