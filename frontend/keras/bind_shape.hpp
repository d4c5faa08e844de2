// Shapes as arguments and in files: a tuple of integers and None. Called by bind_layer and by the readers of
// models.
#pragma once

#include <string_view>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {

// Sizes from 0 to kMaxAxis, or None; `argument` is what errors call it.
Result<Shape> read_shape(const BindContext& context, std::string_view argument, const Value& value);

// Sets input_shape and batch_size from a shape that begins with the batch axis.
Result<void> bind_batch_input_shape(const BindContext& context, std::string_view argument, const Value& value,
                                    LayerSpec& spec);

}  // namespace convsmith
