#include "codegen/llvm/exact_fma.hpp"

#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/Module.h>

namespace convsmith::llvm_backend {

namespace {

using llvm::Value;

constexpr const char* kName = "exact_fma";

Value* emit_body(llvm::IRBuilder<>& builder, Value* a, Value* b, Value* c) {
  auto* const floats = llvm::cast<llvm::FixedVectorType>(a->getType());
  auto* const doubles = llvm::FixedVectorType::get(builder.getDoubleTy(), floats->getNumElements());
  auto* const ints = llvm::FixedVectorType::get(builder.getInt64Ty(), floats->getNumElements());
  const auto widen = [&](Value* x) { return builder.CreateFPExt(x, doubles); };
  const auto as_ints = [&](Value* x) { return builder.CreateBitCast(x, ints); };
  const auto constant = [&](uint64_t n) { return llvm::ConstantInt::get(ints, n); };

  // sum + error = product + addend, exactly (D. Knuth's TwoSum). Nothing overflows or underflows
  // here: products of floats lie between 2^-298 and 2^256.
  Value* const product = builder.CreateFMul(widen(a), widen(b));
  Value* const addend = widen(c);
  Value* const sum = builder.CreateFAdd(product, addend);
  Value* const part = builder.CreateFSub(sum, product);
  Value* const error = builder.CreateFAdd(builder.CreateFSub(product, builder.CreateFSub(sum, part)),
                                          builder.CreateFSub(addend, part));

  // Round to odd: an inexact sum whose last bit is even moves one step towards the error. The error
  // of an infinite sum or a NaN is NaN, for which the comparison is false: those stay as they are.
  Value* const bits = as_ints(sum);
  Value* const size = builder.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, error);
  Value* const inexact = builder.CreateFCmpOGT(size, llvm::Constant::getNullValue(doubles));
  Value* const even = builder.CreateAnd(builder.CreateNot(bits), constant(1));
  Value* const step = builder.CreateAnd(even, builder.CreateSExt(inexact, ints));  // 0 or 1
  Value* const towards_zero = builder.CreateLShr(builder.CreateXor(bits, as_ints(error)), constant(63));
  Value* const back = builder.CreateShl(builder.CreateAnd(step, towards_zero), constant(1));
  Value* const odd = builder.CreateSub(builder.CreateAdd(bits, step), back);
  return builder.CreateFPTrunc(builder.CreateBitCast(odd, doubles), floats);
}

// For the CPU of `caller`.
llvm::Function* make_subroutine(llvm::Function& caller, llvm::Type* floats) {
  auto* const type = llvm::FunctionType::get(floats, {floats, floats, floats}, false);
  auto* const function =
      llvm::Function::Create(type, llvm::GlobalValue::InternalLinkage, kName, caller.getParent());
  function->addFnAttrs({caller.getContext(), caller.getAttributes().getFnAttrs()});
  function->addFnAttr(llvm::Attribute::NoInline);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(caller.getContext(), "", function));
  builder.CreateRet(emit_body(builder, function->getArg(0), function->getArg(1), function->getArg(2)));
  return function;
}

}  // namespace

Value* exact_fma(llvm::IRBuilder<>& builder, Value* a, Value* b, Value* c) {
  llvm::Function& caller = *builder.GetInsertBlock()->getParent();
  llvm::Function* function = caller.getParent()->getFunction(kName);
  if (function == nullptr) function = make_subroutine(caller, a->getType());
  return builder.CreateCall(function, {a, b, c});
}

}  // namespace convsmith::llvm_backend
