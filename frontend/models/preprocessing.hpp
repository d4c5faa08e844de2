// Layers in front of a network that scale and shift what comes in. Called by layer_ops.
#pragma once

#include "convsmith/error.hpp"
#include "frontend/model_spec.hpp"
#include "frontend/models/fields.hpp"

namespace convsmith::models {

Result<LayerOp> bind_rescaling(const Fields& fields);
Result<LayerOp> bind_normalization(const Fields& fields);

}  // namespace convsmith::models
