#include "runtime/objects/initialize_weights.hpp"

#include <fmt/format.h>

#include "frontend/keras/weight_shapes.hpp"
#include "runtime/objects/draw_weight.hpp"

namespace convsmith {

std::vector<WeightRole> weight_roles(const LayerSpec& spec) {
  const bool is_separable = spec.kind == LayerKind::kSeparableConv1D;
  const bool is_depthwise = spec.kind == LayerKind::kDepthwiseConv1D || is_separable;
  std::vector<WeightRole> roles{{is_depthwise ? "depthwise" : "kernel", &spec.kernel_initializer,
                                 &spec.kernel_regularizer, &spec.kernel_constraint}};
  if (is_separable) {
    roles.push_back(
        {"pointwise", &spec.pointwise_initializer, &spec.pointwise_regularizer, &spec.pointwise_constraint});
  }
  if (spec.use_bias) {
    roles.push_back({"bias", &spec.bias_initializer, &spec.bias_regularizer, &spec.bias_constraint});
  }
  return roles;
}

Result<std::vector<Tensor>> initialize_weights(const LayerSpec& spec, int64_t channels, uint64_t seed) {
  const std::vector<WeightShape> shapes = weight_shapes(spec, channels);
  const std::vector<WeightRole> roles = weight_roles(spec);
  std::vector<Tensor> out;
  for (size_t i = 0; i < shapes.size(); ++i) {
    Result<Tensor> drawn = draw_weight(*roles[i].initializer, fmt::format("{}_initializer", roles[i].name),
                                       shapes[i].shape, seed, i);
    if (!drawn) return tl::unexpected(drawn.error());
    out.push_back(std::move(*drawn));
  }
  return out;
}

}  // namespace convsmith
