// Random layers over the whole space that the front end accepts, and smaller ones beside a layer. Used by
// main.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "bench/shapes.hpp"

namespace convsmith::bench {

// No layer of a hunt asks for more.
inline constexpr double kMostMultiplyAdds = 2e9;
inline constexpr double kMostBytes = 200e6;

// Convolutions of all forms: 1 to 1e6 steps, 1 to 4096 channels, filters and taps, strides and dilations,
// groups, depthwise, transposed, Dense with a batch; sizes are drawn by their logarithm. `seed` and `index`
// decide.
Shape1d draw_shape(uint64_t seed, int64_t index);

// As a row of bench/shapes.csv, without its end.
std::string csv_row(const Shape1d& shape);

// The smallest layer that halving sizes of `shape` leads to and that `is_slow` too; `tries` calls of it at
// most.
Shape1d shrink(const Shape1d& shape, const std::function<bool(const Shape1d&)>& is_slow, int tries);

}  // namespace convsmith::bench
