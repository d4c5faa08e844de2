// What stands behind the classes of convsmith/model.hpp.
#pragma once

#include <memory>

#include "convsmith/model.hpp"
#include "frontend/model_spec.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/graph.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith {

struct ModelData {
  std::shared_ptr<const CompiledGraph> graph;
  std::shared_ptr<const PackedGraph> weights;
};

// The layer of a model file without weights that would need some; null if none does.
const ModelLayer* find_layer_without_weights(const ModelSpec& model);

// The channels of an input with these axes, of a LayerSpec or a BatchNormalization.
int64_t channels_into(const LayerOp& op, const std::vector<ir::Axis>& in);

// Gives layers without weights those of a fresh model in Keras, drawn by their initializers.
Result<void> draw_weights(ModelSpec& model, Rules rules, uint64_t seed);

// The graph of a model with the value of every node as an output, for its shapes: output_shapes is by node.
Result<ir::Graph> node_graph(const ModelSpec& model, Rules rules);

// The graph that is compiled: batch normalisations folded, epilogues fused. All layers must have weights.
Result<ir::Graph> optimized_graph(const ModelSpec& model, Rules rules);

}  // namespace convsmith
