// Instruction selection for the geometry of a call: integers, pointers, blocks.
#include <bit>

#include "codegen/x86/isel.hpp"

namespace convsmith::x86 {

namespace {

using vir::Inst;
using vir::Opcode;
using Xbyak::Operand;
using Xbyak::Reg64;

bool fits_int32(int64_t n) {
  return n == static_cast<int32_t>(n);
}

// Xbyak takes immediates and displacements as the unsigned number of the same bits.
uint32_t imm32(int64_t n) {
  return static_cast<uint32_t>(static_cast<int32_t>(n));
}

}  // namespace

Reg64 Selector::read(Location where, const Reg64& scratch) {
  if (!where.spilled()) return Reg64(where.reg());
  e_.load_stack(scratch, Frame::slot(where));
  return scratch;
}

void Selector::read_into(const Reg64& r, Location where) {
  if (where.spilled()) {
    e_.load_stack(r, Frame::slot(where));
  } else if (where.reg() != r.getIdx()) {
    e_.mov(r, Reg64(where.reg()));
  }
}

Reg64 Selector::result(Location where) const {
  return where.spilled() ? e_.rax : Reg64(where.reg());
}

void Selector::done(Location where, const Reg64& computed) {
  if (where.spilled()) {
    e_.store_stack(Frame::slot(where), computed);
  } else if (where.reg() != computed.getIdx()) {
    e_.mov(Reg64(where.reg()), computed);
  }
}

bool Selector::select_integer(const Inst& inst) {
  switch (inst.op) {
    case Opcode::kArgPtr:
    case Opcode::kArgInt:
      load_argument(location(0), inst.imm);
      return true;
    case Opcode::kIntConst:
      move_constant(location(0), inst.imm);
      return true;
    case Opcode::kIntDiv:
      divide(location(0), location(1), location(2));
      return true;
    case Opcode::kIntCopy:
    case Opcode::kPtrCopy:
    case Opcode::kPtrInt:
      move(location(0), location(1));
      return true;
    case Opcode::kIntAdd:
    case Opcode::kPtrAdd:
      add(location(0), location(1), location(2));
      return true;
    case Opcode::kIntAddC:
    case Opcode::kPtrAddC:
      add_constant(location(0), location(1), inst.imm);
      return true;
    case Opcode::kIntSub:
      subtract(location(0), location(1), location(2));
      return true;
    case Opcode::kIntMul:
      multiply(location(0), location(1), location(2));
      return true;
    case Opcode::kIntMulC:
      multiply_constant(location(0), location(1), inst.imm);
      return true;
    case Opcode::kIntMin:
      pick(location(0), location(1), location(2), true);
      return true;
    case Opcode::kIntMax:
      pick(location(0), location(1), location(2), false);
      return true;
    case Opcode::kIntDivC:
      floor_divide(location(0), location(1), inst.imm);
      return true;
    default:
      return false;
  }
}

// Loops are tested at the bottom; the jump at the top is left out where the count is a constant that
// was set just before.
bool Selector::select_block(const Inst& inst) {
  if (inst.op == Opcode::kEnd) {
    const Block block = blocks_.back();
    blocks_.pop_back();
    if (block.opener == Opcode::kLoop) {
      with_integer(block.a, [&](const Operand& counter) { e_.dec(counter); });
      e_.jump_back(kIfNotZero, block.head);  // it was positive
    } else if (block.opener == Opcode::kWhile) {
      compare(block.a, block.b);
      e_.jump_back(kIfLess, block.head);
    }
    if (block.past != 0) e_.bind(block.past);
    return true;
  }
  if (!vir::opens_block(inst.op)) return false;
  if (inst.op == Opcode::kWithin) {
    open_within(inst);
    return true;
  }
  if (folded(0) || folded(1)) {
    open_bounded_if();
    return true;
  }
  Block block{inst.op, 0, 0, location(0), location(0)};
  if (inst.op == Opcode::kLoop) {
    const Inst* before = at_ > 0 ? &program_.body[at_ - 1] : nullptr;
    const bool runs = before != nullptr && before->op == Opcode::kIntConst &&
                      before->regs[0] == inst.regs[0] && before->imm > 0;
    if (!runs) {
      if (block.a.spilled()) {
        e_.cmp(slot(block.a), 0);
      } else {
        e_.test(Reg64(block.a.reg()), Reg64(block.a.reg()));
      }
      block.past = e_.jump_forward(kIfNotGreater);
    }
  } else {
    block.b = location(1);
    compare(block.a, block.b);
    block.past = e_.jump_forward(kIfNotLess);
  }
  if (inst.op != Opcode::kIf && is_innermost_loop()) e_.align_loop();
  block.head = e_.position();
  blocks_.push_back(block);
  return true;
}

bool Selector::is_innermost_loop() const {
  for (size_t i = at_ + 1, open = 1; open > 0; ++i) {
    const Opcode op = program_.body[i].op;
    if (vir::is_loop(op)) return false;
    if (vir::opens_block(op)) ++open;
    if (op == Opcode::kEnd) --open;
  }
  return true;
}

// if (a < n) or if (n < a)
void Selector::open_bounded_if() {
  const int64_t n = program_.body[static_cast<size_t>(folds_[at_].source)].imm;
  const Location a = location(folded(0) ? 1 : 0);
  with_integer(a, [&](const Operand& x) { e_.cmp(x, imm32(n)); });
  const Emitter::Jump past = e_.jump_forward(folded(0) ? kIfNotGreater : kIfNotLess);
  blocks_.push_back({Opcode::kIf, past, e_.position(), a, a});
}

// One test for both ends: what is below 0 is far above b without its sign.
void Selector::open_within(const Inst& inst) {
  Location a = location(0);
  if (inst.imm != 0) {
    add_constant(Location::in_register(kRax), a, inst.imm);
    a = Location::in_register(kRax);
  }
  compare(a, location(1));
  const Emitter::Jump past = e_.jump_forward(kIfNotBelow);
  blocks_.push_back({Opcode::kIf, past, e_.position(), a, a});
}

void Selector::add(Location d, Location a, Location b) {
  if (d == b) std::swap(a, b);
  if (!d.spilled() && !a.spilled() && !b.spilled() && d != a) {
    return e_.lea(Reg64(d.reg()), e_.ptr[Reg64(a.reg()) + Reg64(b.reg())]);
  }
  const Reg64 r = result(d);
  read_into(r, a);
  with_integer(b, [&](const Operand& x) { e_.add(r, x); });
  done(d, r);
}

void Selector::add_constant(Location d, Location a, int64_t n) {
  if (n == 0) return move(d, a);
  if (!fits_int32(n)) {
    e_.mov(e_.rax, static_cast<uint64_t>(n));
    with_integer(a, [&](const Operand& x) { e_.add(e_.rax, x); });
    return done(d, e_.rax);
  }
  if (d == a) return with_integer(d, [&](const Operand& x) { e_.add(x, imm32(n)); });
  const Reg64 r = result(d);
  if (a.spilled()) {
    e_.load_stack(r, Frame::slot(a));
    e_.add(r, imm32(n));
  } else {
    e_.lea(r, e_.ptr[e_.memory(Reg64(a.reg()), n)]);
  }
  done(d, r);
}

void Selector::subtract(Location d, Location a, Location b) {
  const Reg64 r = d == b ? e_.rax : result(d);  // b is still needed when r is written
  read_into(r, a);
  with_integer(b, [&](const Operand& x) { e_.sub(r, x); });
  done(d, r);
}

void Selector::multiply(Location d, Location a, Location b) {
  if (d == b) std::swap(a, b);
  const Reg64 r = result(d);
  read_into(r, a);
  with_integer(b, [&](const Operand& x) { e_.imul(r, x); });
  done(d, r);
}

void Selector::multiply_constant(Location d, Location a, int64_t n) {
  const auto bits = static_cast<uint64_t>(n);
  if (n == 0) return move_constant(d, 0);
  const Reg64 r = result(d);
  if (std::has_single_bit(bits)) {
    read_into(r, a);
    if (bits > 1) e_.shl(r, std::countr_zero(bits));
  } else if (n == 3 || n == 5 || n == 9) {
    const Reg64 x = read(a, e_.rax);
    e_.lea(r, e_.ptr[x + x * static_cast<int>(n - 1)]);
  } else if (fits_int32(n)) {
    with_integer(a, [&](const Operand& x) { e_.imul(r, x, static_cast<int>(n)); });
  } else {
    e_.mov(e_.rdx, bits);
    with_integer(a, [&](const Operand& x) { e_.imul(e_.rdx, x); });
    return done(d, e_.rdx);
  }
  done(d, r);
}

void Selector::pick(Location d, Location a, Location b, bool smaller) {
  if (d == b) std::swap(a, b);
  const Reg64 r = result(d);
  read_into(r, a);
  with_integer(b, [&](const Operand& x) {
    e_.cmp(r, x);
    if (smaller) {
      e_.cmovg(r, x);
    } else {
      e_.cmovl(r, x);
    }
  });
  done(d, r);
}

void Selector::floor_divide(Location d, Location a, int64_t n) {
  const auto bits = static_cast<uint64_t>(n);
  if (std::has_single_bit(bits)) {
    const Reg64 r = result(d);
    read_into(r, a);
    if (bits > 1) e_.sar(r, std::countr_zero(bits));
    return done(d, r);
  }
  // The machine rounds toward zero: one less where there is a remainder below zero.
  read_into(e_.rax, a);
  e_.cqo();
  e_.idiv(e_.constant(ConstantKind::kQuad, bits));
  e_.constant_used();
  e_.sar(e_.rdx, 63);
  e_.add(e_.rax, e_.rdx);
  done(d, e_.rax);
}

// Of a number that is not negative by one that is positive.
void Selector::divide(Location d, Location a, Location b) {
  read_into(e_.rax, a);
  e_.cqo();
  with_integer(b, [&](const Operand& x) { e_.idiv(x); });
  done(d, e_.rax);
}

void Selector::move(Location d, Location a) {
  if (d == a) return;
  if (d.spilled()) return done(d, read(a, e_.rax));
  read_into(Reg64(d.reg()), a);
}

void Selector::move_constant(Location d, int64_t n) {
  if (d.spilled() && fits_int32(n)) return e_.mov(slot(d), static_cast<uint64_t>(n));
  const Reg64 r = result(d);
  if (n == 0) {
    e_.xor_(r.cvt32(), r.cvt32());
  } else {
    e_.mov(r, static_cast<uint64_t>(n));
  }
  done(d, r);
}

void Selector::load_argument(Location d, int64_t slot) {
  const Reg64 r = result(d);
  if (!program_.params.empty()) {
    e_.load_stack(r, frame_.parameter(slot));
    return done(d, r);
  }
  // Of neighbouring loads only the first one fetches the pointer.
  const auto leaves_pointer = [](Opcode op) { return op == Opcode::kArgPtr || op == Opcode::kArgInt; };
  const bool is_there =
      at_ > 0 && leaves_pointer(program_.body[at_].op) && leaves_pointer(program_.body[at_ - 1].op);
  if (!is_there) e_.load_stack(e_.rdx, 0);
  e_.mov(r, e_.qword[e_.memory(e_.rdx, 8 * slot)]);
  done(d, r);
}

void Selector::compare(Location a, Location b) {
  const Reg64 r = read(a, e_.rax);
  with_integer(b, [&](const Operand& x) { e_.cmp(r, x); });
}

}  // namespace convsmith::x86
