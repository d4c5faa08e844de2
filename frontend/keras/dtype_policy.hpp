// What files say in `dtype`: a type, or a policy with one for variables and one for computing. Everything is
// computed in float32 here. Used by bind_layer and frontend/models.
#pragma once

#include <string>

#include "convsmith/error.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {

// "mixed_float16" for the name and for the object with it; "int8_from_float32" for a quantized one; empty for
// None and what is no policy.
std::string policy_name(const Value& dtype);

// A float type or policy of a file is computed in float32, with a note; others are refused, and so is all but
// float32 in call text.
Result<void> accept_dtype(const BindContext& context, const Value& dtype);

// "float32 stands in for the dtype policy mixed_float16 ..."
std::string narrowed_note(std::string_view policy);

}  // namespace convsmith
