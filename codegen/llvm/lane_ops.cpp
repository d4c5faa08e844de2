#include "codegen/llvm/lane_ops.hpp"

#include <llvm/ADT/APFloat.h>
#include <llvm/IR/Constants.h>
#include <llvm/IR/Intrinsics.h>
#include <llvm/IR/IntrinsicsX86.h>

#include <vector>

#include "codegen/llvm/exact_fma.hpp"

namespace convsmith::llvm_backend {

namespace {

using llvm::Value;
using vir::Opcode;

// Arrays of float: nothing more is known of their addresses.
const llvm::Align kFloatAlign = llvm::Align::Constant<4>();
constexpr uint32_t kBlockLanes = 4;

}  // namespace

LaneOps::LaneOps(llvm::IRBuilder<>& builder, const Target& target, int lanes)
    : builder_(builder),
      target_(target),
      lanes_(static_cast<unsigned>(lanes)),
      floats_(llvm::FixedVectorType::get(builder.getFloatTy(), lanes_)),
      ints_(llvm::FixedVectorType::get(builder.getInt32Ty(), lanes_)),
      masks_(target.mask_registers ? llvm::FixedVectorType::get(builder.getInt1Ty(), lanes_) : ints_) {}

Value* LaneOps::to_mask(Value* conditions) {
  return target_.mask_registers ? conditions : builder_.CreateSExt(conditions, ints_);
}

Value* LaneOps::to_conditions(Value* mask) {
  return target_.mask_registers ? mask : builder_.CreateICmpSLT(mask, llvm::Constant::getNullValue(ints_));
}

Value* LaneOps::lanes_below(Value* count) {
  std::vector<uint32_t> iota;
  for (uint32_t j = 0; j < lanes_; ++j) iota.push_back(j);
  Value* const n = builder_.CreateVectorSplat(lanes_, builder_.CreateTrunc(count, builder_.getInt32Ty()));
  return builder_.CreateICmpSLT(llvm::ConstantDataVector::get(builder_.getContext(), iota), n);
}

Value* LaneOps::insert(Value* vector, uint32_t block, Value* address) {
  Value* const lanes = builder_.CreateAlignedLoad(
      llvm::FixedVectorType::get(builder_.getFloatTy(), kBlockLanes), address, kFloatAlign);
  std::vector<int> widen;  // lanes beyond those that were loaded are not looked at
  std::vector<int> pick;
  for (uint32_t j = 0; j < lanes_; ++j) {
    widen.push_back(j < kBlockLanes ? static_cast<int>(j) : llvm::PoisonMaskElem);
    const bool is_new = j / kBlockLanes == block;
    pick.push_back(static_cast<int>(is_new ? lanes_ + j % kBlockLanes : j));
  }
  return builder_.CreateShuffleVector(vector, builder_.CreateShuffleVector(lanes, widen), pick);
}

Value* LaneOps::load(Value* address) {
  return builder_.CreateAlignedLoad(floats_, address, kFloatAlign);
}

Value* LaneOps::load(Value* address, Value* mask) {
  return builder_.CreateMaskedLoad(floats_, address, kFloatAlign, to_conditions(mask),
                                   llvm::Constant::getNullValue(floats_));
}

Value* LaneOps::broadcast(Value* address) {
  Value* const lane = builder_.CreateAlignedLoad(builder_.getFloatTy(), address, kFloatAlign);
  return builder_.CreateVectorSplat(lanes_, lane);
}

Value* LaneOps::load_run(Value* address, unsigned run) {
  if (run >= lanes_) return load(address);
  auto* const few = llvm::FixedVectorType::get(builder_.getFloatTy(), run);
  Value* const floats = builder_.CreateAlignedLoad(few, address, kFloatAlign);
  llvm::SmallVector<int, 16> source;
  for (unsigned j = 0; j < lanes_; ++j) source.push_back(static_cast<int>(j % run));
  return builder_.CreateShuffleVector(floats, source);
}

void LaneOps::store(Value* address, Value* vector) {
  builder_.CreateAlignedStore(vector, address, kFloatAlign);
}

void LaneOps::stream(Value* address, Value* vector) {
  llvm::StoreInst* const store = builder_.CreateAlignedStore(vector, address, llvm::Align(4 * lanes_));
  auto* const one = llvm::ConstantAsMetadata::get(builder_.getInt32(1));
  store->setMetadata(llvm::LLVMContext::MD_nontemporal, llvm::MDNode::get(builder_.getContext(), one));
}

// A fence of the language does not order streams on x86.
Value* LaneOps::fence() {
  if (target_.isa == Isa::kNeon) return builder_.CreateFence(llvm::AtomicOrdering::Release);
  return builder_.CreateIntrinsic(llvm::Intrinsic::x86_sse_sfence, {}, {});
}

void LaneOps::store(Value* address, Value* vector, Value* mask) {
  builder_.CreateMaskedStore(vector, address, kFloatAlign, to_conditions(mask));
}

Value* LaneOps::emit(const vir::Inst& inst, const Operands& in) {
  switch (inst.op) {
    case Opcode::kConst:
      return llvm::ConstantVector::getSplat(
          llvm::ElementCount::getFixed(lanes_),
          llvm::ConstantFP::get(
              builder_.getContext(),
              llvm::APFloat(llvm::APFloat::IEEEsingle(), llvm::APInt(32, static_cast<uint64_t>(inst.imm)))));
    case Opcode::kCopy:
      return in[0];
    case Opcode::kFirst:
      return to_mask(lanes_below(in[0]));
    case Opcode::kBetween:
      return to_mask(builder_.CreateAnd(builder_.CreateNot(lanes_below(in[0])), lanes_below(in[1])));
    case Opcode::kSelect:
      return select(to_conditions(in[0]), in[1], in[2]);
    default:
      break;
  }
  if (Value* const result = arithmetic(inst.op, in)) return result;
  if (Value* const result = bits(inst, in)) return result;
  if (Value* const result = compare(inst.op, in)) return result;
  return move(inst, in);
}

// Of a comparison and a choice of floats LLVM makes vmaxps or vminps, which flush denormals where a choice
// does not; of bits it makes none. Masks that are vectors hide the comparison.
Value* LaneOps::select(Value* conditions, Value* a, Value* b) {
  if (!target_.mask_registers) return builder_.CreateSelect(conditions, a, b);
  Value* const left = as_ints(a);
  return as_floats(builder_.CreateSelect(conditions, left, as_ints(b)));
}

Value* LaneOps::arithmetic(Opcode op, const Operands& in) {
  switch (op) {
    case Opcode::kFma:
      return fma(in);
    case Opcode::kAdd:
      return builder_.CreateFAdd(in[0], in[1]);
    case Opcode::kSub:
      return builder_.CreateFSub(in[0], in[1]);
    case Opcode::kMul:
      return builder_.CreateFMul(in[0], in[1]);
    case Opcode::kDiv:
      return builder_.CreateFDiv(in[0], in[1]);
    // Not llvm.maxnum and llvm.minnum: those choose otherwise for NaN.
    case Opcode::kMax:
      return builder_.CreateSelect(builder_.CreateFCmpOGT(in[0], in[1]), in[0], in[1]);
    case Opcode::kMin:
      return builder_.CreateSelect(builder_.CreateFCmpOLT(in[0], in[1]), in[0], in[1]);
    case Opcode::kSqrt:
      return builder_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, in[0]);
    default:
      return nullptr;
  }
}

