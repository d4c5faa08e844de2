// Initializers, regularizers and constraints by name, with their parameters and defaults. Inference needs
// none of them: they are checked and kept, because a layer's text must mean the same as in Keras.
#pragma once

#include <optional>
#include <string>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/bind_context.hpp"

namespace convsmith {

enum class ObjectRole { kInitializer, kRegularizer, kConstraint };

// The object that `argument=value` asks for: a name ('he_normal'), a class or function, a call of one, or its
// config; empty for None. All defaults are filled in.
Result<std::optional<KerasObject>> bind_keras_object(const BindContext& context, ObjectRole role,
                                                     std::string_view argument, const Value& value);

// Checks an object made by hand: its class under `rules`, and the names and types of its parameters.
Result<void> check_keras_object(const KerasObject& object, ObjectRole role, std::string_view argument,
                                Rules rules);

// Python text, as it stands behind `kernel_initializer=`: the class name, or a call if a parameter is not
// its default.
std::string keras_object_text(const KerasObject& object, ObjectRole role);

}  // namespace convsmith
