// Every kind of pass over memory that is no convolution, each as a model of one layer. passes_bench measures
// them, and tests look at their code.
#pragma once

#include <string>
#include <vector>

#include "frontend/model_spec.hpp"

namespace convsmith::bench {

struct Pass {
  std::string name;
  ModelSpec model;  // of inputs (steps, channels), or (channels, steps) where the name ends with _first
};

std::vector<Pass> all_passes(int64_t channels);

}  // namespace convsmith::bench
