// An activation by value, for headers that keep one: its kinds, names and formulas are in activation.hpp, so
// that a new kind compiles only again who knows kinds.
#pragma once

#include "convsmith/language.hpp"

#include <array>

namespace convsmith {

enum class ActivationKind : int;

struct Activation {
  ActivationKind kind{};  // kLinear
  std::array<float, 3> params{};
  bool operator==(const Activation&) const = default;
};

}  // namespace convsmith
