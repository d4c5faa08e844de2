// The reference for whole models: every layer straight from ModelSpec in double precision, in the order of
// its calls, sharing nothing with ir/. Each value carries a bound on what float32 may make of it: what a
// layer's own operations lose relative to its magnitudes, and what comes in from the layers before (a running
// error analysis). A batch normalization may be folded into a sum before or behind it and so take part in its
// roundings; it counts as many as the longest sum of the model has. Called by check_model.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "cli/verify/reference.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith::cli {

// Dense, in C order. The first axis counts samples.
struct ReferenceTensor {
  std::vector<int64_t> shape;
  std::vector<Number> values;
};

// The outputs of a model that build_graph accepts, for inputs of fitting shapes.
std::vector<ReferenceTensor> reference_outputs(const ModelSpec& model, std::vector<ReferenceTensor> inputs);

}  // namespace convsmith::cli
