// What PyTorch calls things, said in Keras's words. Used by errors about names that are not known here.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/keras/value.hpp"

namespace convsmith {

// A sentence about a layer of PyTorch, such as "PyTorch's Conv1d(6, 16, 5) is written Conv1D(16, 5, ...)";
// empty for other names.
std::string torch_layer_hint(std::string_view class_name, const std::vector<Argument>& arguments);

// "`out_channels` is called `filters` here.", also for the names of Keras 1; empty for other names.
// `known` are the arguments that there are.
std::string torch_argument_hint(std::string_view name, std::span<const std::string_view> known);

}  // namespace convsmith
