#include "codegen/llvm/mode_ops.hpp"

#include <llvm/IR/Function.h>
#include <llvm/IR/IntrinsicsAArch64.h>
#include <llvm/IR/IntrinsicsX86.h>

#include "codegen/control_word.hpp"

namespace convsmith::llvm_backend {

namespace {

using llvm::Value;
using vir::Opcode;

// MXCSR passes through memory.
Value* make_word(llvm::IRBuilder<>& builder) {
  const llvm::IRBuilder<>::InsertPointGuard guard(builder);
  llvm::BasicBlock& entry = builder.GetInsertBlock()->getParent()->getEntryBlock();
  builder.SetInsertPoint(&entry, entry.begin());
  return builder.CreateAlloca(builder.getInt32Ty());
}

Value* read_modes(llvm::IRBuilder<>& builder, bool is_arm) {
  if (is_arm) return builder.CreateIntrinsic(llvm::Intrinsic::aarch64_get_fpcr, {}, {});
  Value* const word = make_word(builder);
  builder.CreateIntrinsic(llvm::Intrinsic::x86_sse_stmxcsr, {}, {word});
  return builder.CreateZExt(builder.CreateLoad(builder.getInt32Ty(), word), builder.getInt64Ty());
}

Value* set_modes(llvm::IRBuilder<>& builder, bool is_arm, Value* modes) {
  if (is_arm) return builder.CreateIntrinsic(llvm::Intrinsic::aarch64_set_fpcr, {}, {modes});
  Value* const word = make_word(builder);
  builder.CreateStore(builder.CreateTrunc(modes, builder.getInt32Ty()), word);
  return builder.CreateIntrinsic(llvm::Intrinsic::x86_sse_ldmxcsr, {}, {word});
}

}  // namespace

Value* emit_mode_op(llvm::IRBuilder<>& builder, Isa isa, Opcode op, Value* operand) {
  const bool is_arm = isa == Isa::kNeon;
  switch (op) {
    case Opcode::kModes:
      return read_modes(builder, is_arm);
    case Opcode::kFlushing:
      return builder.CreateOr(operand, builder.getInt64(is_arm ? kFlushFpcr : kFlushMxcsr));
    case Opcode::kSetModes:
      return set_modes(builder, is_arm, operand);
    default:
      return nullptr;
  }
}

}  // namespace convsmith::llvm_backend
