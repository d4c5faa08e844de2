// Which layer classes there are. Called by parse_call and parse_config before arguments are bound.
#pragma once

#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/bind_context.hpp"
#include "frontend/value.hpp"

namespace convsmith {

// Accepts Conv1D and its alias Convolution1D. Other names give an error that tells Keras's other layers
// (kUnsupported) from names that no layer has; `at` is where the name stands.
Result<void> check_layer_class(const BindContext& context, const Value& at, std::string_view class_name);

}  // namespace convsmith
