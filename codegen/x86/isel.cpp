#include "codegen/x86/isel.hpp"

#include <bit>

#include "frontend/base/check.hpp"

namespace convsmith::x86 {

namespace {

using vir::Inst;
using vir::Opcode;
using Xbyak::Operand;
using Xbyak::Xmm;

// Predicates of vcmpps that signal nothing for a quiet NaN.
constexpr uint8_t kCompareEqual = 0x00;
constexpr uint8_t kCompareUnordered = 0x03;
constexpr uint8_t kCompareLess = 0x11;
constexpr uint8_t kCompareLessEqual = 0x12;
constexpr uint8_t kCompareGreaterEqual = 0x1d;
constexpr uint8_t kCompareGreater = 0x1e;

}  // namespace

Selector::Selector(Emitter& emitter, const vir::Program& program, const std::vector<Fold>& folds,
                   const Liveness& liveness, const Allocation& allocation, const Frame& frame,
                   const Target& target)
    : e_(emitter),
      program_(program),
      folds_(folds),
      liveness_(liveness),
      allocation_(allocation),
      frame_(frame),
      target_(target) {}

void Selector::select(size_t at) {
  at_ = at;
  const Inst& inst = program_.body[at];
  // The sections of the operations' table.
  if (inst.op <= Opcode::kPtrInt) return select_integer(inst);
  if (inst.op <= Opcode::kEnd) return select_block(inst);
  if (inst.op <= Opcode::kLoadPtr) return select_call(inst);
  if (inst.op <= Opcode::kPrefetch) return select_memory(inst);
  select_vector(inst);
}

void Selector::select_vector(const Inst& inst) {
  switch (inst.op) {
    case Opcode::kConst:
      return make_constant(inst);
    case Opcode::kCopy:
      return copy_vector(reg(0), reg(1));
    case Opcode::kFma:
      return fused_multiply_add(inst);
    case Opcode::kSqrt:
      return e_.vsqrtps(vec(0), vec(1));
    case Opcode::kAdd:
      return arithmetic(kVectorAdd);
    case Opcode::kSub:
      return arithmetic(kVectorSubtract);
    case Opcode::kMul:
      return arithmetic(kVectorMultiply);
    case Opcode::kDiv:
      return arithmetic(kVectorDivide);
    // These give the second operand unless the first is strictly greater or less: as vir does.
    case Opcode::kMax:
      return arithmetic(kVectorMax);
    case Opcode::kMin:
      return arithmetic(kVectorMin);
    case Opcode::kAnd:
    case Opcode::kOr:
    case Opcode::kXor:
    case Opcode::kAdd32:
    case Opcode::kSub32:
      return binary(inst);
    case Opcode::kShl32:
      return e_.vpslld(vec(0), vec(1), static_cast<uint8_t>(inst.imm));
    case Opcode::kShr32:
      return e_.vpsrld(vec(0), vec(1), static_cast<uint8_t>(inst.imm));
    case Opcode::kLess:
    case Opcode::kLessEqual:
    case Opcode::kEqual:
    case Opcode::kUnordered:
      return compare_lanes(inst);
    case Opcode::kFirst:
      return make_first(inst);
    case Opcode::kBetween:
      return make_between(inst);
    case Opcode::kSelect:
      return select_by_mask(inst);
    default:
      return select_lanes(inst);
  }
}

void Selector::select_memory(const Inst& inst) {
  switch (inst.op) {
    case Opcode::kLoad:
      return e_.vector(kVectorLoad, reg(0), 0, memory(1, inst.imm));
    case Opcode::kLoad4:
      if (wide()) return e_.vbroadcastf32x4(Xbyak::Zmm(location(0).reg()), address(1, inst.imm));
      return e_.vbroadcastf128(Xbyak::Ymm(location(0).reg()), address(1, inst.imm));
    case Opcode::kLoad8:
      if (wide()) return e_.vbroadcastf32x8(Xbyak::Zmm(location(0).reg()), address(1, inst.imm));
      return e_.vmovups(vec(0), address(1, inst.imm));
    case Opcode::kInsert1:
    case Opcode::kInsert2:
    case Opcode::kInsert3:
      return insert_block(inst);
    case Opcode::kBcast:
      return e_.vector(kVectorBroadcast, reg(0), 0, memory(1, inst.imm));
    case Opcode::kStore:
      return e_.vector(kVectorStore, reg(1), 0, memory(0, inst.imm));
    case Opcode::kStream:
      return e_.vector(kVectorStream, reg(1), 0, memory(0, inst.imm));
    case Opcode::kFence:
      return e_.sfence();
    case Opcode::kPrefetch:
      return e_.prefetcht1(address(0, inst.imm));
    case Opcode::kLoadMask:
      if (wide()) return e_.vmovups(vec(0) | mask(2) | e_.T_z, address(1, inst.imm));
      return e_.vmaskmovps(vec(0), vec(2), address(1, inst.imm));
    case Opcode::kStoreMask:
      if (wide()) return e_.vmovups(address(0, inst.imm) | mask(2), vec(1));
      return e_.vmaskmovps(address(0, inst.imm), vec(2), vec(1));
    default:
      fail_check(__FILE__, __LINE__, "the x86 back end lacks an operation");
  }
}

void Selector::select_lanes(const Inst& inst) {
  switch (inst.op) {
    case Opcode::kZip32Lo:
      return e_.vunpcklps(vec(0), vec(1), vec(2));
    case Opcode::kZip32Hi:
      return e_.vunpckhps(vec(0), vec(1), vec(2));
    case Opcode::kZip64Lo:
      return e_.vunpcklpd(vec(0), vec(1), vec(2));
    case Opcode::kZip64Hi:
      return e_.vunpckhpd(vec(0), vec(1), vec(2));
    case Opcode::kBlocks:
      return copy_blocks(inst);
    default:
      fail_check(__FILE__, __LINE__, "the x86 back end lacks an operation");
  }
}

Place Selector::operand(size_t k) {
  if (!folded(k)) return Place::in_register(reg(k));
  const auto source = static_cast<size_t>(folds_[at_].source);
  const Inst& inst = program_.body[source];
  if (inst.op == Opcode::kConst)
    return e_.pooled(wide() ? ConstantKind::kWord : ConstantKind::kVector, static_cast<uint64_t>(inst.imm),
                     wide());
  const Location pointer = allocation_.of[liveness_.operands[source][1]];
  return Place::in_memory(read(pointer, kRax), inst.imm, inst.op == Opcode::kBcast);
}

template <class Emit>
void Selector::with_operand(size_t k, Emit&& emit, int immediate_bytes) {
  if (!folded(k)) return emit(vec(k));
  const auto source = static_cast<size_t>(folds_[at_].source);
  const Inst& inst = program_.body[source];
  if (inst.op == Opcode::kConst) {
    const ConstantKind kind = wide() ? ConstantKind::kWord : ConstantKind::kVector;
    emit(e_.constant(kind, static_cast<uint64_t>(inst.imm), wide()));
    return e_.constant_used(immediate_bytes);
  }
  const Location pointer = allocation_.of[liveness_.operands[source][1]];
  const Xbyak::RegExp memory = e_.memory(read(pointer, kRax), inst.imm);
  emit(inst.op == Opcode::kBcast ? e_.ptr_b[memory] : e_.ptr[memory]);
}

// Only commutative operations have a folded first operand: the register goes first.
void Selector::arithmetic(VectorOp op) {
  const size_t first = folded(1) ? 2 : 1;
  e_.vector(op, reg(0), reg(first), operand(3 - first));
}

void Selector::binary(const Inst& inst) {
  const size_t first = folded(1) ? 2 : 1;
  const Xmm& d = vec(0);
  const Xmm& a = vec(first);
  with_operand(3 - first, [&](const Operand& b) {
    switch (inst.op) {
      case Opcode::kAnd:
        return wide() ? e_.vpandd(d, a, b) : e_.vandps(d, a, b);
      case Opcode::kOr:
        return wide() ? e_.vpord(d, a, b) : e_.vorps(d, a, b);
      case Opcode::kXor:
        return wide() ? e_.vpxord(d, a, b) : e_.vxorps(d, a, b);
      case Opcode::kAdd32:
        return e_.vpaddd(d, a, b);
      default:
        return e_.vpsubd(d, a, b);
    }
  });
}

// d = a*b + c in one of the three forms that overwrite an operand: 231 (the addend), 213 or 132 (a
// factor), by which operand is in the destination's register already and which one is in memory.
void Selector::fused_multiply_add(const Inst&) {
  const int d = reg(0);
  const auto in_place = [&](size_t k) { return !folded(k) && location(k) == location(0); };
  if (folded(3)) {
    const size_t factor = in_place(2) ? 2 : 1;
    copy_vector(d, reg(factor));
    e_.vector(kVectorFma213, d, reg(3 - factor), operand(3));
  } else if (in_place(3) || (!in_place(1) && !in_place(2))) {
    const size_t factor = folded(1) ? 2 : 1;  // the one in a register
    copy_vector(d, reg(3));
    e_.vector(kVectorFma231, d, reg(factor), operand(3 - factor));
  } else {
    const size_t factor = in_place(1) ? 1 : 2;
    if (folded(3 - factor)) {
      e_.vector(kVectorFma132, d, reg(3), operand(3 - factor));
    } else {
      e_.vector(kVectorFma213, d, reg(3 - factor), operand(3));
    }
  }
}

void Selector::compare_lanes(const Inst& inst) {
  const bool turned = folded(1);
  const uint8_t predicate = inst.op == Opcode::kLess ? (turned ? kCompareGreater : kCompareLess)
                            : inst.op == Opcode::kLessEqual
                                ? (turned ? kCompareGreaterEqual : kCompareLessEqual)
                            : inst.op == Opcode::kEqual ? kCompareEqual
                                                        : kCompareUnordered;
  const size_t first = turned ? 2 : 1;
  const Xmm& a = vec(first);
  const auto emit = [&](const Operand& b) {
    if (wide()) {
      e_.vcmpps(mask(0), a, b, predicate);
    } else {
      e_.vcmpps(vec(0), a, b, predicate);
    }
  };
  with_operand(3 - first, emit, 1);
}

void Selector::select_by_mask(const Inst&) {
  const Xmm& d = vec(0);
  const Xmm& otherwise = vec(3);
  if (wide()) {
    with_operand(2, [&](const Operand& a) { e_.vblendmps(d | mask(1), otherwise, a); });
  } else {
    with_operand(
        2, [&](const Operand& a) { e_.vblendvps(d, otherwise, a, vec(1)); }, 1);
  }
}

void Selector::make_constant(const Inst& inst) {
  if (inst.imm == 0) return e_.clear_vector(reg(0));
  e_.vector(kVectorBroadcast, reg(0), 0, e_.pooled(ConstantKind::kWord, static_cast<uint64_t>(inst.imm)));
}

void Selector::make_first(const Inst&) {
  if (wide()) {
    const Xbyak::Reg32 count(read(location(1), kRdx));
    e_.mov(e_.eax, 0xffffffff);
    e_.bzhi(e_.eax, e_.eax, count);
    return e_.kmovw(mask(0), e_.eax);
  }
  // Lane j of d = count > j.
  const Xmm& d = vec(0);
  with_integer(location(1), [&](const auto& count) {
    if constexpr (std::is_same_v<std::decay_t<decltype(count)>, Xbyak::Reg64>) {
      e_.vmovd(Xmm(d.getIdx()), count.cvt32());
      e_.vpbroadcastd(d, Xmm(d.getIdx()));
    } else {
      e_.vpbroadcastd(d, count);  // the low half of the slot
    }
  });
  e_.vpcmpgtd(d, d, e_.constant(ConstantKind::kLanes, 0));
  e_.constant_used();
}

// From the lanes as bits, in both widths.
void Selector::make_between(const Inst&) {
  e_.mov(e_.eax, 0xffffffff);
  e_.bzhi(e_.eax, e_.eax, Xbyak::Reg32(read(location(2), kRdx)));
  const Xbyak::Reg32 first(read(location(1), kRdx));
  e_.shrx(e_.eax, e_.eax, first);
  e_.shlx(e_.eax, e_.eax, first);
  if (wide()) return e_.kmovw(mask(0), e_.eax);
  const Xmm& d = vec(0);
  const Xmm narrow(d.getIdx());
  e_.vmovd(narrow, e_.eax);
  e_.vpbroadcastd(d, narrow);
  e_.vpsrlvd(d, d, e_.constant(ConstantKind::kLanes, 0));
  e_.constant_used();
  e_.vpslld(d, d, 31);
  e_.vpsrad(d, d, 31);
}

void Selector::copy_blocks(const Inst& inst) {
  const auto source = [&](int block) { return static_cast<int>(inst.imm >> (4 * block) & 15); };
  if (wide()) {
    const auto zmm = [&](size_t k) { return Xbyak::Zmm(location(k).reg()); };
    int pattern = 0;  // two bits a block; the first two come from a, the others from b
    for (int block = 0; block < 4; ++block) pattern |= (source(block) & 3) << (2 * block);
    return e_.vshuff32x4(zmm(0), zmm(1), zmm(2), static_cast<uint8_t>(pattern));
  }
  const auto ymm = [&](size_t k) { return Xbyak::Ymm(location(k).reg()); };
  // Blocks that stay in their place: a blend runs on more ports than a shuffle.
  if (source(0) == 0 && source(1) == 3) return e_.vblendps(ymm(0), ymm(1), ymm(2), 0xf0);
  if (source(0) == 2 && source(1) == 1) return e_.vblendps(ymm(0), ymm(1), ymm(2), 0x0f);
  e_.vperm2f128(ymm(0), ymm(1), ymm(2), static_cast<uint8_t>(source(0) | source(1) << 4));
}

void Selector::insert_block(const Inst& inst) {
  const int block = vir::inserted_block(inst.op);
  const Xbyak::Address from = address(2, inst.imm);
  if (wide()) {
    e_.vinsertf32x4(Xbyak::Zmm(location(0).reg()), Xbyak::Zmm(location(1).reg()), from,
                    static_cast<uint8_t>(block));
  } else {
    e_.vinsertf128(Xbyak::Ymm(location(0).reg()), Xbyak::Ymm(location(1).reg()), from,
                   static_cast<uint8_t>(block));
  }
}

void Selector::copy_vector(int d, int a) {
  if (d != a) e_.vector(kVectorCopy, d, 0, Place::in_register(a));
}

Place Selector::memory(size_t k, int64_t offset) {
  CONVSMITH_CHECK(offset == static_cast<int32_t>(offset), "an address offset has more than 32 bits");
  return Place::in_memory(read(location(k), kRax), offset);
}

Xbyak::Address Selector::address(size_t k, int64_t offset) {
  return e_.ptr[e_.memory(read(location(k), kRax), offset)];
}

}  // namespace convsmith::x86
