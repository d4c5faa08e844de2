// Which numbers of input steps a graph takes: enough for each operation, those that a layer fixes, and such
// that tensors which a layer combines meet; and which batches, where an operator lets the batch axis meet
// steps. A batch of 1 always fits. Why others are refused, as a sentence for users that names the
// layer and the nearest numbers that fit. Called where a RunStatus becomes a sentence, and where lengths are
// chosen.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

// `steps` by input, in all of these. Without any steps nothing is computed, which fits.
bool fits(const Graph& graph, std::span<const int64_t> steps, int64_t batch = 1);

// Empty where they fit.
std::string why_not(const Graph& graph, std::span<const int64_t> steps, int64_t batch = 1);

// `batch` where it fits steps that fit, else the largest that does.
int64_t nearest_batch(const Graph& graph, std::span<const int64_t> steps, int64_t batch);

// The nearest number that fits in place of the steps of every input that no layer fixes; the lower of two
// that are as near. None where none is found.
std::optional<int64_t> nearest_fit(const Graph& graph, int64_t steps, int64_t batch = 1);

// What the inputs of a call have for steps: what a layer behind an input fixes, 1 without such an axis, else
// what another input's must be (they may meet), else `steps`.
std::vector<int64_t> input_steps(const Graph& graph, int64_t steps);

}  // namespace convsmith::ir
