// Takes BatchNormalization layers out of a graph by changing the weights of the convolution before or behind
// them. Whether one is folded depends on the model alone, never on the machine or the call.
#pragma once

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

// Into the contraction before, whose result only the batch normalization reads and which has no activation
// (through a Concatenate into all its parts); else into the contraction behind, if it pads nothing and is the
// only reader. Numbers as docs/numerics.md says. What was done is added to `decisions`.
Graph fold(Graph graph);

}  // namespace convsmith::ir
