// From what the user said to what is to be computed. Every user error that parsing has not found is found
// here, so that everything behind a Problem can take its invariants for granted.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/problem.hpp"

namespace convsmith {

// A layer as passes over memory, one after the other. Invariant: the channels of a problem are the filters of
// the one before it.
struct LayerProblem {
  LayerKind kind = LayerKind::kConv1D;
  // One problem. SeparableConv1D has two: depthwise without bias and activation, then pointwise.
  std::vector<Problem> chain;
  // softmax, log_softmax, sparsemax or glu, applied behind the chain along the last axis in memory, which is
  // Keras's axis -1 whatever the data format: over the filters of a step (channels last; Dense of any rank),
  // or over the steps of a filter (channels first). glu halves that axis. The chain's activation is linear.
  std::optional<Activation> row;
};

// The problem for the spec's own input_shape.
Result<LayerProblem> make_layer_problem(const LayerSpec& spec, Rules rules = Rules::kCommon);

// The problem for inputs of `input_shape`, batch axes included: (batch..., steps, channels), or
// (batch..., channels, steps) for channels_first. It wins over the spec's own. Only channels must be known;
// an output without any step, or without a batch axis that Keras wants, is refused as far as sizes are known.
// Dense takes (batch..., features) of two or more axes. Its problem has one tap and channels last, and every
// axis before the last one may count as steps; (batch, features) has none, or one.
Result<LayerProblem> make_layer_problem(const LayerSpec& spec, const Shape& input_shape,
                                        Rules rules = Rules::kCommon);

// The same for callers that compute a single problem. kUnsupported for layers that are more than that.
Result<Problem> make_problem(const LayerSpec& spec, Rules rules = Rules::kCommon);
Result<Problem> make_problem(const LayerSpec& spec, const Shape& input_shape, Rules rules = Rules::kCommon);

// The shape of the output for an input with batch axes; unknown axes stay unknown, an output may be empty.
Result<Shape> output_shape(const LayerProblem& layer, const Shape& input_shape);
Result<Shape> output_shape(const Problem& problem, const Shape& input_shape);

// "(None, 10, 128)"
std::string shape_text(const Shape& shape);

}  // namespace convsmith
