#include "cli/verify/reference_model.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::cli {

namespace {

using Shape64 = std::vector<int64_t>;

constexpr double kUnit = 0x1p-24;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

int64_t product(std::span<const int64_t> sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

// One rounding of a result.
Number rounded(double exact, double error) {
  return {exact, error + kUnit * std::fabs(exact) + 0x1p-149, 0};
}

// A tensor as (outer, length, inner) around one axis.
struct Axes {
  int64_t outer = 1;
  int64_t length = 1;
  int64_t inner = 1;
  size_t at(int64_t o, int64_t i, int64_t j) const {
    return static_cast<size_t>((o * length + i) * inner + j);
  }
};

size_t axis_of(const ReferenceTensor& t, int64_t axis) {
  return static_cast<size_t>(axis < 0 ? axis + std::ssize(t.shape) : axis);
}

Axes around(const ReferenceTensor& t, size_t axis) {
  const std::span<const int64_t> shape = t.shape;
  return {product(shape.first(axis)), shape[axis], product(shape.subspan(axis + 1))};
}

// Of tensors with three axes.
size_t steps_axis(DataFormat format) {
  return format == DataFormat::kChannelsLast ? 1 : 2;
}

// A tensor whose axis `axis` has `length` places, each made by make(outer, place, inner).
template <class Make>
ReferenceTensor along(const ReferenceTensor& in, size_t axis, int64_t length, Make&& make) {
  ReferenceTensor out{in.shape, {}};
  out.shape[axis] = length;
  const Axes axes = around(out, axis);
  out.values.reserve(static_cast<size_t>(product(out.shape)));
  for (int64_t o = 0; o < axes.outer; ++o) {
    for (int64_t i = 0; i < length; ++i) {
      for (int64_t j = 0; j < axes.inner; ++j) out.values.push_back(make(o, i, j));
    }
  }
  return out;
}

ReferenceTensor activated(const Activation& activation, ReferenceTensor in, int64_t axis) {
  if (is_elementwise(activation.kind)) {
    for (Number& x : in.values) x = activate(activation, x);
    return in;
  }
  const size_t along_axis = axis_of(in, axis);
  const Axes axes = around(in, along_axis);
  if (activation.kind == ActivationKind::kGlu) {
    const int64_t half = axes.length / 2;
    return along(in, along_axis, half, [&](int64_t o, int64_t i, int64_t j) {
      return gate(in.values[axes.at(o, i, j)], in.values[axes.at(o, i + half, j)]);
    });
  }
  std::vector<Number> row(static_cast<size_t>(axes.length));
  for (int64_t o = 0; o < axes.outer; ++o) {
    for (int64_t j = 0; j < axes.inner; ++j) {
      for (int64_t i = 0; i < axes.length; ++i) row[static_cast<size_t>(i)] = in.values[axes.at(o, i, j)];
      activate_row(activation.kind, row);
      for (int64_t i = 0; i < axes.length; ++i) in.values[axes.at(o, i, j)] = row[static_cast<size_t>(i)];
    }
  }
  return in;
}

class Evaluator {
 public:
  explicit Evaluator(const ModelSpec& model) {
    for (const ModelLayer& layer : model.layers) {
      if (!std::holds_alternative<LayerSpec>(layer.op)) continue;
      for (const Tensor& weight : layer.weights)
        longest_sum_ = std::max(longest_sum_, static_cast<double>(weight.data.size()));
    }
  }

  ReferenceTensor apply(const ModelLayer& layer, const std::vector<const ReferenceTensor*>& inputs) {
    layer_ = &layer;
    inputs_ = inputs;
    return std::visit([this](const auto& op) { return run(op, *inputs_[0]); }, layer.op);
  }

 private:
  std::span<const float> weight(size_t i) const { return layer_->weights[i].data; }

  static ReferenceTensor run(const InputOp&, const ReferenceTensor& in) { return in; }
  static ReferenceTensor run(const IdentityOp&, const ReferenceTensor& in) { return in; }

  ReferenceTensor run(const LayerSpec& spec, const ReferenceTensor& in) const {
    const bool is_dense = spec.kind == LayerKind::kDense;
    const bool last = is_dense || spec.data_format == DataFormat::kChannelsLast;
    const size_t channel_axis = last ? in.shape.size() - 1 : 1;
    const int64_t channels = in.shape[channel_axis];
    const int64_t steps = is_dense ? product(std::span(in.shape).subspan(1)) / std::max<int64_t>(channels, 1)
                                   : in.shape[steps_axis(spec.data_format)];
    std::vector<std::span<const float>> weights;
    for (const Tensor& w : layer_->weights) weights.emplace_back(w.data);
    ReferenceSums sums = reference_sums(spec, {in.values, weights, in.shape[0], steps, channels});
    ReferenceTensor out{in.shape, std::move(sums.values)};
    out.shape[channel_axis] = sums.filters;
    if (!is_dense) out.shape[steps_axis(spec.data_format)] = sums.output_steps;
    return activated(spec.activation, std::move(out), -1);
  }

  static ReferenceTensor run(const ActivationOp& op, const ReferenceTensor& in) {
    if (!op.axes.empty()) return joint_softmax(op, in);
    const bool has_axis = !is_elementwise(op.activation.kind);
    return activated(op.activation, in, has_axis ? static_cast<int64_t>(op.activation.params[0]) : -1);
  }

  // Over several axes side by side: as one axis in their place.
  static ReferenceTensor joint_softmax(const ActivationOp& op, const ReferenceTensor& in) {
    std::vector<size_t> axes;
    for (const int64_t axis : op.axes) axes.push_back(axis_of(in, axis));
    const auto first = static_cast<std::ptrdiff_t>(*std::min_element(axes.begin(), axes.end()));
    const auto end = first + std::ssize(axes);
    ReferenceTensor joint = in;
    const int64_t size = product(std::span(in.shape).subspan(static_cast<size_t>(first), axes.size()));
    joint.shape.erase(joint.shape.begin() + first, joint.shape.begin() + end);
    joint.shape.insert(joint.shape.begin() + first, size);
    joint = activated(op.activation, std::move(joint), first);
    joint.shape = in.shape;
    return joint;
  }

  ReferenceTensor run(const PreluOp&, const ReferenceTensor& in) const {
    ReferenceTensor out = in;
    Shape64 shape = layer_->weights[0].shape;
    shape.insert(shape.begin(), 1);
    for (size_t i = 0; i < out.values.size(); ++i) {
      const Number x = in.values[i];
      const double alpha = weight(0)[broadcast_index(in.shape, shape, i)];
      const double y = std::max(x.exact, 0.0) - alpha * std::max(-x.exact, 0.0);
      out.values[i] = rounded(y, std::max(1.0, std::fabs(alpha)) * x.error);
    }
    return out;
  }

  // The element of an array of shape `small`, whose axes of size 1 are stretched, that meets element `i`.
  static size_t broadcast_index(const Shape64& large, const Shape64& small, size_t i) {
    auto rest = static_cast<int64_t>(i);
    int64_t index = 0;
    int64_t pitch = 1;
    for (size_t axis = large.size(); axis-- > 0;) {
      const int64_t place = rest % large[axis];
      rest /= large[axis];
      if (small[axis] != 1) index += place * pitch;
      pitch *= small[axis];
    }
    return static_cast<size_t>(index);
  }

  ReferenceTensor run(const BatchNormOp& op, const ReferenceTensor& in) const {
    const size_t axis = axis_of(in, op.axis);
    const Axes axes = around(in, axis);
    size_t next = 0;
    const std::span<const float> gamma = op.scale ? weight(next++) : std::span<const float>{};
    const std::span<const float> beta = op.center ? weight(next++) : std::span<const float>{};
    const std::span<const float> mean = weight(next++);
    const std::span<const float> variance = weight(next);
    return along(in, axis, axes.length, [&](int64_t o, int64_t i, int64_t j) {
      const auto c = static_cast<size_t>(i);
      const Number x = in.values[axes.at(o, i, j)];
      const double scale = (op.scale ? double{gamma[c]} : 1.0) / std::sqrt(double{variance[c]} + op.epsilon);
      const double shift = op.center ? double{beta[c]} : 0.0;
      const double y = (x.exact - double{mean[c]}) * scale + shift;
      const double magnitude =
          std::fabs(x.exact * scale) + std::fabs(double{mean[c]} * scale) + std::fabs(shift);
      return rounded(y, std::fabs(scale) * x.error + (longest_sum_ + 4) * kUnit * magnitude);
    });
  }

  static ReferenceTensor run(const PoolOp& op, const ReferenceTensor& in) {
    const size_t axis = steps_axis(op.data_format);
    const int64_t steps = in.shape[axis];
    int64_t outputs = steps < op.pool_size ? 0 : (steps - op.pool_size) / op.strides + 1;
    int64_t left = 0;
    if (op.padding == Padding::kSame) {
      outputs = (steps + op.strides - 1) / op.strides;
      left = std::max<int64_t>((outputs - 1) * op.strides + op.pool_size - steps, 0) / 2;
    }
    const Axes axes = around(in, axis);
    return along(in, axis, outputs, [&](int64_t o, int64_t i, int64_t j) {
      const int64_t first = i * op.strides - left;
      return pooled(in, axes, op.average, o, std::max<int64_t>(first, 0),
                    std::min(first + op.pool_size, steps), j);
    });
  }

  // Of the places [begin, end).
  static Number pooled(const ReferenceTensor& in, const Axes& axes, bool average, int64_t o, int64_t begin,
                       int64_t end, int64_t j) {
    Number result{average ? 0 : -kInfinity, 0, 0};
    double magnitude = 0;
    const auto count = static_cast<double>(end - begin);
    for (int64_t i = begin; i < end; ++i) {
      const Number& x = in.values[axes.at(o, i, j)];
      if (!average) {
        result = {std::max(result.exact, x.exact), std::max(result.error, x.error), 0};
        continue;
      }
      result.exact += x.exact / count;
      result.error += x.error / count;
      magnitude += std::fabs(x.exact) / count;
    }
    if (average) result.error += (count + 1) * kUnit * magnitude + 0x1p-149;
    return result;
  }

  static ReferenceTensor run(const GlobalPoolOp& op, const ReferenceTensor& in) {
    const size_t axis = steps_axis(op.data_format);
    const Axes axes = around(in, axis);
    ReferenceTensor out = along(in, axis, 1, [&](int64_t o, int64_t, int64_t j) {
      return pooled(in, axes, op.average, o, 0, axes.length, j);
    });
    if (!op.keepdims) out.shape.erase(out.shape.begin() + static_cast<std::ptrdiff_t>(axis));
    return out;
  }

  // Places from `first` on, `length` of them; zeros where there are none.
  static ReferenceTensor window(const ReferenceTensor& in, size_t axis, int64_t first, int64_t length) {
    const Axes axes = around(in, axis);
    return along(in, axis, std::max<int64_t>(length, 0), [&](int64_t o, int64_t i, int64_t j) {
      const int64_t from = i + first;
      return from < 0 || from >= axes.length ? Number{} : in.values[axes.at(o, from, j)];
    });
  }

  static ReferenceTensor run(const ZeroPaddingOp& op, const ReferenceTensor& in) {
    const size_t axis = steps_axis(op.data_format);
    return window(in, axis, -op.left, op.left + in.shape[axis] + op.right);
  }
  static ReferenceTensor run(const CroppingOp& op, const ReferenceTensor& in) {
    return window(in, 1, op.left, in.shape[1] - op.left - op.right);
  }
  static ReferenceTensor run(const UpSamplingOp& op, const ReferenceTensor& in) {
    const Axes axes = around(in, 1);
    return along(in, 1, in.shape[1] * op.size,
                 [&](int64_t o, int64_t i, int64_t j) { return in.values[axes.at(o, i / op.size, j)]; });
  }

  static ReferenceTensor run(const FlattenOp& op, const ReferenceTensor& in) {
    const bool turns = op.data_format == DataFormat::kChannelsFirst && in.shape.size() == 3;
    ReferenceTensor out = turns ? transposed(in) : in;
    out.shape = {in.shape[0], product(std::span(in.shape).subspan(1))};
    return out;
  }

  static ReferenceTensor run(const ReshapeOp& op, ReferenceTensor in) {
    const int64_t values = product(std::span(in.shape).subspan(1));
    const int64_t known = std::abs(product(op.target));  // -1 counts as 1
    in.shape.resize(1);
    for (const int64_t size : op.target) in.shape.push_back(size == -1 ? values / known : size);
    return in;
  }

  // (n, a, b) to (n, b, a).
  static ReferenceTensor transposed(const ReferenceTensor& in) {
    const Axes axes = around(in, 1);
    ReferenceTensor out{{in.shape[0], in.shape[2], in.shape[1]}, {}};
    for (int64_t n = 0; n < axes.outer; ++n) {
      for (int64_t j = 0; j < axes.inner; ++j) {
        for (int64_t i = 0; i < axes.length; ++i) out.values.push_back(in.values[axes.at(n, i, j)]);
      }
    }
    return out;
  }

  static ReferenceTensor run(const PermuteOp& op, const ReferenceTensor& in) {
    if (std::is_sorted(op.dims.begin(), op.dims.end())) return in;
    CONVSMITH_CHECK(op.dims.size() == 2, "build_graph takes no other permutation");
    return transposed(in);
  }

  static Number merged(MergeKind kind, const Number& a, const Number& b) {
    const double errors = a.error + b.error;
    switch (kind) {
      case MergeKind::kAdd:
      case MergeKind::kAverage:
        return rounded(a.exact + b.exact, errors);
      case MergeKind::kSubtract:
        return rounded(a.exact - b.exact, errors);
      case MergeKind::kMultiply:
        return rounded(a.exact * b.exact,
                       std::fabs(a.exact) * b.error + std::fabs(b.exact) * a.error + a.error * b.error);
      case MergeKind::kMaximum:
        return {std::max(a.exact, b.exact), std::max(a.error, b.error), 0};
      case MergeKind::kMinimum:
        return {std::min(a.exact, b.exact), std::max(a.error, b.error), 0};
      case MergeKind::kDivide: {
        const double y = a.exact / b.exact;
        return rounded(y, (a.error + std::fabs(y) * b.error) / std::max(std::fabs(b.exact) - b.error, 0.0));
      }
    }
    return {};
  }

  ReferenceTensor run(const MergeOp& op, ReferenceTensor sum) const {
    for (size_t k = 1; k < inputs_.size(); ++k) {
      const ReferenceTensor& next = *inputs_[k];
      Shape64 a = sum.shape;
      Shape64 b = next.shape;
      // Missing axes are filled in behind the samples, by operators before them.
      for (Shape64* shape : {&a, &b})
        shape->insert(shape->begin() + (op.is_operator ? 0 : 1),
                      std::max(sum.shape.size(), next.shape.size()) - shape->size(), 1);
      ReferenceTensor out{a, {}};
      for (size_t i = 0; i < a.size(); ++i) out.shape[i] = a[i] == 1 ? b[i] : a[i];
      const auto size = static_cast<size_t>(product(out.shape));
      for (size_t i = 0; i < size; ++i) {
        out.values.push_back(merged(op.kind, sum.values[broadcast_index(out.shape, a, i)],
                                    next.values[broadcast_index(out.shape, b, i)]));
      }
      sum = std::move(out);
    }
    if (op.kind != MergeKind::kAverage) return sum;
    const auto count = static_cast<double>(inputs_.size());
    for (Number& x : sum.values) x = rounded(x.exact / count, x.error / count);
    return sum;
  }

  // Each value with the number of each constant that meets it.
  template <class Make>
  static ReferenceTensor with_constant(const ReferenceTensor& in, const Constant& constant, Make&& make) {
    ReferenceTensor out = in;
    Shape64 shape(in.shape.size(), 1);
    const size_t rank = std::min(shape.size(), constant.shape.size());
    std::copy(constant.shape.end() - static_cast<std::ptrdiff_t>(rank), constant.shape.end(),
              shape.end() - static_cast<std::ptrdiff_t>(rank));
    for (size_t i = 0; i < out.values.size(); ++i)
      out.values[i] = make(in.values[i], broadcast_index(in.shape, shape, i));
    return out;
  }

  ReferenceTensor run(const AffineOp& op, const ReferenceTensor& in) const {
    return with_constant(in, op.scale, [&](const Number& x, size_t i) {
      const double scaled = x.exact * op.scale.data[i];
      const double magnitude = std::fabs(scaled) + std::fabs(op.shift.data[i]);
      return rounded(scaled + op.shift.data[i],
                     std::fabs(op.scale.data[i]) * x.error + (longest_sum_ + 4) * kUnit * magnitude);
    });
  }

  ReferenceTensor run(const NormalizationOp& op, const ReferenceTensor& in) const {
    const auto given = [&](const std::optional<Constant>& constant, size_t i, double otherwise) {
      if (constant) return *constant;
      if (layer_->weights.empty()) return Constant{{}, {otherwise}};
      return Constant{layer_->weights[i].shape, {weight(i).begin(), weight(i).end()}};
    };
    const Constant mean = given(op.mean, 0, 0.0);
    const Constant variance = given(op.variance, 1, 1.0);
    std::vector<size_t> axes;
    for (const int64_t axis : op.axes) axes.push_back(axis_of(in, axis));
    std::sort(axes.begin(), axes.end());
    AffineOp affine{{Shape64(in.shape.size() - 1, 1), {}}, {}};
    for (size_t i = 0; i < mean.shape.size(); ++i)
      affine.scale.shape[axes[axes.size() - mean.shape.size() + i] - 1] = mean.shape[i];
    for (size_t i = 0; i < mean.data.size(); ++i) {
      const double deviation = std::max(std::sqrt(variance.data[i]), 1e-7);
      affine.scale.data.push_back(op.invert ? deviation : 1.0 / deviation);
      affine.shift.data.push_back(op.invert ? mean.data[i] : -mean.data[i] / deviation);
    }
    return run(affine, in);
  }

  static ReferenceTensor run(const LimitOp& op, const ReferenceTensor& in) {
    return with_constant(in, op.limit, [&](const Number& x, size_t i) {
      const double limit = op.limit.data[i];
      return Number{op.is_upper ? std::min(x.exact, limit) : std::max(x.exact, limit), x.error, 0};
    });
  }

  static ReferenceTensor run(const ReduceOp& op, const ReferenceTensor& in) {
    std::vector<size_t> axes;
    for (const int64_t axis : op.axes) axes.push_back(axis_of(in, axis));
    if (axes.size() == 1) {
      const bool is_steps = axes[0] == 1;
      return run(GlobalPoolOp{op.average, op.keepdims,
                              is_steps ? DataFormat::kChannelsLast : DataFormat::kChannelsFirst},
                 in);
    }
    const int64_t values = product(std::span(in.shape).subspan(1));
    ReferenceTensor out = run(GlobalPoolOp{op.average, true}, {{in.shape[0], values, 1}, in.values});
    out.shape = in.shape;
    std::fill(out.shape.begin() + 1, out.shape.end(), 1);
    if (!op.keepdims) out.shape.resize(1);
    return out;
  }

  ReferenceTensor run(const ConcatenateOp& op, const ReferenceTensor& first) const {
    const size_t axis = axis_of(first, op.axis);
    int64_t length = 0;
    for (const ReferenceTensor* part : inputs_) length += part->shape[axis];
    return along(first, axis, length, [&](int64_t o, int64_t i, int64_t j) {
      size_t part = 0;
      while (i >= inputs_[part]->shape[axis]) i -= inputs_[part++]->shape[axis];
      return inputs_[part]->values[around(*inputs_[part], axis).at(o, i, j)];
    });
  }

  double longest_sum_ = 1;
  const ModelLayer* layer_ = nullptr;
  std::vector<const ReferenceTensor*> inputs_;
};

}  // namespace

std::vector<ReferenceTensor> reference_outputs(const ModelSpec& model, std::vector<ReferenceTensor> inputs) {
  std::vector<ReferenceTensor> values(model.nodes.size());
  Evaluator evaluator(model);
  for (size_t i = 0; i < inputs.size(); ++i)
    values[static_cast<size_t>(model.inputs[i])] = std::move(inputs[i]);
  for (size_t i = 0; i < model.nodes.size(); ++i) {
    if (!values[i].shape.empty()) continue;  // an input
    std::vector<const ReferenceTensor*> read;
    for (const int input : model.nodes[i].inputs) read.push_back(&values[static_cast<size_t>(input)]);
    values[i] = evaluator.apply(model.layers[static_cast<size_t>(model.nodes[i].layer)], read);
  }
  std::vector<ReferenceTensor> outputs;
  for (const int output : model.outputs) outputs.push_back(values[static_cast<size_t>(output)]);
  return outputs;
}

}  // namespace convsmith::cli
