// The table of layer shapes from published networks (shapes.csv) that the benchmarks go through.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/measure/shapes.hpp"

namespace convsmith::bench {

using Shape1d = cli::ShapeRow;

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

// bench/shapes.csv in the sources.
std::string default_shapes();
// The rows of the table. Prints what is wrong with it and exits.
std::vector<Shape1d> read_shapes(const std::string& path = default_shapes());

}  // namespace convsmith::bench
