#include "runtime/initialize_weights.hpp"

#include <algorithm>
#include <string>

#include "runtime/draw_weight.hpp"

namespace convsmith {

std::vector<WeightInfo> list_weights(const LayerSpec& spec, int64_t channels) {
  const int64_t taps = spec.kernel_size;
  const bool is_depthwise =
      spec.kind == LayerKind::kDepthwiseConv1D || spec.kind == LayerKind::kSeparableConv1D;
  WeightInfo kernel{is_depthwise ? "depthwise" : "kernel",
                    {},
                    &spec.kernel_initializer,
                    &spec.kernel_regularizer,
                    &spec.kernel_constraint};
  int64_t outputs = spec.filters;
  switch (spec.kind) {
    case LayerKind::kConv1D:  // Keras 2 computes `groups or 1`
      kernel.shape = {taps, channels / std::max<int64_t>(spec.groups, 1), spec.filters};
      break;
    case LayerKind::kConv1DTranspose:
      kernel.shape = {taps, spec.filters, channels};
      break;
    case LayerKind::kDepthwiseConv1D:
      outputs = channels * spec.depth_multiplier;
      [[fallthrough]];
    case LayerKind::kSeparableConv1D:
      kernel.shape = {taps, channels, spec.depth_multiplier};
      break;
    case LayerKind::kDense:
      kernel.shape = {channels, spec.filters};
      break;
  }
  std::vector<WeightInfo> weights{std::move(kernel)};
  if (spec.kind == LayerKind::kSeparableConv1D) {
    weights.push_back({"pointwise",
                       {1, channels * spec.depth_multiplier, spec.filters},
                       &spec.pointwise_initializer,
                       &spec.pointwise_regularizer,
                       &spec.pointwise_constraint});
  }
  if (spec.use_bias) {
    weights.push_back(
        {"bias", {outputs}, &spec.bias_initializer, &spec.bias_regularizer, &spec.bias_constraint});
  }
  return weights;
}

Result<std::vector<Tensor>> initialize_weights(const LayerSpec& spec, int64_t channels, uint64_t seed) {
  std::vector<Tensor> out;
  for (const WeightInfo& weight : list_weights(spec, channels)) {
    const std::string argument = std::string(weight.name) + "_initializer";
    Result<Tensor> drawn = draw_weight(*weight.initializer, argument, weight.shape, seed, out.size());
    if (!drawn) return tl::unexpected(drawn.error());
    out.push_back(std::move(*drawn));
  }
  return out;
}

}  // namespace convsmith
