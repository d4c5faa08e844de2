// Draws all weights of a layer from its initializers.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith {

// A weight as Keras knows it: its shape, and what the spec says of it. Pointers point into the spec.
struct WeightInfo {
  std::string_view name;  // "kernel", "bias", "depthwise", "pointwise": the argument is name + "_initializer"
  std::vector<int64_t> shape;
  const Initializer* initializer = nullptr;
  const std::optional<Regularizer>* regularizer = nullptr;
  const std::optional<Constraint>* constraint = nullptr;
};

// The weights of a layer for that many input channels, in Keras's order: kernel, bias; or depthwise kernel,
// pointwise kernel, bias. The spec has passed check_spec.
std::vector<WeightInfo> list_weights(const LayerSpec& spec, int64_t channels);

// One tensor for each of list_weights. The same seed gives the same bits on every machine; an initializer's
// own seed wins. kUnsupported for STFT.
Result<std::vector<Tensor>> initialize_weights(const LayerSpec& spec, int64_t channels, uint64_t seed);

}  // namespace convsmith
