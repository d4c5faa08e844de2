// What a CompiledLayer holds, and the graph behind it. Used by the engine and by explain on the command line.
#pragma once

#include <memory>
#include <vector>

#include "convsmith/convsmith.hpp"
#include "frontend/keras/make_problem.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith {

struct LayerData {
  LayerSpec spec;
  LayerProblem problem;
  std::vector<WeightShape> weights;
  std::shared_ptr<const CompiledGraph> graph;
};

}  // namespace convsmith
