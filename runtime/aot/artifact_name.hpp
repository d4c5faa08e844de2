// What the C functions of an artifact begin with. Called by the ahead-of-time compiler and by whoever loads
// artifacts.
#pragma once

#include <string>
#include <string_view>

#include "convsmith/error.hpp"

namespace convsmith {

// Letters, digits and '_', no digit in front. NAME_run and the like are then identifiers, whatever word NAME
// may be on its own.
bool is_c_identifier(std::string_view name);

// Errors (kInvalidSpec): no identifier; one that C or C++ reserve; functions that the C library or convsmith
// have.
Result<void> check_artifact_name(const std::string& name);

// A legal name that resembles any text, such as the name of a file: "my_model" for "my-model".
std::string artifact_name_for(std::string_view text);

}  // namespace convsmith
