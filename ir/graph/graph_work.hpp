// What a call of a graph costs, and what it looks at. Called by artifacts, by whoever measures, and by
// whoever draws calls at random.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

// Steps of an input that is long, and a multiple of every product of strides that occurs.
inline constexpr int64_t kLongInput = int64_t{4096} * 27 * 125 * 7;

// Multiply-adds of a call of a layer or model, taps in the padding included: of a transposed problem input
// steps x taps x channels x filters. Batch normalizations count as none.
double multiply_adds(const Graph& graph, int64_t batch, std::span<const int64_t> steps);

// What one more step of the inputs costs where there are many; where their number is fixed, the mean.
double multiply_adds_per_step(const Graph& graph);

// By input: how many of its steps, first to last, one step of an output depends on, padding not counted;
// nullopt: on all. Where outputs or their steps differ, the most.
std::vector<std::optional<int64_t>> receptive_fields(const Graph& graph);

}  // namespace convsmith::ir
