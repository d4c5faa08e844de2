// Groups of passes with rolling buffers between them (RollingGroup): which may be one, and what each buffer
// holds.
#pragma once

#include "ir/graph/plan_slots.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith {

// Why the operations can't be such a group; empty if they can.
std::string why_not_rolling(const ir::Graph& graph, size_t first, size_t last);

// They can.
RollingGroup rolling_group(const ir::Graph& graph, size_t first, size_t last, int64_t chunk);

// The longest runs of at least so many operations that can be such groups, none of more than so many products
// an output.
std::vector<ir::OpRange> rolling_runs(const ir::Graph& graph, size_t least, int64_t most_work);

// Those that had better be one: of few channels, so that their tensors, and not their products,
// take the time.
std::vector<RollingGroup> choose_rolling(const ir::Graph& graph, int64_t cache_bytes);

// The buffer of a tensor in a group; null if its memory is no such buffer.
const RollingGroup::Buffer* rolling_buffer(const ir::Graph& graph, const RollingGroup& group, int tensor);

}  // namespace convsmith
