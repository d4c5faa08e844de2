// The activations by name: which generation of Keras knows which, their parameters, and back to text.
// Formulas are the business of code generation; here a name becomes an Activation.
#pragma once

#include <string>
#include <string_view>

#include "convsmith/activation.hpp"
#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/bind_context.hpp"

namespace convsmith {

// The activation that `activation=value` asks for: None, a name ('relu'), a function (tf.nn.relu), a layer
// (LeakyReLU(0.1), or its config), or a function with parameters (lambda x: tf.nn.leaky_relu(x, alpha=0.1)).
// softmax and its like have the axis as their parameter, -1 unless given; PReLU, which has weights, is
// kUnsupported.
Result<Activation> bind_activation(const BindContext& context, const Value& value);

// The activation of a plain name, as in activation='relu'.
Result<Activation> find_activation(std::string_view name, Dialect dialect = Dialect::kCall,
                                   Rules rules = Rules::kCommon);

// Checks an activation made by hand: its generation under `rules`, finite parameters, a whole axis.
Result<void> check_activation(const Activation& activation, Rules rules);

// Turns parameters that the kind does not have into zeros, so that equal functions compare equal.
Activation canonical_activation(Activation activation);

// Keras's name of a kind, without its parameters: "gelu" for both formulas of gelu.
std::string_view keras_name_of(ActivationKind kind);

// The Python text of an activation other than linear, as it stands behind `activation=`.
std::string activation_text(const Activation& activation, Dialect dialect);

}  // namespace convsmith
