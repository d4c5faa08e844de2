// Which tensors of a graph may use the same memory: by lifetime in the order of the operations. Called by
// the runtime, which makes one workspace of the slots.
#pragma once

#include <vector>

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

struct Plan {
  std::vector<int> slot_of_tensor;  // -1: an input or output, or a view of one. A view has its base's slot
  int slots = 0;
};

// No tensor shares a slot with one that is read later, nor with what its own operation reads.
Plan plan_slots(const Graph& graph);

}  // namespace convsmith::ir
