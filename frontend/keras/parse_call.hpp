// Call text as a user types it: "layers.Conv1D(32, 3, activation='relu', input_shape=(10, 128))".
#pragma once

#include <string_view>

#include "frontend/keras/parse_layer.hpp"

namespace convsmith {

// Packages before the class name are ignored, but tf_keras means Keras 2 and keras3 means Keras 3. An
// assignment before the call, model.add(...) around it and a call (x) behind it are accepted.
Result<ParsedLayer> parse_call(std::string_view text, Rules rules);

}  // namespace convsmith
