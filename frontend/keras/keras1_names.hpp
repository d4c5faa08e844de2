// What Keras 1 called arguments. Its names stand in files of any age, also below the top level and in files
// that give no version: Keras 2 itself saves configs of old layers as it read them.
#pragma once

#include <string_view>

#include "frontend/keras/value.hpp"

namespace convsmith {

// "kernel_size" for "filter_length"; empty for names that are none of Keras 1, and for those of no effect
// here.
std::string_view modern_name(std::string_view name);

// Whether Keras 1 had the argument, and what it says changes nothing here: W_regularizer.
bool is_idle_keras1_name(std::string_view name);

// The entry with this key, or with the one that Keras 1 had for it.
const Value* find_argument(const Value& config, std::string_view key);

}  // namespace convsmith
