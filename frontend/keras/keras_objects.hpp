// Initializers, regularizers and constraints by name, with their parameters and defaults. Inference needs
// none of them: they are checked and kept, because a layer's text must mean the same as in Keras. What they
// compute is in runtime/ (draw_weight, regularizers, constraints).
#pragma once

#include <optional>
#include <string>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/bind_context.hpp"

namespace convsmith {

enum class ObjectRole { kInitializer, kRegularizer, kConstraint };

// The object that `argument=value` asks for: a name ('he_normal'), a class or function, a call of one, or its
// config; empty for None. All defaults are filled in.
Result<std::optional<KerasObject>> bind_keras_object(const BindContext& context, ObjectRole role,
                                                     std::string_view argument, const Value& value);

// Checks an object made by hand: its class under `rules`, and the names and types of its parameters.
Result<void> check_keras_object(const KerasObject& object, ObjectRole role, std::string_view argument,
                                Rules rules);

// The object with every default filled in, in Keras's order, and every parameter of its type; a seed of None
// is left out. Finds what is wrong with an object made by hand, under any rules.
Result<KerasObject> complete_keras_object(const KerasObject& object, ObjectRole role,
                                          std::string_view argument);

// Parameters of a completed object.
double number_param(const KerasObject& object, std::string_view name);
std::string_view text_param(const KerasObject& object, std::string_view name);
const std::vector<int64_t>& axes_param(const KerasObject& object, std::string_view name);
// Null if it is not there or no integer.
const int64_t* find_integer_param(const KerasObject& object, std::string_view name);

// Python text, as it stands behind `kernel_initializer=`: the class name, or a call if a parameter is not
// its default.
std::string keras_object_text(const KerasObject& object, ObjectRole role);

}  // namespace convsmith
