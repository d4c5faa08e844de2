// Layers and operators with arrays that stand in the model's config, and reductions over axes.
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ir/graph/build_graph_layers.hpp"

namespace convsmith::ir {
namespace {

// The sizes of a constant as axes of the value, 1 where it has none.
Result<std::vector<int64_t>> line_up(GraphBuilder& builder, const Value& value, const Constant& constant) {
  const size_t rank = value.shape.size();
  std::vector<int64_t> shape = constant.shape;
  if (shape.size() == rank + 1 && shape[0] == 1) shape.erase(shape.begin());
  if (shape.size() > rank) {
    return builder.refuse(
        "An array of shape ({}) would meet the batch axis of an input of shape {}; it may have at most {} "
        "axes.",
        fmt::join(constant.shape, ", "), builder.text(value), rank);
  }
  shape.insert(shape.begin(), rank - shape.size(), 1);
  for (size_t i = 0; i < rank; ++i) {
    if (shape[i] == 1) continue;
    Result<int64_t> size = builder.pin(value.shape[i]);
    if (!size) return tl::unexpected(size.error());
    if (*size == shape[i]) continue;
    return builder.error(
        ErrorCode::kUnsupported,
        fmt::format("An array of shape ({}) must have the sizes of the input {} or 1 along each axis.",
                    fmt::join(constant.shape, ", "), builder.text(value)));
  }
  return shape;
}

std::vector<float> floats(const std::vector<double>& data) {
  return {data.begin(), data.end()};
}

bool is_all(const Constant& constant, double number) {
  return std::all_of(constant.data.begin(), constant.data.end(), [&](double x) { return x == number; });
}

}  // namespace

Result<Value> add_array_operand(const LayerCall& call, const Value& value, Combine combine, size_t number,
                                Array array) {
  GraphBuilder& builder = call.builder;
  std::vector<int64_t> expected;
  bool has[2] = {false, false};  // leading axes, the last axis
  bool is_shared = false;        // some leading axis
  for (size_t i = 0; i < value.shape.size() && i < array.shape.size(); ++i) {
    const bool is_last = i + 1 == value.shape.size();
    expected.push_back(1);
    if (array.shape[i] != 1) {
      Result<int64_t> size = builder.pin(value.shape[i]);
      if (!size) return tl::unexpected(size.error());
      expected.back() = *size;
      has[is_last ? 1 : 0] = true;
    } else if (!is_last && builder.known(value.shape[i]) != 1) {
      is_shared = true;
    }
  }
  if (array.shape.size() != value.shape.size() || array.shape != expected) {
    return builder.error(ErrorCode::kInvalidData,
                         fmt::format("{} must have the input's shape {} with 1 at shared axes, found ({}).",
                                     array.name, builder.text(value), fmt::join(array.shape, ", ")));
  }
  if (has[0] && is_shared && value.shape.size() > 2)
    return builder.error(
        ErrorCode::kUnsupported,
        fmt::format("{} must differ along all axes but the last, or along none of them.", array.name));
  const GraphTensor& t = builder.tensor(value.tensor);
  Problem problem = copy_problem(t.channels, t.layout);
  problem.combine = combine;
  const bool last = t.layout == Layout::kChannelsLast;
  problem.operand_has_steps = has[last ? 0 : 1];
  problem.operand_has_channels = has[last ? 1 : 0];
  if (call.arrays.arrays.size() <= number) {
    array.name = call.layer.name + "/" + array.name;
    call.arrays.arrays.push_back(builder.add_array(std::move(array)));
  }
  return builder.add_elementwise(problem, value, {.operand_array = call.arrays.arrays[number]});
}

Result<Value> add_layer(const LayerCall& call, const AffineOp& op) {
  GraphBuilder& builder = call.builder;
  const Value& in = call.in();
  Result<std::vector<int64_t>> shape = line_up(builder, in, op.scale);
  if (!shape) return tl::unexpected(shape.error());
  const auto axes = std::count_if(shape->begin(), shape->end(), [](int64_t size) { return size != 1; });
  const bool is_last = axes == 1 && shape->back() != 1;
  const bool is_first = axes == 1 && shape->size() == 2 && !is_last;
  if (axes == 0 || is_last || is_first) {
    Result<int> tensor = in.tensor;
    if (axes != 0) tensor = builder.as_form(in, is_last ? Layout::kChannelsLast : Layout::kChannelsFirst);
    if (!tensor) return tl::unexpected(tensor.error());
    const auto channels = static_cast<size_t>(builder.tensor(*tensor).channels);
    BatchNorm norm{op.scale.data, std::vector<double>(channels, 0.0), op.shift.data};
    if (axes == 0) norm.scale.resize(channels, norm.scale[0]);
    if (axes == 0) norm.shift.resize(channels, norm.shift[0]);
    return add_norm(call, *tensor, in.shape, std::move(norm));
  }
  Result<Value> out = in;
  size_t number = 0;
  if (!is_all(op.scale, 1.0))
    out =
        add_array_operand(call, *out, Combine::kMultiply, number++, {"scale", *shape, floats(op.scale.data)});
  if (out && !is_all(op.shift, 0.0))
    out = add_array_operand(call, *out, Combine::kAdd, number, {"shift", *shape, floats(op.shift.data)});
  return out;
}

Result<Value> add_layer(const LayerCall& call, const NormalizationOp& op) {
  constexpr double kLeastDeviation = 1e-7;  // Keras's epsilon()
  std::set<size_t> axes;
  for (const int64_t number : op.axes) {
    Result<size_t> axis = find_axis(call.builder, call.in(), number);
    if (!axis) return tl::unexpected(axis.error());
    axes.insert(*axis);
  }
  // A layer without weights is as Keras makes it.
  const std::vector<Tensor>& weights = call.layer.weights;
  const auto weight = [&](size_t i, double otherwise) {
    if (weights.empty()) return Constant{{}, {otherwise}};
    return Constant{weights[i].shape, {weights[i].data.begin(), weights[i].data.end()}};
  };
  const Constant mean = op.mean ? *op.mean : weight(0, 0.0);
  const Constant variance = op.variance ? *op.variance : weight(1, 1.0);
  if (mean.shape != variance.shape) {
    return call.builder.error(ErrorCode::kInvalidData,
                              fmt::format("The mean has the shape ({}), but the variance has ({}).",
                                          fmt::join(mean.shape, ", "), fmt::join(variance.shape, ", ")));
  }
  // The sizes belong to the last ones of the axes.
  AffineOp affine{{std::vector<int64_t>(call.in().shape.size(), 1), {}}, {}};
  auto axis = axes.rbegin();
  for (size_t i = mean.shape.size(); i-- > 0 && axis != axes.rend(); ++axis)
    affine.scale.shape[*axis] = mean.shape[i];
  affine.shift.shape = affine.scale.shape;
  for (size_t i = 0; i < mean.data.size(); ++i) {
    const double deviation = std::max(std::sqrt(variance.data[i]), kLeastDeviation);
    affine.scale.data.push_back(op.invert ? deviation : 1.0 / deviation);
    affine.shift.data.push_back(op.invert ? mean.data[i] : -mean.data[i] / deviation);
  }
  return add_layer(call, affine);
}

Result<Value> add_layer(const LayerCall& call, const LimitOp& op) {
  Result<std::vector<int64_t>> shape = line_up(call.builder, call.in(), op.limit);
  if (!shape) return tl::unexpected(shape.error());
  return add_array_operand(call, call.in(), op.is_upper ? Combine::kMinimum : Combine::kMaximum, 0,
                           {"limit", std::move(*shape), floats(op.limit.data)});
}

Result<Value> add_layer(const LayerCall& call, const ReduceOp& op) {
  GraphBuilder& builder = call.builder;
  const Value& in = call.in();
  std::set<size_t> axes;
  for (const int64_t number : op.axes) {
    Result<size_t> axis = find_axis(builder, in, number);
    if (!axis) return tl::unexpected(axis.error());
    axes.insert(*axis);
  }
  const size_t rank = in.shape.size();
  if (rank == 2 && axes.size() == 1) {
    const bool is_steps = axes.contains(0);
    return add_global_pool(
        call, {op.average, op.keepdims, is_steps ? DataFormat::kChannelsLast : DataFormat::kChannelsFirst},
        in);
  }
  if (axes.size() < rank) {
    return builder.error(
        ErrorCode::kUnsupported,
        fmt::format("axis=({}), keepdims={} of an input of shape {} is not computed: only one "
                    "of two axes behind the batch axis, or all of them.",
                    fmt::join(op.axes, ", "), op.keepdims ? "True" : "False", builder.text(in)));
  }
  Result<Axis> size = product_of(builder, in.shape);
  if (!size) return tl::unexpected(size.error());
  Result<Value> row = builder.reshape(in, {*size, {1, -1}});
  if (row) row = add_global_pool(call, {op.average, true, DataFormat::kChannelsLast}, *row);
  return row ? builder.reshape(*row, std::vector<Axis>(op.keepdims ? rank : 0)) : row;
}

}  // namespace convsmith::ir
