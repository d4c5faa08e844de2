// The layers that move values without changing them, and those with several inputs.
#include <fmt/ranges.h>

#include <algorithm>
#include <bit>

#include "frontend/keras/check_spec.hpp"
#include "ir/graph/build_graph_layers.hpp"

namespace convsmith::ir {
namespace {

// What a size leaves when the others of a product are taken out; nothing where it is no integer.
std::optional<Axis> divide(const Axis& total, int64_t by) {
  if (by < 1 || total.size % by != 0) return {};
  return Axis{total.size / by, total.extent};
}

Result<Axis> pinned(GraphBuilder& builder, const Axis& axis) {
  Result<int64_t> size = builder.pin(axis);
  if (!size) return tl::unexpected(size.error());
  return Axis{*size, -1};
}

Combine combine_of(MergeKind kind) {
  switch (kind) {
    case MergeKind::kSubtract:
      return Combine::kSubtract;
    case MergeKind::kMultiply:
      return Combine::kMultiply;
    case MergeKind::kMaximum:
      return Combine::kMaximum;
    case MergeKind::kMinimum:
      return Combine::kMinimum;
    case MergeKind::kDivide:
      return Combine::kDivide;
    case MergeKind::kAdd:
    case MergeKind::kAverage:
      break;
  }
  return Combine::kAdd;
}

Combine exchanged(Combine combine) {
  return combine == Combine::kSubtract ? Combine::kSubtractFrom : combine;
}

// How the smaller value of a merge meets the larger one, of as many axes.
struct Broadcast {
  bool has_leading = true;  // all axes but the last
  bool has_last = true;
  bool fits = true;      // false: sizes differ
  bool is_plain = true;  // false: legal in Keras, but not of the two forms above
};

Result<Broadcast> broadcast(GraphBuilder& builder, const Value& large, const std::vector<Axis>& small) {
  Broadcast out;
  const size_t rank = large.shape.size();
  size_t stretched = 0;  // of the leading axes
  size_t kept = 0;
  for (size_t i = 0; i < rank; ++i) {
    const bool is_last = i + 1 == rank;
    const bool is_stretched = builder.known(small[i]) == 1 && builder.known(large.shape[i]) != 1;
    if (is_stretched) {
      if (Result<Axis> one = pinned(builder, small[i]); !one) return tl::unexpected(one.error());
      if (is_last) out.has_last = false;
      stretched += is_last ? 0 : 1;
    } else if (!builder.are_equal(large.shape[i], small[i])) {
      if (builder.known(large.shape[i]) == 1) {
        out.is_plain = false;  // the other way round along this axis
      } else {
        out.fits = false;
      }
    } else if (!is_last && builder.known(small[i]) != 1) {
      ++kept;
    }
  }
  out.has_leading = stretched == 0;
  if (stretched > 0 && kept > 0) out.is_plain = false;
  return out;
}

bool is_larger(const GraphBuilder& builder, const std::vector<Axis>& a, const std::vector<Axis>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (builder.known(b[i]) == 1 && builder.known(a[i]) != 1) return true;
  }
  return false;
}

// One merge of two values.
Result<Value> merge(GraphBuilder& builder, Combine combine, Value a, Value b) {
  // Layers fill missing axes in behind the batch axis; of operators none is missing any more.
  const size_t rank = std::max(a.shape.size(), b.shape.size());
  for (Value* value : {&a, &b}) {
    std::vector<Axis> shape = value->shape;
    shape.insert(shape.begin(), rank - shape.size(), Axis{1, -1});
    Result<Value> wide = builder.reshape(*value, std::move(shape));
    if (!wide) return wide;
    *value = *wide;
  }
  const std::string shapes = fmt::format("{} and {}", builder.text(a), builder.text(b));
  if (!is_larger(builder, a.shape, b.shape) && is_larger(builder, b.shape, a.shape)) {
    if (combine == Combine::kDivide) {
      return builder.error(ErrorCode::kUnsupported,
                           fmt::format("A divisor with more values is not computed, found {}.", shapes));
    }
    std::swap(a, b);
    combine = exchanged(combine);
  }
  Result<Broadcast> how = broadcast(builder, a, b.shape);
  if (!how) return tl::unexpected(how.error());
  if (!how->fits)
    return builder.refuse("The inputs must have equal sizes or 1 along each axis, found {}.", shapes);
  if (!how->is_plain) {
    return builder.error(
        ErrorCode::kUnsupported,
        fmt::format("Inputs that must both be stretched are not computed, found {}.", shapes));
  }
  const Layout layout = builder.layout_of(a);
  Result<int> operand = builder.as_form(b, layout);
  if (!operand) return tl::unexpected(operand.error());
  Problem problem = copy_problem(builder.tensor(a.tensor).channels, layout);
  problem.combine = combine;
  const bool last = layout == Layout::kChannelsLast;
  problem.operand_has_steps = last ? how->has_leading : how->has_last;
  problem.operand_has_channels = last ? how->has_last : how->has_leading;
  return builder.add_elementwise(problem, a, {.operand = *operand});
}

// numpy lines axes up from the right: of (None, 6, 4) and (None, 4), the second batch axis meets the 6.
Result<void> line_up(GraphBuilder& builder, Value& a, Value& b) {
  Value& small = a.shape.size() < b.shape.size() ? a : b;
  if (a.shape.size() == b.shape.size()) return {};
  Result<Value> wide = builder.repeat_samples(small, (&small == &a ? b : a).shape);
  if (!wide) return tl::unexpected(wide.error());
  small = *wide;
  return {};
}

// Operators name the batch axis, too, and may make another number of samples of it.
bool names_batch_axis(const LayerCall& call) {
  return call.layer.class_name.starts_with("keras.ops.");
}

tl::unexpected<Error> refuse_shape(const LayerCall& call, const ReshapeOp& op, const Axis& total) {
  GraphBuilder& builder = call.builder;
  const std::string in = builder.text(call.in());
  const std::optional<int64_t> values = builder.known(total);
  const std::string count = values ? fmt::format("{}", *values) : "an unknown number of";
  if (names_batch_axis(call)) {
    return builder.refuse(
        "The shape (-1, {}) must keep samples apart: an input of shape {} has {} values a sample, and the "
        "sizes "
        "behind the -1 must multiply to that, as in (-1, {}). Dense and convolutions need no reshape to work "
        "on "
        "the last axis; `keras.layers.Reshape` takes a shape without the batch axis.",
        fmt::join(op.target, ", "), in, count, values ? count : "steps, channels");
  }
  const bool is_open = std::find(op.target.begin(), op.target.end(), -1) != op.target.end();
  return builder.refuse(
      "An input of shape {} has {} values a sample and cannot take the shape ({}): its sizes "
      "must {} that.",
      in, count, fmt::join(op.target, ", "), is_open ? "divide" : "multiply to");
}

}  // namespace

