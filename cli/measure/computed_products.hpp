// How many multiply-adds a call computes: taps in the padding, and what is cropped, are skipped and count as
// none. What speeds and shares of the peak are made of. Used by compare.
#pragma once

#include <cstdint>
#include <span>

#include "ir/graph/graph.hpp"

namespace convsmith::cli {

// Of output steps [begin, end) of one sample with `steps` input steps, padding as the problem says.
double computed_products(const Problem& problem, int64_t steps, int64_t begin, int64_t end);

// Of a layer or model; `steps` by input. Batch normalizations, pooling and activations count as none.
double computed_products(const ir::Graph& graph, int64_t batch, std::span<const int64_t> steps);

}  // namespace convsmith::cli
