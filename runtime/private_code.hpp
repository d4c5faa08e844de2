// A kernel's code once more, in private memory of its own, where tools look for what a process has compiled:
// perf reads names of addresses in anonymous memory only, and GDB can put no breakpoint into pages that are
// shared, as those of CodeMemory are. Written first and made executable then, which hardened hosts forbid:
// hence no place for kernels that nobody watches. Called by jit_events.
#pragma once

#include <memory>

#include "codegen/kernel.hpp"

namespace convsmith {

// The kernel is machine code. Null, with errno, where the host refuses.
std::unique_ptr<Kernel> copy_to_private_memory(const Kernel& kernel);

}  // namespace convsmith