Result<Axis> product_of(GraphBuilder& builder, std::span<const Axis> axes) {
  Axis total;
  for (const Axis& axis : axes) {
    Axis next = axis;
    if (axis.extent >= 0 && total.extent >= 0) {
      Result<int64_t> size = builder.pin(axis);
      if (!size) return tl::unexpected(size.error());
      next = {*size, -1};
    }
    if (next.size != 0 && total.size >= kMaxFloats / std::max<int64_t>(next.size, 1))
      return builder.refuse("There would be {} values a sample or more.", kMaxFloats);
    total = {total.size * next.size, std::max(total.extent, next.extent)};
  }
  return total;
}

Result<Value> add_layer(const LayerCall& call, const FlattenOp& op) {
  GraphBuilder& builder = call.builder;
  Value in = call.in();
  if (op.data_format == DataFormat::kChannelsFirst && in.shape.size() > 1) {
    Result<Value> turned = builder.transpose(in);
    if (!turned) return turned;
    in = *turned;
  }
  Result<Axis> size = product_of(builder, in.shape);
  if (!size) return tl::unexpected(size.error());
  size = pinned(builder, *size);
  if (!size) return tl::unexpected(size.error());
  return builder.reshape(in, {*size});
}

Result<Value> add_layer(const LayerCall& call, const ReshapeOp& op) {
  GraphBuilder& builder = call.builder;
  Result<Axis> total = product_of(builder, call.in().shape);
  if (!total) return tl::unexpected(total.error());
  const auto fail = [&] { return refuse_shape(call, op, *total); };
  int64_t product = 1;
  std::optional<size_t> open;
  std::vector<Axis> shape;
  for (size_t i = 0; i < op.target.size(); ++i) {
    const int64_t size = op.target[i];
    shape.push_back({size, -1});
    if (size == -1 && !open) {
      open = i;
    } else if (size < 1 || size > kMaxSize || product >= kMaxFloats / size) {
      return fail();
    } else {
      product *= size;
    }
  }
  if (shape.empty()) return fail();
  // Open steps stay open where the target leaves an axis open and the rest divides the fixed part.
  if (open && total->extent >= 0 && !divide(*total, product)) total = pinned(builder, *total);
  if (!open && names_batch_axis(call) && !builder.known(*total)) return fail();
  if (!open) total = pinned(builder, *total);
  if (!total) return tl::unexpected(total.error());
  const std::optional<Axis> rest = divide(*total, product);
  if (!rest || (!open && rest->size != 1)) return fail();
  if (open) shape[*open] = *rest;
  return builder.reshape(call.in(), std::move(shape));
}

