// Rewrites that make fewer passes over memory of a graph without changing a bit of its results.
#pragma once

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

// Activations, residual additions, gates and other combinations go into the epilogue of the operation whose
// result they read, if nobody else reads it; parts of a Concatenate are written where they belong. Then
// operations are ordered for short lifetimes. What was done is added to `decisions`.
Graph fuse(Graph graph);

// Copies with an epilogue that treats all channels alike become problems of one channel, whose lanes run over
// contiguous memory. The last rewrite: only views are left to see sizes by.
Graph flatten_elementwise(Graph graph);

}  // namespace convsmith::ir
