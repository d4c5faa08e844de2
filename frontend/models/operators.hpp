// The operators of keras.ops in the graph of a Keras 3 model: what `x + y`, `2 * x` or `ops.reshape(x, ...)`
// leave there. Many share the word with a layer and mean something else: operators line axes up from the
// right, as numpy does, and count the batch axis among them. So they have names of their own,
// "keras.ops.add". Called by architecture (names), build_spec (ops) and layer_ops.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/value.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith::models {

// Whether a class of this `module` is an operator.
bool is_operator_module(std::string_view module);

// "TrueDivide" -> "keras.ops.true_divide", for all that is_operator_module says yes to.
std::string operator_name(std::string_view class_name);

// Whether bind_operator knows the name.
bool is_known_operator(std::string_view name);

// What one call of an operator computes. `arguments`: those of the call, null where tensors stand. Messages
// don't say which operator it is.
Result<LayerOp> bind_operator(const BindContext& context, std::string_view name, const Value& config,
                              std::span<const Value* const> arguments);

}  // namespace convsmith::models
