// Which array of an .h5 file is which weight. A group of such a file lists the names of its arrays
// ("block/conv1d/kernel", "conv1d/kernel:0", in old files "conv1d_W"), and their order depends on what was
// frozen when, and on the generation of Keras. So names come first and order second. Called by weights.cpp.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace convsmith::models {

// What a model calls a weight.
struct WeightName {
  std::vector<std::string> around;  // models that the layer is in
  std::vector<std::string> layer;   // its names: its own, and that of the layer inside a wrapper
  std::string weight;               // "kernel"
};

// For each of `names` the weight that it means, every weight once; nothing if some name means none. Where a
// name fits several, the first one that is left is taken. Both lists have one length.
std::optional<std::vector<std::size_t>> match_names(std::span<const std::string> names,
                                                    std::span<const WeightName> weights);

// Whether names and weights, one by one, are of the same kinds, and layers differ in name only.
bool may_be_renamed(std::span<const std::string> names, std::span<const WeightName> weights);

}  // namespace convsmith::models
