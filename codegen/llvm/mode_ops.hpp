// The operations of vir on the control word of a thread, for the architecture of the target. Called by the
// emitter.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith::llvm_backend {

// Null where `op` is none of them.
llvm::Value* emit_mode_op(llvm::IRBuilder<>& builder, Isa isa, vir::Opcode op, llvm::Value* operand);

}  // namespace convsmith::llvm_backend
