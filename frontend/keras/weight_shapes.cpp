#include "frontend/keras/weight_shapes.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "frontend/keras/layer_class.hpp"

namespace convsmith {

std::vector<WeightShape> weight_shapes(const LayerSpec& spec, int64_t channels) {
  const int64_t taps = spec.kernel_size, filters = spec.filters, multiplier = spec.depth_multiplier;
  int64_t outputs = filters;
  std::vector<WeightShape> out;
  switch (spec.kind) {
    case LayerKind::kConv1D:
      out = {{"kernel", {taps, channels / std::max<int64_t>(spec.groups, 1), filters}}};
      break;
    case LayerKind::kConv1DTranspose:
      out = {{"kernel", {taps, filters, channels}}};
      break;
    case LayerKind::kDepthwiseConv1D:
      outputs = channels * multiplier;
      out = {
          {spec.dialect == Dialect::kKeras3 ? "kernel" : "depthwise_kernel", {taps, channels, multiplier}}};
      break;
    case LayerKind::kSeparableConv1D:
      out = {{"depthwise_kernel", {taps, channels, multiplier}},
             {"pointwise_kernel", {1, channels * multiplier, filters}}};
      break;
    case LayerKind::kDense:
      out = {{"kernel", {channels, filters}}};
      break;
  }
  if (spec.use_bias) out.push_back({"bias", {outputs}});
  return out;
}

Result<void> check_weights(const LayerSpec& spec, int64_t channels,
                           std::span<const std::vector<int64_t>> shapes) {
  const std::vector<WeightShape> wanted = weight_shapes(spec, channels);
  if (shapes.size() != wanted.size()) {
    std::string names;
    for (const WeightShape& weight : wanted) names += (names.empty() ? "" : ", ") + weight.name;
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("{} with use_bias={} has {} weights ({}), got {}.", class_name_of(spec.kind),
                    spec.use_bias ? "True" : "False", wanted.size(), names, shapes.size()));
  }
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (shapes[i] == wanted[i].shape) continue;
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The weight `{}` of {} must have the shape ({}), got ({}).", wanted[i].name,
                    class_name_of(spec.kind), fmt::join(wanted[i].shape, ", "), fmt::join(shapes[i], ", ")));
  }
  return {};
}

Result<void> check_weights(const Problem& problem, std::span<const int64_t> kernel_shape,
                           std::optional<std::span<const int64_t>> bias_shape) {
  const int64_t normal[] = {problem.taps, problem.group_channels(), problem.filters};
  const int64_t turned[] = {problem.taps, problem.filters, problem.channels};
  const std::span<const int64_t> kernel = problem.transposed ? turned : normal;
  if (!std::equal(kernel_shape.begin(), kernel_shape.end(), kernel.begin(), kernel.end())) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format(
            "The kernel must have the shape ({}) = ({}), got ({}).", fmt::join(kernel, ", "),
            problem.transposed ? "kernel_size, filters, channels" : "kernel_size, channels / groups, filters",
            fmt::join(kernel_shape, ", ")));
  }
  if (!problem.has_bias && bias_shape) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The layer has use_bias=False, got a bias of shape ({}).", fmt::join(*bias_shape, ", ")));
  }
  if (problem.has_bias && !bias_shape) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The bias of shape ({}) is missing; the layer has use_bias=True.", problem.filters));
  }
  if (bias_shape && (bias_shape->size() != 1 || (*bias_shape)[0] != problem.filters)) {
    return make_error(ErrorCode::kInvalidData, fmt::format("The bias must have the shape ({}), got ({}).",
                                                           problem.filters, fmt::join(*bias_shape, ", ")));
  }
  return {};
}

}  // namespace convsmith
