// The graph of a single layer: one pass, or a few where the layer is more than one contraction. Its arrays
// are the layer's weights in Keras's order, without data. Called by the engine.
#pragma once

#include "convsmith/error.hpp"
#include "frontend/make_problem.hpp"
#include "ir/graph.hpp"

namespace convsmith::ir {

// kUnsupported for glu over steps.
Result<Graph> layer_graph(const LayerProblem& layer);

}  // namespace convsmith::ir
