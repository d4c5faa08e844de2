// The graph of a layer alone, for any number of steps. Used by verify, compare and the benchmarks, which look
// behind the public classes.
#pragma once

#include "frontend/make_problem.hpp"
#include "ir/graph.hpp"

namespace convsmith::cli {

// `problem` is the spec's: it knows the channels. Arrays are the weights in Keras's order, without data. As
// ir::build_graph makes it for the engine, but that the rows of Dense are steps, where they count as samples
// there: so the calls of all kinds have batch and steps.
Result<ir::Graph> layer_graph(const LayerSpec& spec, const LayerProblem& problem);

}  // namespace convsmith::cli
