// vir to LLVM IR, operation by operation. Adds no arithmetic of its own and no licence to change any:
// no fast-math flag, no contraction. Vector registers are <lanes x float>, pointers ptr, integers
// i64. The structured blocks of vir give SSA form directly: one phi for each register that a block
// writes, so no optimisation pass has to run before code generation. Called by module.cpp.
#pragma once

#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>

#include <memory>
#include <span>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith::llvm_backend {

// A module with verified functions, which may call each other. Code to ship has unwind tables and the marks
// that hardened links ask for.
std::unique_ptr<llvm::Module> emit_module(std::span<const vir::Program> functions, const Target& target,
                                          bool to_ship, llvm::LLVMContext& context);

}  // namespace convsmith::llvm_backend
