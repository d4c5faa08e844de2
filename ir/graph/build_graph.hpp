// From a model as its file says it to tensors and operations: every shape inferred by Keras's rules, every
// layer one to a few operations, nothing fused. Every error of shapes and weights is found here.
//
// Steps of inputs stay open even where the model declares them, so that one graph serves every length; a
// layer that must know a number (Flatten, a PReLU for each step) pins the input it depends on.
#pragma once

#include "frontend/model_spec.hpp"
#include "ir/graph/graph.hpp"

namespace convsmith::ir {

// `rules` as in make_problem. An error names the layer.
Result<Graph> build_graph(const ModelSpec& model, Rules rules = Rules::kCommon);

// A layer alone, for any number of steps (of Dense: rows); axes before them count as
// batch. Its arrays have no data. The spec has passed make_layer_problem for that number of channels.
Result<Graph> build_graph(const LayerSpec& layer, int64_t channels, Rules rules = Rules::kCommon);

}  // namespace convsmith::ir