Result<Value> add_joint_softmax(const LayerCall& call, const std::vector<int64_t>& numbers) {
  GraphBuilder& builder = call.builder;
  const Value& in = call.in();
  std::vector<size_t> axes;
  for (const int64_t number : numbers) {
    Result<size_t> axis = find_axis(builder, in, number);
    if (!axis) return tl::unexpected(axis.error());
    axes.push_back(*axis);
  }
  std::sort(axes.begin(), axes.end());
  const bool is_distinct = std::adjacent_find(axes.begin(), axes.end()) == axes.end();
  const bool is_block = is_distinct && axes.back() - axes.front() + 1 == axes.size();
  const bool is_last = axes.back() + 1 == in.shape.size();
  if (!is_block || (!is_last && axes.front() != 0)) {
    return builder.error(ErrorCode::kUnsupported,
                         fmt::format("A softmax over the axes ({}) of an input of shape {} is not computed: "
                                     "they must be the first or the last ones behind the batch axis, side by "
                                     "side.",
                                     fmt::join(numbers, ", "), builder.text(in)));
  }
  const std::span<const Axis> shape = in.shape;
  Result<Axis> rest = product_of(builder, is_last ? shape.first(axes.front()) : shape.subspan(axes.size()));
  if (!rest) return tl::unexpected(rest.error());
  Result<Axis> row = product_of(builder, shape.subspan(axes.front(), axes.size()));
  if (row && rest->extent >= 0) row = pinned(builder, *row);
  if (!row) return tl::unexpected(row.error());
  Result<Value> out = builder.reshape(in, is_last ? std::vector{*rest, *row} : std::vector{*row, *rest});
  if (out && !is_last) out = builder.transpose(*out);
  if (out) out = builder.add_row_op(OpKind::kSoftmax, *out);
  if (out && !is_last) out = builder.transpose(*out);
  return out ? builder.reshape(*out, in.shape) : out;
}

Result<Value> add_layer(const LayerCall& call, const PermuteOp& op) {
  if (op.dims.size() != call.in().shape.size()) {
    return call.builder.refuse("`dims` must name the {} axes of the input {}, found ({}).",
                               call.in().shape.size(), call.builder.text(call.in()),
                               fmt::join(op.dims, ", "));
  }
  if (std::is_sorted(op.dims.begin(), op.dims.end())) return call.in();
  if (op.dims.size() == 2) return call.builder.transpose(call.in());
  return call.builder.error(ErrorCode::kUnsupported,
                            fmt::format("dims=({}) is not computed, only (2, 1).", fmt::join(op.dims, ", ")));
}

