// Kernels as debuggers and profilers see them. CONVSMITH_PROFILE names the tools, several with commas:
//
//   perf     a line in /tmp/perf-PID.map: address, size, name
//   jitdump  a record with the code in jit-PID.dump (`perf inject --jit`), in the folder JITDUMPDIR or the
//            current one
//   gdb      GDB's interface for JIT compilers: an ELF object in memory for each kernel that is alive
//
// For perf and gdb the kernel runs in memory that they can use (CodeMemory::create_private). A kernel is
// called as its vir program with back end and instruction set: conv1d.nwc.64x64.k5.xbyak.avx2. Files are made
// by the first kernel and belong to the user alone; where that fails, one sentence on the verbose channel
// says so. Without the variable none of this happens. Called for each kernel that becomes code of the
// process; thread-safe, and a forked child has files of its own.
#pragma once

#include <memory>
#include <string_view>

#include "codegen/kernel.hpp"
#include "convsmith/error.hpp"
#include "convsmith/options.hpp"

namespace convsmith {

// Whether CONVSMITH_PROFILE may hold this text. Error (kInvalidSpec) where it names a tool that there is not.
Result<void> check_tools(std::string_view text);

// The kernel, known to the tools as long as it lives. Error (kInvalidSpec): CONVSMITH_PROFILE names a tool
// that there is not.
Result<std::unique_ptr<Kernel>> announce_kernel(std::unique_ptr<Kernel> kernel, std::string_view name,
                                                Backend backend, Isa isa);

}  // namespace convsmith
