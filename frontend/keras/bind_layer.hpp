// Gives the arguments of a layer their meaning: a list of named values becomes a LayerSpec. Shared by call
// text, JSON and the readers of models. Conversions and names are checked here, where the position is known;
// what concerns several arguments is checked by check_spec.
#pragma once

#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/bind_shape.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {

// Binds the arguments of a layer of the convolution family or of Dense, by its class name or an alias of it.
// kUnsupported for other layers; `at` is where an unknown class or a missing argument is reported.
Result<LayerSpec> bind_layer(const BindContext& context, std::string_view class_name, const Value& at,
                             const std::vector<Argument>& arguments);

}  // namespace convsmith
