// Draws all weights of a layer from its initializers.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith {

// What a spec says of one of its weights. Pointers point into the spec.
struct WeightRole {
  std::string_view name;  // "kernel", "depthwise", "pointwise" or "bias"; arguments are name + "_initializer"
  const Initializer* initializer = nullptr;
  const std::optional<Regularizer>* regularizer = nullptr;
  const std::optional<Constraint>* constraint = nullptr;
};

// One for each of weight_shapes.
std::vector<WeightRole> weight_roles(const LayerSpec& spec);

// One tensor for each of weight_shapes. The same seed gives the same bits on every machine; an initializer's
// own seed wins. The spec has passed make_layer_problem for that many input channels. kUnsupported for STFT.
Result<std::vector<Tensor>> initialize_weights(const LayerSpec& spec, int64_t channels, uint64_t seed);

}  // namespace convsmith
