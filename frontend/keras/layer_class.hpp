// The layer classes by name: those of the family, with their aliases, and Keras's others, so that an error
// can tell what is not supported from what no layer is called.
#pragma once

#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {

// The kind that a class name or an alias (Convolution1D) stands for. Keras's other layers are kUnsupported;
// `at` is where the name stands; `hint` is what is known about a name that is none of Keras's.
Result<LayerKind> find_layer_kind(const BindContext& context, const Value& at, std::string_view class_name,
                                  std::string_view hint = {});

// Whether Keras 1, 2 or 3 has a layer of this name, supported or not.
bool is_keras_layer(std::string_view class_name);

// "Conv1DTranspose"
std::string_view class_name_of(LayerKind kind);

// The name that Keras gives to the first layer of a kind in a model: "conv1d_transpose".
std::string_view default_name_of(LayerKind kind);

}  // namespace convsmith
