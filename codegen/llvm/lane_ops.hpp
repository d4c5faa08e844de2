// The vir operations on vectors and masks as LLVM IR. Called by emitter.cpp.
#pragma once

#include <llvm/IR/IRBuilder.h>

#include <array>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith::llvm_backend {

// Emits at the builder's place. A mask is <lanes x i1> where masks have registers of their own,
// elsewhere <lanes x i32> of all ones or zero: LLVM would narrow an i1 vector that lives across
// blocks to bytes and widen it again at each use.
class LaneOps {
 public:
  LaneOps(llvm::IRBuilder<>& builder, const Target& target, int lanes);

  // `in` holds the operands that `inst` reads, in signature order. Null: not a lane operation.
  using Operands = std::array<llvm::Value*, 4>;
  llvm::Value* emit(const vir::Inst& inst, const Operands& in);

  llvm::Value* insert(llvm::Value* vector, uint32_t block, llvm::Value* address);
  llvm::Value* load(llvm::Value* address);
  llvm::Value* load(llvm::Value* address, llvm::Value* mask);
  // The same `run` floats again and again.
  llvm::Value* load_run(llvm::Value* address, unsigned run);
  llvm::Value* broadcast(llvm::Value* address);
  void store(llvm::Value* address, llvm::Value* vector);
  void stream(llvm::Value* address, llvm::Value* vector);
  llvm::Value* fence();
  void store(llvm::Value* address, llvm::Value* vector, llvm::Value* mask);

 private:
  llvm::Value* select(llvm::Value* conditions, llvm::Value* a, llvm::Value* b);
  llvm::Value* arithmetic(vir::Opcode op, const Operands& in);
  llvm::Value* bits(const vir::Inst& inst, const Operands& in);
  llvm::Value* compare(vir::Opcode op, const Operands& in);
  llvm::Value* move(const vir::Inst& inst, const Operands& in);
  llvm::Value* fma(const Operands& in);

  llvm::Value* as_ints(llvm::Value* vector) { return builder_.CreateBitCast(vector, ints_); }
  llvm::Value* as_floats(llvm::Value* vector) { return builder_.CreateBitCast(vector, floats_); }
  llvm::Value* lanes_below(llvm::Value* count);
  llvm::Value* to_mask(llvm::Value* conditions);
  llvm::Value* to_conditions(llvm::Value* mask);

  llvm::IRBuilder<>& builder_;
  const Target& target_;
  unsigned lanes_;
  llvm::FixedVectorType* floats_;
  llvm::FixedVectorType* ints_;
  llvm::FixedVectorType* masks_;
};

}  // namespace convsmith::llvm_backend
