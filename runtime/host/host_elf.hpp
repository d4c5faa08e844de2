// The machine of this process as ELF numbers it.
#pragma once

#include <elf.h>

#include <cstdint>

namespace convsmith {

#if defined(__aarch64__)
constexpr uint16_t kHostElfMachine = EM_AARCH64;
#else
constexpr uint16_t kHostElfMachine = EM_X86_64;
#endif

}  // namespace convsmith
