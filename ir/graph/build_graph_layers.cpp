#include "ir/graph/build_graph_layers.hpp"

#include <fmt/ranges.h>

#include <cmath>

#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/weight_shapes.hpp"

namespace convsmith::ir {
namespace {

Layout layout_of(DataFormat format) {
  return format == DataFormat::kChannelsLast ? Layout::kChannelsLast : Layout::kChannelsFirst;
}

Result<void> check_rank(const LayerCall& call, size_t rank) {
  if (call.in().shape.size() == rank) return {};
  return call.builder.refuse("The input must have {} axes behind the batch axis, found the shape {}.", rank,
                             call.builder.text(call.in()));
}

Result<void> check_shape(const LayerCall& call, size_t weight, const std::string& name,
                         const std::vector<int64_t>& expected) {
  CONVSMITH_CHECK(weight < call.layer.weights.size(), "a layer has the weights that its arguments ask for");
  const std::vector<int64_t>& found = call.layer.weights[weight].shape;
  if (found == expected) return {};
  return call.builder.error(
      ErrorCode::kInvalidData,
      fmt::format("The {} must have the shape ({}) to fit an input of shape {}, found "
                  "({}).",
                  name, fmt::join(expected, ", "), call.builder.text(call.in()), fmt::join(found, ", ")));
}

// The array of weight number `weight`, in the problem's order of axes. Without data if the layer has no
// weights.
int add_weight(const LayerCall& call, size_t weight, const std::string& name, std::vector<int64_t> shape) {
  if (call.arrays.arrays.size() <= weight) {
    const std::vector<Tensor>& weights = call.layer.weights;
    call.arrays.arrays.push_back(
        call.builder.add_array({call.layer.name + "/" + name, std::move(shape),
                                weights.empty() ? std::vector<float>{} : weights[weight].data}));
  }
  return call.arrays.arrays[weight];
}

// The axes of a value of the problem's result. Dense keeps any leading axes.
Value result_of(const GraphBuilder& builder, const Value& in, int tensor) {
  if (in.shape.size() == 2) return builder.as_value(tensor);
  Value out{tensor, in.shape};
  out.shape.back() = {builder.tensor(tensor).channels, -1};
  return out;
}

Result<Value> transpose_around(const LayerCall& call, const Activation& activation, const Value& value);

// Softmax and the like along the last axis.
Result<Value> add_last_axis(const LayerCall& call, const Activation& activation, const Value& value) {
  GraphBuilder& builder = call.builder;
  if (activation.kind == ActivationKind::kSoftmax) return builder.add_row_op(OpKind::kSoftmax, value);
  if (activation.kind == ActivationKind::kLogSoftmax) return builder.add_row_op(OpKind::kLogSoftmax, value);
  if (activation.kind == ActivationKind::kSparsemax) return builder.add_row_op(OpKind::kSparsemax, value);
  CONVSMITH_CHECK(activation.kind == ActivationKind::kGlu, "all others are elementwise");
  // glu(a, b) = a * sigmoid(b)
  Result<int> rows = builder.as_rows(value);
  if (!rows) return tl::unexpected(rows.error());
  const int64_t channels = builder.tensor(*rows).channels;
  if (channels % 2 != 0)
    return builder.refuse("glu halves an axis, which must be even, found {}.", builder.text(value));
  const int64_t half = channels / 2;
  Problem gate = copy_problem(half, Layout::kChannelsLast);
  gate.activation.kind = ActivationKind::kSigmoid;
  Result<int> open = builder.add_problem(gate, builder.add_slice(*rows, half, half));
  if (!open) return tl::unexpected(open.error());
  Problem product = copy_problem(half, Layout::kChannelsLast);
  product.combine = Combine::kMultiply;
  Result<int> out = builder.add_problem(product, builder.add_slice(*rows, 0, half), {.operand = *open});
  if (!out) return tl::unexpected(out.error());
  return result_of(builder, Value{*rows, value.shape}, *out);
}

Result<Value> add_activation(const LayerCall& call, const Activation& activation, const Value& value) {
  GraphBuilder& builder = call.builder;
  if (!is_elementwise(activation.kind)) {
    const float axis = activation.params[0];
    if (!(std::abs(axis) < 1000.0F) || axis != std::trunc(axis))
      return builder.refuse("The axis of an activation must be an integer, found {}.", axis);
    Result<size_t> index = find_axis(builder, value, static_cast<int64_t>(axis));
    if (!index) return tl::unexpected(index.error());
    if (*index + 1 == value.shape.size()) return add_last_axis(call, activation, value);
    return transpose_around(call, activation, value);
  }
  const GraphTensor& t = builder.tensor(value.tensor);
  Problem problem = copy_problem(t.channels, t.layout);
  problem.activation = canonical_activation(activation);
  return builder.add_elementwise(problem, value);
}

Result<Value> transpose_around(const LayerCall& call, const Activation& activation, const Value& value) {
  Result<Value> turned = call.builder.transpose(value);
  if (!turned) return turned;
  Result<Value> made = add_last_axis(call, activation, *turned);
  if (!made) return made;
  return call.builder.transpose(*made);
}

// A problem on steps and channels of the only input: everything behind the convolutions.
Result<Value> add_window(const LayerCall& call, const Value& value, Layout layout, Problem problem) {
  Result<int> in = call.builder.as_form(value, layout);
  if (!in) return tl::unexpected(in.error());
  problem.layout = layout;
  problem.channels = problem.filters = problem.groups = call.builder.tensor(*in).channels;
  problem.has_bias = false;
  Result<int> out = call.builder.add_problem(problem, *in);
  if (!out) return tl::unexpected(out.error());
  return call.builder.as_value(*out);
}

Result<Value> add_window(const LayerCall& call, Layout layout, const Problem& problem) {
  if (Result<void> done = check_rank(call, 2); !done) return tl::unexpected(done.error());
  return add_window(call, call.in(), layout, problem);
}

Result<void> check_size(const LayerCall& call, const char* name, int64_t size, int64_t least) {
  if (size >= least && size <= kMaxSize) return {};
  return call.builder.refuse("`{}` must be an integer from {} to {}, found {}.", name, least, kMaxSize, size);
}

// BatchNormalization in float64.
Result<BatchNorm> norm_of(const LayerCall& call, const BatchNormOp& op, int64_t channels) {
  const char* names[] = {"gamma", "beta", "moving_mean", "moving_variance"};
  const bool has[] = {op.scale, op.center, true, true};
  // A layer without weights is as Keras makes it: mean 0, variance 1.
  const std::vector<float> zeros(static_cast<size_t>(channels), 0.0F);
  const std::vector<float> ones(static_cast<size_t>(channels), 1.0F);
  const bool is_fresh = call.layer.weights.empty();
  std::vector<const std::vector<float>*> data;
  size_t weight = 0;
  for (size_t i = 0; i < 4; ++i) {
    data.push_back(is_fresh && i >= 2 ? i == 2 ? &zeros : &ones : nullptr);
    if (!has[i] || is_fresh) continue;
    if (Result<void> done = check_shape(call, weight, names[i], {channels}); !done)
      return tl::unexpected(done.error());
    data.back() = &call.layer.weights[weight++].data;
  }
  BatchNorm norm;
  for (size_t c = 0; c < static_cast<size_t>(channels); ++c) {
    const double gamma = data[0] ? static_cast<double>((*data[0])[c]) : 1.0;
    norm.scale.push_back(gamma / std::sqrt(static_cast<double>((*data[3])[c]) + op.epsilon));
    norm.mean.push_back(static_cast<double>((*data[2])[c]));
    norm.shift.push_back(data[1] ? static_cast<double>((*data[1])[c]) : 0.0);
  }
  return norm;
}

}  // namespace

Result<size_t> find_axis(const GraphBuilder& builder, const Value& value, int64_t axis) {
  const auto rank = static_cast<int64_t>(value.shape.size());
  if (axis >= -rank && axis < 0) return static_cast<size_t>(axis + rank);
  if (axis >= 1 && axis <= rank) return static_cast<size_t>(axis - 1);
  if (axis == 0 || axis == -rank - 1) {
    return builder.refuse(
        "Axis {} is the batch axis, along which nothing is computed: samples do not look at each other.",
        axis);
  }
  return builder.refuse("The axis must be from 1 to {} or from -{} to -1, found {}.", rank, rank, axis);
}

Result<Value> add_layer(const LayerCall& call, const LayerSpec& spec) {
  GraphBuilder& builder = call.builder;
  const bool is_dense = spec.kind == LayerKind::kDense;
  if (!is_dense || call.in().shape.empty()) {
    if (Result<void> done = check_rank(call, is_dense ? 1 : 2); !done) return tl::unexpected(done.error());
  }
  Result<int> in = builder.as_form(call.in(), is_dense ? Layout::kChannelsLast : layout_of(spec.data_format));
  if (!in) return tl::unexpected(in.error());
  Result<LayerProblem> made = make_layer_problem(spec, builder.shape_of(call.in()), call.rules);
  if (!made) return builder.error(made.error().code, made.error().message);
  const std::vector<WeightShape> weights = weight_shapes(spec, builder.tensor(*in).channels);
  for (size_t i = 0; i < weights.size() && !call.layer.weights.empty(); ++i) {
    Result<void> done = check_shape(call, i, weights[i].name, weights[i].shape);
    if (!done) return tl::unexpected(done.error());
  }
  Value value{*in, call.in().shape};
  size_t weight = 0;
  for (const Problem& p : made->chain) {
    std::vector<int64_t> shape{p.taps, p.group_channels(), p.filters};
    if (p.transposed) std::swap(shape[1], shape[2]);
    Extras extras{.kernel = add_weight(call, weight, weights[weight].name, shape)};
    ++weight;
    if (p.has_bias) {
      extras.bias = add_weight(call, weight, weights[weight].name, {p.filters});
      ++weight;
    }
    Result<int> out = builder.add_problem(p, value.tensor, extras);
    if (!out) return tl::unexpected(out.error());
    value = result_of(builder, value, *out);
  }
  if (made->row) return add_last_axis(call, *made->row, value);
  return value;
}

Result<Value> add_layer(const LayerCall& call, const ActivationOp& op) {
  if (!op.axes.empty()) return add_joint_softmax(call, op.axes);
  return add_activation(call, op.activation, call.in());
}

Result<Value> add_layer(const LayerCall& call, const PreluOp&) {
  if (call.layer.weights.empty()) {
    return call.builder.error(
        ErrorCode::kInvalidData,
        "The model needs a file with its weights: only alpha itself says which axes share one.");
  }
  const Tensor& alpha = call.layer.weights[0];
  return add_array_operand(call, call.in(), Combine::kPrelu, 0, {"alpha", alpha.shape, alpha.data});
}

Result<Value> add_layer(const LayerCall& call, const BatchNormOp& op) {
  GraphBuilder& builder = call.builder;
  Result<size_t> axis = find_axis(builder, call.in(), op.axis);
  if (!axis) return tl::unexpected(axis.error());
  const size_t rank = call.in().shape.size();
  const bool is_last = *axis + 1 == rank;
  if (!is_last && rank != 2) {
    return builder.error(
        ErrorCode::kUnsupported,
        fmt::format("An axis other than the last is computed for 2 axes behind the batch axis, "
                    "found axis {} of the shape {}.",
                    op.axis, builder.text(call.in())));
  }
  Result<int> in = builder.as_form(call.in(), is_last ? Layout::kChannelsLast : Layout::kChannelsFirst);
  if (!in) return tl::unexpected(in.error());
  Result<BatchNorm> norm = norm_of(call, op, builder.tensor(*in).channels);
  if (!norm) return tl::unexpected(norm.error());
  return add_norm(call, *in, call.in().shape, std::move(*norm));
}

Result<Value> add_norm(const LayerCall& call, int in, const std::vector<Axis>& shape, BatchNorm norm) {
  GraphBuilder& builder = call.builder;
  const GraphTensor& t = builder.tensor(in);
  const int64_t channels = t.channels;
  Problem problem = copy_problem(channels, t.layout);
  problem.reduce = Reduce::kMultiplyAdd;
  problem.has_bias = true;
  problem.starts_from_bias = true;
  LayerArrays& made = call.arrays;
  if (made.arrays.empty() || builder.array(made.arrays[1]).shape[0] != channels) {
    std::vector<float> scale(norm.scale.begin(), norm.scale.end());
    std::vector<float> shift;
    for (size_t c = 0; c < scale.size(); ++c) shift.push_back(static_cast<float>(norm.offset(c)));
    const std::string& name = call.layer.name;
    made.arrays = {builder.add_array({name + "/scale", {1, 1, channels}, std::move(scale)}),
                   builder.add_array({name + "/shift", {channels}, std::move(shift)})};
    made.batch_norm = builder.add_batch_norm(std::move(norm));
  }
  return builder.add_elementwise(
      problem, {in, shape},
      {.kernel = made.arrays[0], .bias = made.arrays[1], .batch_norm = made.batch_norm});
}

Result<Value> add_layer(const LayerCall& call, const PoolOp& op) {
  if (Result<void> done = check_size(call, "pool_size", op.pool_size, 1); !done)
    return tl::unexpected(done.error());
  if (Result<void> done = check_size(call, "strides", op.strides, 1); !done)
    return tl::unexpected(done.error());
  Problem problem;
  problem.reduce = op.average ? Reduce::kMean : Reduce::kMax;
  problem.taps = op.pool_size;
  problem.stride = op.strides;
  problem.pad_same = op.padding == Padding::kSame;
  return add_window(call, layout_of(op.data_format), problem);
}

Result<Value> add_layer(const LayerCall& call, const GlobalPoolOp& op) {
  if (Result<void> done = check_rank(call, 2); !done) return tl::unexpected(done.error());
  return add_global_pool(call, op, call.in());
}

Result<Value> add_global_pool(const LayerCall& call, const GlobalPoolOp& op, Value value) {
  Problem problem;
  problem.reduce = op.average ? Reduce::kMean : Reduce::kMax;
  problem.taps = problem.stride = kAllSteps;
  problem.pad_right = kAllSteps - 1;
  problem.one_step = true;
  // Over channels last: lanes over steps want windows that fit into a tile.
  const bool is_first = op.data_format == DataFormat::kChannelsFirst;
  if (is_first) {
    Result<int> in = call.builder.as_form(value, Layout::kChannelsFirst);
    if (!in) return tl::unexpected(in.error());
    Result<Value> turned = call.builder.transpose({*in, value.shape});
    if (!turned) return turned;
    value = *turned;
  }
  Result<Value> out = add_window(call, value, Layout::kChannelsLast, problem);
  if (!out) return out;
  const Axis channels{call.builder.tensor(out->tensor).channels, -1};
  if (!op.keepdims) return call.builder.reshape(*out, {channels});
  return is_first ? call.builder.reshape(*out, {channels, {1, -1}}) : out;
}

Result<Value> add_layer(const LayerCall& call, const ZeroPaddingOp& op) {
  if (Result<void> done = check_size(call, "padding", std::min(op.left, op.right), 0); !done)
    return tl::unexpected(done.error());
  if (Result<void> done = check_size(call, "padding", std::max(op.left, op.right), 0); !done)
    return tl::unexpected(done.error());
  Problem problem;
  problem.reduce = Reduce::kCopy;
  problem.pad_left = op.left;
  problem.pad_right = op.right;
  return add_window(call, layout_of(op.data_format), problem);
}

Result<Value> add_layer(const LayerCall& call, const CroppingOp& op) {
  if (Result<void> done = check_size(call, "cropping", std::min(op.left, op.right), 0); !done)
    return tl::unexpected(done.error());
  if (Result<void> done = check_size(call, "cropping", std::max(op.left, op.right), 0); !done)
    return tl::unexpected(done.error());
  Problem problem;
  problem.reduce = Reduce::kCopy;
  problem.pad_left = -op.left;
  problem.pad_right = -op.right;
  return add_window(call, Layout::kChannelsLast, problem);
}

Result<Value> add_layer(const LayerCall& call, const UpSamplingOp& op) {
  if (Result<void> done = check_size(call, "size", op.size, 1); !done) return tl::unexpected(done.error());
  Problem problem;
  problem.reduce = Reduce::kCopy;
  problem.transposed = true;
  problem.taps = problem.stride = op.size;
  return add_window(call, Layout::kChannelsLast, problem);
}

}  // namespace convsmith::ir
