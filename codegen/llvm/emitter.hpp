// vir to LLVM IR, operation by operation. Adds no arithmetic of its own and no licence to change any:
// no fast-math flag, no contraction. Vector registers are <lanes x float>, pointers ptr, integers
// i64. The structured blocks of vir give SSA form directly: one phi for each register that a block
// writes, so no optimisation pass has to run before code generation. Called by module.cpp.
#pragma once

#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/Module.h>

#include <memory>

#include "codegen/target.hpp"
#include "codegen/vir.hpp"

namespace convsmith::llvm_backend {

constexpr const char* kEntryName = "kernel";

// A module with one function, `void kernel(ptr args)`, for the verified `program`.
std::unique_ptr<llvm::Module> emit_module(const vir::Program& program, const Target& target,
                                          llvm::LLVMContext& context);

}  // namespace convsmith::llvm_backend
