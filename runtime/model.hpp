// What stands behind the classes of convsmith/model.hpp.
#pragma once

#include <memory>

#include "convsmith/model.hpp"
#include "ir/graph.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith {

struct ModelData {
  std::shared_ptr<const CompiledGraph> graph;
  std::shared_ptr<const PackedGraph> weights;
};

// The graph that is compiled: batch normalisations folded, epilogues fused.
Result<ir::Graph> optimized_graph(const ModelSpec& model, Rules rules);

}  // namespace convsmith
