// The operations of each kind of layer: one overload a kind, called by build_graph, each giving the value of
// the layer's output. The builder has been told the layer's name.
#pragma once

#include <span>

#include "frontend/model_spec.hpp"
#include "ir/graph/graph_builder.hpp"

namespace convsmith::ir {

// What calls of one layer share.
struct LayerArrays {
  std::vector<int> arrays;  // in the order of the layer's weights; of BatchNormalization: scale, shift
  int batch_norm = -1;
};

// One call of a layer. Holds at least one input.
struct LayerCall {
  GraphBuilder& builder;
  const ModelLayer& layer;
  LayerArrays& arrays;  // filled by the first call
  std::span<const Value> inputs;
  Rules rules;

  const Value& in() const { return inputs[0]; }
};

Result<Value> add_layer(const LayerCall& call, const LayerSpec& spec);
Result<Value> add_layer(const LayerCall& call, const ActivationOp& op);
Result<Value> add_layer(const LayerCall& call, const PreluOp& op);
Result<Value> add_layer(const LayerCall& call, const BatchNormOp& op);
Result<Value> add_layer(const LayerCall& call, const PoolOp& op);
Result<Value> add_layer(const LayerCall& call, const GlobalPoolOp& op);
Result<Value> add_layer(const LayerCall& call, const ZeroPaddingOp& op);
Result<Value> add_layer(const LayerCall& call, const CroppingOp& op);
Result<Value> add_layer(const LayerCall& call, const UpSamplingOp& op);
Result<Value> add_layer(const LayerCall& call, const FlattenOp& op);
Result<Value> add_layer(const LayerCall& call, const ReshapeOp& op);
Result<Value> add_layer(const LayerCall& call, const PermuteOp& op);
Result<Value> add_layer(const LayerCall& call, const MergeOp& op);
Result<Value> add_layer(const LayerCall& call, const ConcatenateOp& op);
Result<Value> add_layer(const LayerCall& call, const AffineOp& op);
Result<Value> add_layer(const LayerCall& call, const NormalizationOp& op);
Result<Value> add_layer(const LayerCall& call, const LimitOp& op);
Result<Value> add_layer(const LayerCall& call, const ReduceOp& op);

// An axis number of Keras's (0 is the batch axis) as an index into the value's shape.
Result<size_t> find_axis(const GraphBuilder& builder, const Value& value, int64_t axis);

// y = (x - mean) * scale + shift of each channel of tensor `in`, which is `shape`'s memory: a pass that fold
// may take away. Calls of a layer share the arrays that the first one makes.
Result<Value> add_norm(const LayerCall& call, int in, const std::vector<Axis>& shape, BatchNorm norm);

// One pass over `value` with an array whose axes are the value's or 1, which calls of a layer share as their
// array number `number`.
Result<Value> add_array_operand(const LayerCall& call, const Value& value, Combine combine, size_t number,
                                Array array);

// A pooling over all steps of a value with two axes.
Result<Value> add_global_pool(const LayerCall& call, const GlobalPoolOp& op, Value value);

// A softmax over several axes together, which must stand side by side.
Result<Value> add_joint_softmax(const LayerCall& call, const std::vector<int64_t>& axes);

// The product of all axes as one axis, at most one of them open. The input is pinned where two are.
Result<Axis> product_of(GraphBuilder& builder, std::span<const Axis> axes);

// Parts one behind the other along the last axis of each; all other axes are equal.
Result<Value> concatenate_last(GraphBuilder& builder, std::span<const Value> parts);

}  // namespace convsmith::ir