Value* LaneOps::fma(const Operands& in) {
  if (!target_.fused_multiply_add) return exact_fma(builder_, in[0], in[1], in[2]);
  return builder_.CreateIntrinsic(llvm::Intrinsic::fma, {floats_}, {in[0], in[1], in[2]});
}

Value* LaneOps::bits(const vir::Inst& inst, const Operands& in) {
  const auto binary = [&](llvm::Instruction::BinaryOps op) {
    return as_floats(builder_.CreateBinOp(op, as_ints(in[0]), as_ints(in[1])));
  };
  const auto shift = [&](llvm::Instruction::BinaryOps op) {
    return as_floats(builder_.CreateBinOp(op, as_ints(in[0]),
                                          llvm::ConstantInt::get(ints_, static_cast<uint64_t>(inst.imm))));
  };
  switch (inst.op) {
    case Opcode::kAnd:
      return binary(llvm::Instruction::And);
    case Opcode::kOr:
      return binary(llvm::Instruction::Or);
    case Opcode::kXor:
      return binary(llvm::Instruction::Xor);
    case Opcode::kAdd32:
      return binary(llvm::Instruction::Add);
    case Opcode::kSub32:
      return binary(llvm::Instruction::Sub);
    case Opcode::kShl32:
      return shift(llvm::Instruction::Shl);
    case Opcode::kShr32:
      return shift(llvm::Instruction::LShr);
    default:
      return nullptr;
  }
}

Value* LaneOps::compare(Opcode op, const Operands& in) {
  switch (op) {
    case Opcode::kLess:
      return to_mask(builder_.CreateFCmpOLT(in[0], in[1]));
    case Opcode::kLessEqual:
      return to_mask(builder_.CreateFCmpOLE(in[0], in[1]));
    case Opcode::kEqual:
      return to_mask(builder_.CreateFCmpOEQ(in[0], in[1]));
    case Opcode::kUnordered:
      return to_mask(builder_.CreateFCmpUNO(in[0], in[1]));
    default:
      return nullptr;
  }
}

Value* LaneOps::move(const vir::Inst& inst, const Operands& in) {
  // Lane numbers of the first operand, then of the second, as shufflevector counts them.
  llvm::SmallVector<int, 16> source;
  const int lanes = static_cast<int>(lanes_);
  const auto zip = [&](int a, int b, int c, int d) {
    for (int block = 0; block < lanes; block += 4) {
      for (const int k : {a, b, c, d}) source.push_back(block + (k < 4 ? k : lanes + k - 4));
    }
  };
  switch (inst.op) {
    case Opcode::kZip32Lo:
      zip(0, 4, 1, 5);
      break;
    case Opcode::kZip32Hi:
      zip(2, 6, 3, 7);
      break;
    case Opcode::kZip64Lo:
      zip(0, 1, 4, 5);
      break;
    case Opcode::kZip64Hi:
      zip(2, 3, 6, 7);
      break;
    case Opcode::kBlocks:
      for (int j = 0; j < lanes; ++j) {
        source.push_back(4 * static_cast<int>(inst.imm >> (4 * (j / 4)) & 15) + j % 4);
      }
      break;
    default:
      return nullptr;
  }
  return builder_.CreateShuffleVector(in[0], in[1], source);
}

}  // namespace convsmith::llvm_backend
