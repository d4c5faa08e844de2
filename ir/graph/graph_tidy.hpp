// What every rewrite of graphs ends with: operations that nobody needs, and tensors and arrays that no
// operation uses, are taken out. And the order of operations.
#pragma once

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

Graph tidy(Graph graph);

// The operations in an order that keeps few values alive: from those that are ready, the one that leaves
// least memory in use goes first, the earliest of equals.
Graph order_ops(Graph graph);

}  // namespace convsmith::ir
