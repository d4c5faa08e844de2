// A layer's JSON: what get_config() returns, {"class_name": ..., "config": ...}, or Keras 3's layer object
// with module, registered_name and build_config. A bare config says by its keys which layer it is. Printed
// Python dictionaries are read as well.
//
// Which generation wrote it: Keras 3 if the dtype is a DTypePolicy, if an initializer has the key input_axes,
// or if the config has a key that only Keras 3 writes (lora_rank, lora_alpha, quantization_config). "module",
// "registered_name" and "build_config" prove nothing, since Keras 2.12 and later writes them too. What cannot
// be decided is Keras 2; only hard_sigmoid and l1_l2 depend on it.
#pragma once

#include <string_view>

#include "frontend/keras/parse_layer.hpp"

namespace convsmith {

// Missing keys have Keras's defaults; unknown keys are notes.
Result<ParsedLayer> parse_config(std::string_view text, Rules rules);

}  // namespace convsmith
