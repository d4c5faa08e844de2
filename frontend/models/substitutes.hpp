// What to use in the place of a function on tensors, which tf_keras saves as TFOpLambda and Keras 3 as an
// operator: layers that compute the same. Called by missing.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "frontend/models/architecture.hpp"

namespace convsmith::models {

// The function that a layer stands for; empty if it stands for none.
std::string_view function_of(const LayerEntry& layer);

// Sentences, one for each way in which the function is called. None where no layer computes the same.
std::set<std::string> substitutes_for(const LayerEntry& layer);

}  // namespace convsmith::models
