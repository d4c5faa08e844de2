// Finds and opens the LLVM module. Holds no LLVM header, so that the library itself never needs
// LLVM. Called by whoever compiles with the LLVM back end or prints its IR.
#pragma once

#include "codegen/llvm_module.hpp"

namespace convsmith {

// The module, opened on the first call and kept for the life of the process. Looked for in
// $CONVSMITH_LLVM_MODULE (a path; then nowhere else), beside the library or program that holds this
// code, in its neighbour folder for libraries (../lib or what it was configured to be), and where the system
// looks for libraries. Thread-safe. Error (kUnavailable) where it is missing, can't be opened, or comes from
// another build.
const Result<const LlvmModule*>& load_llvm_module();

}  // namespace convsmith
