// A table of layer shapes as bench/shapes.csv: one Conv1D or Conv1DTranspose layer a row, with the columns
// name, op, batch, steps, in_channels, filters, kernel_size, strides, dilation_rate, groups and padding.
// Other columns are for people. Read by tune and by the benchmarks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"

namespace convsmith::cli {

struct ShapeRow {
  std::string name;
  int64_t batch = 1;
  int64_t steps = 0;
  LayerSpec spec;  // with input_shape; legal under Rules::kAny at best
};

// The error (kInvalidData) names file and line.
Result<std::vector<ShapeRow>> read_shapes(const std::string& path);

}  // namespace convsmith::cli
