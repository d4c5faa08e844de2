// A dense array of float32 in C order, as Keras's arrays are.
#pragma once

#include "convsmith/language.hpp"

#include <cstdint>
#include <vector>

namespace convsmith {

// Invariant: sizes are at least 0 and their product is data.size().
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> data;
  bool operator==(const Tensor&) const = default;
};

}  // namespace convsmith
