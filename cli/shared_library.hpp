// An object as a shared library, by a linker of the system. Called by `convsmith compile`.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "convsmith/error.hpp"

namespace convsmith::cli {

// Writes `path`. Errors (kUnavailable): no linker for that machine; (kIo): what it says. Nothing half-written
// is left.
Result<void> link_shared(std::span<const uint8_t> object, bool is_arm, const std::string& path);

}  // namespace convsmith::cli
