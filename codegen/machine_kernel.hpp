// A kernel that is machine code in memory of its own: what the Xbyak back end's bytes become.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "codegen/code_memory.hpp"
#include "codegen/kernel.hpp"
#include "convsmith/error.hpp"

namespace convsmith {

// The kernel whose KernelFunction is `entry` bytes behind the start of `code`, which must be
// position-independent. Copies it into `memory`. Errors: those of CodeMemory::allocate.
Result<std::unique_ptr<Kernel>> publish(CodeMemory& memory, std::span<const uint8_t> code, size_t entry = 0);

}  // namespace convsmith
