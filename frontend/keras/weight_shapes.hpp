// The weights that a layer has, in Keras's order (get_weights), and the check of given ones. Called by
// whoever reads or makes weights.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/problem.hpp"

namespace convsmith {

// For an input of `channels` channels (features of Dense). C channels, F filters, K taps, m depth_multiplier:
//   Conv1D           kernel (K, C/groups, F)
//   Conv1DTranspose  kernel (K, F, C)
//   DepthwiseConv1D  depthwise_kernel, in Keras 3 kernel (K, C, m)
//   SeparableConv1D  depthwise_kernel (K, C, m), pointwise_kernel (1, C*m, F)
//   Dense            kernel (C, F)
// and behind them, with use_bias, bias (F), of DepthwiseConv1D (C*m). The spec must have passed
// make_layer_problem for that number of channels.
std::vector<WeightShape> weight_shapes(const LayerSpec& spec, int64_t channels);

// Checks the shapes of all weights of a layer, in Keras's order.
Result<void> check_weights(const LayerSpec& spec, int64_t channels,
                           std::span<const std::vector<int64_t>> shapes);

// Checks weights against (taps, channels/groups, filters), transposed (taps, filters, channels), and
// (filters).
Result<void> check_weights(const Problem& problem, std::span<const int64_t> kernel_shape,
                           std::optional<std::span<const int64_t>> bias_shape);

}  // namespace convsmith