Result<Value> add_layer(const LayerCall& call, const MergeOp& op) {
  GraphBuilder& builder = call.builder;
  Value sum = call.in();
  for (Value next : call.inputs.subspan(1)) {
    if (op.is_operator) {
      if (Result<void> done = line_up(builder, sum, next); !done) return tl::unexpected(done.error());
    }
    Result<Value> merged = merge(builder, combine_of(op.kind), sum, std::move(next));
    if (!merged) return merged;
    sum = *merged;
  }
  if (op.kind != MergeKind::kAverage) return sum;
  const GraphTensor& t = builder.tensor(sum.tensor);
  Problem divide = copy_problem(t.channels, t.layout);
  // A product with the inverse of a power of two is the quotient, bit for bit.
  const size_t count = call.inputs.size();
  const bool is_exact = std::has_single_bit(count);
  divide.combine = is_exact ? Combine::kMultiply : Combine::kDivide;
  divide.operand_has_steps = divide.operand_has_channels = false;
  if (call.arrays.arrays.empty()) {
    const float by = is_exact ? 1.0F / static_cast<float>(count) : static_cast<float>(count);
    call.arrays.arrays.push_back(builder.add_array({call.layer.name + "/count", {1, 1}, {by}}));
  }
  return builder.add_elementwise(divide, sum, {.operand_array = call.arrays.arrays[0]});
}

Result<Value> concatenate_last(GraphBuilder& builder, std::span<const Value> parts) {
  std::vector<int> rows;
  int64_t channels = 0;
  for (const Value& part : parts) {
    Result<int> tensor = builder.as_rows(part);
    if (!tensor) return tl::unexpected(tensor.error());
    rows.push_back(*tensor);
    channels += builder.tensor(*tensor).channels;
  }
  Result<int> whole = builder.add_tensor(builder.tensor(rows[0]).steps, channels, Layout::kChannelsLast);
  if (!whole) return tl::unexpected(whole.error());
  int64_t first = 0;
  for (const int part : rows) {
    const int64_t width = builder.tensor(part).channels;
    const Problem copy = copy_problem(width, Layout::kChannelsLast);
    builder.add_problem_into(builder.add_slice(*whole, first, width), copy, part);
    first += width;
  }
  Value out{*whole, parts[0].shape};
  out.shape.back() = {channels, -1};
  return out;
}

Result<Value> add_layer(const LayerCall& call, const ConcatenateOp& op) {
  GraphBuilder& builder = call.builder;
  if (call.inputs.size() == 1) return call.in();
  Result<size_t> axis = find_axis(builder, call.in(), op.axis);
  if (!axis) return tl::unexpected(axis.error());
  const size_t rank = call.in().shape.size();
  std::vector<Value> parts(call.inputs.begin(), call.inputs.end());
  for (const Value& part : parts) {
    bool fits = part.shape.size() == rank;
    for (size_t i = 0; fits && i < rank; ++i)
      fits = i == *axis || builder.are_equal(call.in().shape[i], part.shape[i]);
    if (!fits) {
      return builder.refuse("The inputs must have equal sizes along all axes but axis {}, found {} and {}.",
                            *axis + 1, builder.text(call.in()), builder.text(part));
    }
  }
  if (*axis + 1 == rank) return concatenate_last(builder, parts);
  // Channels before open steps: as last axis of the transposed values.
  const bool turns = rank == 2 && parts[0].shape[1].extent >= 0;
  if (turns) {
    for (Value& part : parts) {
      Result<Value> turned = builder.transpose(part);
      if (!turned) return turned;
      part = *turned;
    }
    Result<Value> whole = concatenate_last(builder, parts);
    return whole ? builder.transpose(*whole) : whole;
  }
  // All else: what lies behind the axis, as one row of fixed size.
  std::vector<Axis> shape = call.in().shape;
  shape[*axis] = {0, -1};
  for (Value& part : parts) {
    const std::span<const Axis> axes = part.shape;
    Result<Axis> lead = product_of(builder, axes.first(*axis));
    if (!lead) return tl::unexpected(lead.error());
    Result<Axis> size = pinned(builder, part.shape[*axis]);
    if (!size) return tl::unexpected(size.error());
    shape[*axis].size += size->size;
    Result<Axis> row = product_of(builder, axes.subspan(*axis));
    if (row) row = pinned(builder, *row);
    if (!row) return tl::unexpected(row.error());
    Result<Value> flat = builder.reshape(part, {*lead, *row});
    if (!flat) return flat;
    part = *flat;
  }
  Result<Value> whole = concatenate_last(builder, parts);
  return whole ? builder.reshape(*whole, std::move(shape)) : whole;
}

}  // namespace convsmith::ir
