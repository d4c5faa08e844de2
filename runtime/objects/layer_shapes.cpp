#include "runtime/objects/layer_shapes.hpp"

#include <fmt/format.h>

#include "convsmith/activation.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/problem.hpp"

namespace convsmith {
namespace {

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

// Of sizes from 0 to kMaxAxis; kMaxAxis + 1 where the product is larger.
int64_t limited_product(int64_t a, int64_t b) {
  return b != 0 && a > kMaxAxis / b ? kMaxAxis + 1 : a * b;
}

// Steps of a (batch, steps, channels) input, or of (batch, channels, steps).
size_t steps_axis(DataFormat format) {
  return format == DataFormat::kChannelsLast ? 1 : 2;
}

class ShapeRule {
 public:
  explicit ShapeRule(const Shape& input) : input_(input) {}

  Result<Shape> operator()(const InputOp&) const { return input_; }
  Result<Shape> operator()(const ActivationOp& op) const {
    if (is_elementwise(op.activation.kind) || !op.axes.empty()) return input_;
    const Result<size_t> axis = find_axis(static_cast<int64_t>(op.activation.params[0]), input_.size());
    if (!axis) return tl::unexpected(axis.error());
    Shape out = input_;
    if (op.activation.kind != ActivationKind::kGlu) return out;
    if (out[*axis].value_or(0) % 2 != 0) {
      return refuse(fmt::format("glu halves its axis, which must be even, got {}.", shape_text(input_)));
    }
    if (out[*axis]) *out[*axis] /= 2;
    return out;
  }
  Result<Shape> operator()(const PreluOp&) const { return input_; }
  Result<Shape> operator()(const IdentityOp&) const { return input_; }
  Result<Shape> operator()(const BatchNormOp& op) const {
    const Result<size_t> axis = find_axis(op.axis, input_.size());
    if (!axis) return tl::unexpected(axis.error());
    if (!input_[*axis]) {
      return refuse(fmt::format("Axis {} of the input must be known to be normalized, got {}.", op.axis,
                                shape_text(input_)));
    }
    return input_;
  }
  Result<Shape> operator()(const LayerSpec& spec) const {
    const Result<LayerProblem> problem = make_layer_problem(spec, input_);
    if (!problem) return tl::unexpected(problem.error());
    return output_shape(*problem, input_);
  }
  Result<Shape> operator()(const PoolOp& op) const {
    Problem window;
    window.taps = op.pool_size;
    window.stride = op.strides;
    window.pad_same = op.padding == Padding::kSame;
    return map_steps(op.data_format, [&](int64_t steps) { return window.output_steps(steps); });
  }
  Result<Shape> operator()(const GlobalPoolOp& op) const {
    Result<Shape> out = map_steps(op.data_format, [](int64_t) { return int64_t{1}; });
    if (!out) return out;
    const size_t axis = steps_axis(op.data_format);
    (*out)[axis] = 1;
    if (!op.keepdims) out->erase(out->begin() + static_cast<std::ptrdiff_t>(axis));
    return out;
  }
  Result<Shape> operator()(const ZeroPaddingOp& op) const {
    return map_steps(op.data_format, [&](int64_t steps) { return op.left + steps + op.right; });
  }
  Result<Shape> operator()(const CroppingOp& op) const {
    Result<Shape> out =
        map_steps(DataFormat::kChannelsLast, [&](int64_t steps) { return steps - op.left - op.right; });
    if (out && (*out)[1].value_or(1) <= 0) {
      return refuse(fmt::format("Cropping ({}, {}) leaves no step of an input of shape {}.", op.left,
                                op.right, shape_text(input_)));
    }
    return out;
  }
  Result<Shape> operator()(const UpSamplingOp& op) const {
    return map_steps(DataFormat::kChannelsLast,
                     [&](int64_t steps) { return limited_product(steps, op.size); });
  }
  Result<Shape> operator()(const FlattenOp&) const { return Shape{input_.front(), features()}; }
  Result<Shape> operator()(const ReshapeOp& op) const {
    Shape out{input_.front()};
    int64_t known = 1;
    size_t open = 0;
    for (const int64_t size : op.target) {
      if (size < 0) open = out.size();
      if (size >= 0) known = limited_product(known, size);
      out.push_back(size < 0 ? std::nullopt : std::optional<int64_t>(size));
    }
    const std::optional<int64_t> all = features();
    if (!all) return out;
    if (open != 0 && known != 0 && *all % known == 0) out[open] = *all / known;
    if (open == 0 ? *all != known : !out[open]) {
      return refuse(fmt::format("An input of shape {} has {} elements, which cannot be reshaped to {}.",
                                shape_text(input_), *all, shape_text({out.begin() + 1, out.end()})));
    }
    return out;
  }
  Result<Shape> operator()(const PermuteOp&) const { return refuse_kind("Permute"); }
  Result<Shape> operator()(const MergeOp&) const { return refuse_kind("A merge"); }
  Result<Shape> operator()(const ConcatenateOp&) const { return refuse_kind("Concatenate"); }
  Result<Shape> operator()(const AffineOp&) const { return refuse_kind("An array"); }
  Result<Shape> operator()(const NormalizationOp&) const { return refuse_kind("Normalization"); }
  Result<Shape> operator()(const LimitOp&) const { return refuse_kind("An array"); }
  Result<Shape> operator()(const ReduceOp&) const { return refuse_kind("A reduction"); }

 private:
  template <class F>
  Result<Shape> map_steps(DataFormat format, F make_steps) const {
    if (input_.size() != 3) {
      return refuse(fmt::format("The input must have 3 axes, batch included, got {}.", shape_text(input_)));
    }
    Shape out = input_;
    std::optional<int64_t>& steps = out[steps_axis(format)];
    if (steps) steps = make_steps(*steps);
    return out;
  }

  // Elements of a sample.
  std::optional<int64_t> features() const {
    int64_t all = 1;
    for (size_t axis = 1; axis < input_.size(); ++axis) {
      if (!input_[axis]) return std::nullopt;
      all = limited_product(all, *input_[axis]);
    }
    return all;
  }

  static Result<Shape> refuse_kind(std::string_view what) {
    return make_error(ErrorCode::kUnsupported, fmt::format("{} is no layer of a Sequential.", what));
  }

  const Shape& input_;
};

}  // namespace

Result<size_t> find_axis(int64_t axis, size_t rank) {
  const auto count = static_cast<int64_t>(rank);
  if (axis < -count || axis >= count) {
    return refuse(fmt::format("Axis {} does not exist in an input of {} axes.", axis, rank));
  }
  return static_cast<size_t>(axis < 0 ? axis + count : axis);
}

Result<Shape> op_output_shape(const LayerOp& op, const Shape& input) {
  if (input.empty()) return refuse("The input must have a batch axis.");
  Result<Shape> out = std::visit(ShapeRule(input), op);
  if (!out) return out;
  for (const std::optional<int64_t>& axis : *out) {
    if (axis.value_or(0) > kMaxAxis) {
      return refuse(fmt::format("The output for an input of shape {} has an axis longer than {}.",
                                shape_text(input), kMaxAxis));
    }
  }
  return out;
}

Result<int64_t> input_channels(const LayerSpec& spec, const Shape& input) {
  // Finds everything that may be wrong with the shape.
  const Result<LayerProblem> problem = make_layer_problem(spec, input);
  if (!problem) return tl::unexpected(problem.error());
  return problem->chain.front().channels;
}

}  // namespace convsmith
