// Keras's constraints: what a weight is brought back to after a step of training. Computed in double and
// rounded once. Called by the layer objects.
#pragma once

#include <string_view>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith {

// n is the norm over the constraint's axes, e = 1e-7. NonNeg: max(w, 0). UnitNorm: w / (e + n).
// MaxNorm: w clip(n, 0, max) / (e + n). MinMaxNorm: w (rate clip(n, min, max) + (1 - rate) n) / (e + n).
// RadialConstraint is for the images of Conv2D and an error here. `argument` is named in errors.
Result<void> apply_constraint(const Constraint& constraint, std::string_view argument, Tensor& weight);

}  // namespace convsmith
