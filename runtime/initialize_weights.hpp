// Draws weights from a layer's initializers.
#pragma once

#include <cstdint>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/problem.hpp"

namespace convsmith {

struct Weights {
  std::vector<float> kernel;  // (taps, channels/groups, filters)
  std::vector<float> bias;    // (filters), empty without bias
};

// GlorotUniform and Zeros; others are kUnsupported. The same seed gives the same weights on every machine.
Result<Weights> initialize_weights(const LayerSpec& spec, const Problem& problem, uint64_t seed);

}  // namespace convsmith
