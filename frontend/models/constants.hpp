// Arrays that the JSON of a model holds: a number, lists of lists, or numpy's arrays as Keras 3 writes them.
// Used by layer_ops and operators.
#pragma once

#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/keras/value.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith::models {

// The numbers rounded to float32, as Keras does before it computes with them. `what` begins the message.
Result<Constant> read_constant(const Value& value, std::string_view what);

// A constant of the same shape that is `number` everywhere.
Constant filled(const Constant& like, double number);

}  // namespace convsmith::models
