// Which tensors of a graph may use the same memory: by lifetime in the order of the operations. Called by
// the runtime, which makes one workspace of the slots.
#pragma once

#include <span>
#include <vector>

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

struct Plan {
  std::vector<int> slot_of_tensor;  // -1: an input or output, or a view of one. A view has its base's slot
  int slots = 0;
};

// Operations [first, last].
struct OpRange {
  size_t first = 0;
  size_t last = 0;
};

// A tensor whose memory is its own while those operations run, again and again.
struct Kept {
  int tensor = -1;  // a root
  OpRange during;
};

// No tensor shares a slot with one that is read later, nor with what its own operation reads.
Plan plan_slots(const Graph& graph, std::span<const Kept> kept = {});

}  // namespace convsmith::ir
