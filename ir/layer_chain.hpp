// The problems that one layer of the convolution family is made of. Called by build_graph.
#pragma once

#include <optional>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/problem.hpp"

namespace convsmith::ir {

struct LayerProblem {
  std::vector<Problem> chain;     // two for SeparableConv1D
  std::optional<Activation> row;  // an activation that is not elementwise
};

Result<LayerProblem> make_layer_problem(const LayerSpec& spec, const Shape& input_shape, Rules rules);

}  // namespace convsmith::ir
