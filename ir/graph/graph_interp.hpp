// Runs a graph operation by operation in float32, as its text reads and in the order of docs/numerics.md:
// slow, obviously right, the judge of every rewrite of graphs. Called by tests.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

using ScalarActivation = std::function<float(const Activation&, float)>;

// Outputs for inputs (samples, ...) of a verified graph with its weights. `steps`: of each input.
std::vector<std::vector<float>> interpret(const Graph& graph, std::span<const std::vector<float>> inputs,
                                          int64_t samples, std::span<const int64_t> steps,
                                          const ScalarActivation& activation);

}  // namespace convsmith::ir
