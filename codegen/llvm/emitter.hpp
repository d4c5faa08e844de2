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
#include "codegen/vir.hpp"

namespace convsmith::llvm_backend {

// A module with verified functions, which may call each other; with unwind tables where asked for.
std::unique_ptr<llvm::Module> emit_module(std::span<const vir::Program> functions, const Target& target,
                                          bool unwind, llvm::LLVMContext& context);

}  // namespace convsmith::llvm_backend
