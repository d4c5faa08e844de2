// fma for targets without the instruction: the same bits, from double arithmetic. Called by
// lane_ops.cpp.
#pragma once

#include <llvm/IR/IRBuilder.h>

namespace convsmith::llvm_backend {

// a*b + c with one rounding, for vectors of float, all values included: the product of two floats is
// exact in double; the sum is rounded to odd, which a second rounding to float can't tell from the
// exact sum (S. Boldo, G. Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
//
// Emits a call of a subroutine of the same module, made on first use: inlined, the forty-odd
// instructions would make large tiles slow to compile and spill anyway.
llvm::Value* exact_fma(llvm::IRBuilder<>& builder, llvm::Value* a, llvm::Value* b, llvm::Value* c);

}  // namespace convsmith::llvm_backend
