// Keras's regularizers: the loss that a weight or an output adds in training. Computed in double. Called by
// the layer objects.
#pragma once

#include <string_view>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith {

// L1: l1 sum|x|. L2: l2 sum x^2. L1L2: both. OrthogonalRegularizer (matrices only): factor times the mean
// |cosine| of all pairs of rows or columns. `argument` is named in errors.
Result<double> regularization_loss(const Regularizer& regularizer, std::string_view argument,
                                   const Tensor& tensor);

}  // namespace convsmith
