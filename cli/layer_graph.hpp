// The graph of a layer alone, as the engine compiles it, for any number of steps. Used by the commands that
// look behind the public classes.
#pragma once

#include "frontend/make_problem.hpp"
#include "ir/graph.hpp"

namespace convsmith::cli {

// `problem` is the spec's: it knows the channels. Arrays are the weights in Keras's order, without data.
Result<ir::Graph> layer_graph(const LayerSpec& spec, const LayerProblem& problem);

}  // namespace convsmith::cli
