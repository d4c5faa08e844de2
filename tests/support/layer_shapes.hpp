// Sizes of a compiled layer with one kernel, as tests want them.
#pragma once

#include <array>

#include "convsmith/convsmith.hpp"

namespace convsmith::test {

inline std::array<int64_t, 3> kernel_shape(const CompiledLayer& layer) {
  const std::vector<int64_t>& shape = layer.weight_shapes().front().shape;
  return {shape[0], shape[1], shape[2]};
}

inline bool has_bias(const CompiledLayer& layer) {
  return layer.weight_shapes().back().name == "bias";
}

}  // namespace convsmith::test
