// The sizes of a call that compare, verify and tune make of a layer or model.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "convsmith/error.hpp"
#include "ir/graph/graph.hpp"

namespace convsmith::cli {

// What was asked for with --steps, if the graph takes it for the batch; an error names the layer and what
// would fit. Without --steps the number nearest to `usual` that fits, with a note where that is another one.
Result<int64_t> choose_steps(const ir::Graph& graph, std::optional<int64_t> asked, int64_t usual,
                             int64_t batch = 1);

// Bytes of all arrays of a call, the outputs three times, the weights as they are and packed. `steps` by
// input.
double call_bytes(const ir::Graph& graph, int64_t batch, std::span<const int64_t> steps);

}  // namespace convsmith::cli
