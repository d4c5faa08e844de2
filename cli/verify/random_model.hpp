// Seeded random models: short networks of two to six pieces, each a layer or a common form of several
// (residual, gate, squeeze and excite, inception). What `verify --random` draws beside layers.
#pragma once

#include <cstdint>

#include "frontend/model_spec.hpp"

namespace convsmith::cli {

// A legal model under Rules::kAny with its weights, the same for a seed on every machine. What it surely
// contains goes round with seed % kModelForms.
inline constexpr uint64_t kModelForms = 24;
ModelSpec random_model(uint64_t seed);

}  // namespace convsmith::cli
