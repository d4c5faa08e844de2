// Shapes that flow through layers, by Keras's rules. Called by the layer objects before there are weights.
#pragma once

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith {

// The output's shape for an input's, both with the batch axis; unknown axes stay unknown where they can.
Result<Shape> op_output_shape(const LayerOp& op, const Shape& input);

// The input's channels, which give the weights their shapes. An error where they are unknown.
Result<int64_t> input_channels(const LayerSpec& spec, const Shape& input);

// The axis of a number that may count from the end, for `rank` axes.
Result<size_t> find_axis(int64_t axis, size_t rank);

}  // namespace convsmith
