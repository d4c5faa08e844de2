// The classes of initializers, regularizers and constraints, with their parameters, and all names that they
// go by. Called by keras_objects.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/keras_objects.hpp"

namespace convsmith::objects {

using Role = ObjectRole;

enum class Type : uint8_t {
  kNumber,
  kSeed,  // an int, or None: then it is left out
  kText,
  kFlag,
  kAxis  // an int or a tuple of ints, kept as a list
};

struct ParamInfo {
  std::string_view name;
  Type type = Type::kNumber;
  double number = 0.0;          // default of numbers and flags
  std::string_view text = {};   // default of texts
  std::string_view legal = {};  // for texts: the legal ones, each between bars
};

struct ClassInfo {
  Role role;
  std::string_view name;
  Generations generations = kBothKeras;
  std::array<ParamInfo, 4> params = {};
};

// By the name of the class; null if there is none.
const ClassInfo* find_class(Role role, std::string_view name);

struct Found {
  const ClassInfo* info = nullptr;
  Generations generations = 0;
};

// By any of its names.
Found find_name(Role role, std::string_view name);

// Null if there is none.
const ParamInfo* find_param(const ClassInfo& info, std::string_view name);

KerasObject::Param default_param(const ParamInfo& info);

// "Did you mean ..?", or nothing.
std::string nearest_names(Role role, std::string_view name);

}  // namespace convsmith::objects
