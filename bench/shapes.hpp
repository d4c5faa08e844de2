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

// What makes a layer hard, and which layers it is fair to compare with. The first that fits, in this order.
enum class LayerClass {
  kTransposed,
  kOneStep,    // at most four output steps: streaming
  kDepthwise,  // one channel in a group
  kGrouped,
  kOneFilter,
  kFewFilters,     // at most 8
  kStem,           // at most 4 channels
  kSmallChannels,  // at most 32 channels or filters
  kDense,
};
inline constexpr int kLayerClasses = static_cast<int>(LayerClass::kDense) + 1;
LayerClass layer_class(const Shape1d& shape);
std::string class_name(LayerClass layer_class);

// The rows of the table: Conv1D and Conv1DTranspose layers. Prints what is wrong with a table and exits.
std::vector<Shape1d> read_shapes(const std::string& path = CONVSMITH_BENCH_SHAPES);

}  // namespace convsmith::bench
