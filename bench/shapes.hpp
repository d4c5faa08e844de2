// The table of layer shapes from published networks (shapes.csv) that the benchmarks go through.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "convsmith/layer_spec.hpp"

namespace convsmith::bench {

struct Shape1d {
  std::string name;
  int64_t batch = 1;
  int64_t steps = 0;
  LayerSpec spec;  // with input_shape
};

// The rows of the table: Conv1D and Conv1DTranspose layers. Prints what is wrong with a table and exits.
std::vector<Shape1d> read_shapes(const std::string& path = CONVSMITH_BENCH_SHAPES);

}  // namespace convsmith::bench
