// A whole model on one tensor. Used by the layer objects: by Sequential, and by layers that are not of the
// family, as models of one layer.
#pragma once

#include "convsmith/error.hpp"
#include "convsmith/options.hpp"
#include "convsmith/tensor.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith {

// `model` has one input, of the input's shape but for its steps, and one output.
Result<Tensor> run_model(ModelSpec model, const Tensor& input, Denormals denormals);

}  // namespace convsmith
