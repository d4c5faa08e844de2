// Instruction selection for the geometry of a call: integers, pointers, blocks.
#include <bit>

#include "codegen/x86/isel.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::x86 {

namespace {

using vir::Inst;
using vir::Opcode;
using Xbyak::Operand;
using Xbyak::Reg64;

bool fits_int32(int64_t n) {
  return n == static_cast<int32_t>(n);
}

}  // namespace

int Selector::read(Location where, int scratch) {
  if (!where.spilled()) return where.reg();
  e_.load_stack(scratch, Frame::slot(where));
  return scratch;
}

void Selector::read_into(int r, Location where) {
  if (where.spilled() || where.reg() != r) e_.integer(IntegerOp::kLoad, r, place(where));
}

void Selector::done(Location where, int computed) {
  if (where.spilled() || where.reg() != computed) e_.integer(IntegerOp::kStore, computed, place(where));
}

void Selector::select_integer(const Inst& inst) {
  switch (inst.op) {
    case Opcode::kArgPtr:
    case Opcode::kArgInt:
      return load_argument(location(0), inst.imm);
    case Opcode::kIntConst:
      return move_constant(location(0), inst.imm);
    case Opcode::kIntDiv:
      return divide(location(0), location(1), location(2));
    case Opcode::kIntCopy:
    case Opcode::kPtrCopy:
    case Opcode::kPtrInt:
      return move(location(0), location(1));
    case Opcode::kIntAdd:
    case Opcode::kPtrAdd:
      return add(location(0), location(1), location(2));
    case Opcode::kIntAddC:
    case Opcode::kPtrAddC:
      return add_constant(location(0), location(1), inst.imm);
    case Opcode::kIntSub:
      return subtract(location(0), location(1), location(2));
    case Opcode::kIntMul:
      return multiply(location(0), location(1), location(2));
    case Opcode::kIntMulC:
      return multiply_constant(location(0), location(1), inst.imm);
    case Opcode::kIntMin:
      return pick(location(0), location(1), location(2), true);
    case Opcode::kIntMax:
      return pick(location(0), location(1), location(2), false);
    case Opcode::kIntDivC:
      return floor_divide(location(0), location(1), inst.imm);
    default:
      fail_check(__FILE__, __LINE__, "the x86 back end lacks an operation");
  }
}

// Loops are tested at the bottom; the jump at the top is left out where the count is a constant that
// was set just before.
void Selector::select_block(const Inst& inst) {
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
    return;
  }
  if (inst.op == Opcode::kWithin) return open_within(inst);
  if (folded(0) || folded(1)) return open_bounded_if();
  open_block(inst);
}

void Selector::open_block(const Inst& inst) {
  Block block{inst.op, 0, 0, location(0), location(0)};
  if (inst.op == Opcode::kLoop) {
    const Inst* before = at_ > 0 ? &program_.body[at_ - 1] : nullptr;
    const bool runs = before != nullptr && before->op == Opcode::kIntConst &&
                      before->regs[0] == inst.regs[0] && before->imm > 0;
    if (!runs) {
      if (block.a.spilled()) {
        e_.cmp(slot(block.a), 0);
      } else {
        e_.integer(IntegerOp::kTest, block.a.reg(), place(block.a));
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
  e_.integer(ImmediateOp::kCompare, place(a), static_cast<int32_t>(n));
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
    return e_.add_registers(d.reg(), a.reg(), b.reg());
  }
  const int r = result(d);
  read_into(r, a);
  e_.integer(IntegerOp::kAdd, r, place(b));
  done(d, r);
}

void Selector::add_constant(Location d, Location a, int64_t n) {
  if (n == 0) return move(d, a);
  if (!fits_int32(n)) {
    e_.set_integer(kRax, n);
    e_.integer(IntegerOp::kAdd, kRax, place(a));
    return done(d, kRax);
  }
  const auto small = static_cast<int32_t>(n);
  if (d == a) return e_.integer(ImmediateOp::kAdd, place(d), small);
  const int r = result(d);
  if (a.spilled()) {
    e_.load_stack(r, Frame::slot(a));
    e_.integer(ImmediateOp::kAdd, Place::in_register(r), small);
  } else {
    e_.integer(IntegerOp::kAddress, r, Place::in_memory(a.reg(), n));
  }
  done(d, r);
}

void Selector::subtract(Location d, Location a, Location b) {
  const int r = d == b ? kRax : result(d);  // b is still needed when r is written
  read_into(r, a);
  e_.integer(IntegerOp::kSubtract, r, place(b));
  done(d, r);
}

void Selector::multiply(Location d, Location a, Location b) {
  if (d == b) std::swap(a, b);
  const int r = result(d);
  read_into(r, a);
  e_.integer(IntegerOp::kMultiply, r, place(b));
  done(d, r);
}

void Selector::multiply_constant(Location d, Location a, int64_t n) {
  const auto bits = static_cast<uint64_t>(n);
  if (n == 0) return move_constant(d, 0);
  const int r = result(d);
  if (std::has_single_bit(bits)) {
    read_into(r, a);
    if (bits > 1) e_.shl(Reg64(r), std::countr_zero(bits));
  } else if (n == 3 || n == 5 || n == 9) {
    const Reg64 x(read(a, kRax));
    e_.lea(Reg64(r), e_.ptr[x + x * static_cast<int>(n - 1)]);
  } else if (fits_int32(n)) {
    e_.multiply(r, place(a), static_cast<int32_t>(n));
  } else {
    e_.set_integer(kRdx, n);
    e_.integer(IntegerOp::kMultiply, kRdx, place(a));
    return done(d, kRdx);
  }
  done(d, r);
}

void Selector::pick(Location d, Location a, Location b, bool smaller) {
  if (d == b) std::swap(a, b);
  const int r = result(d);
  read_into(r, a);
  e_.integer(IntegerOp::kCompare, r, place(b));
  e_.integer(smaller ? IntegerOp::kMoveIfGreater : IntegerOp::kMoveIfLess, r, place(b));
  done(d, r);
}

void Selector::floor_divide(Location d, Location a, int64_t n) {
  const auto bits = static_cast<uint64_t>(n);
  if (std::has_single_bit(bits)) {
    const int r = result(d);
    read_into(r, a);
    if (bits > 1) e_.sar(Reg64(r), std::countr_zero(bits));
    return done(d, r);
  }
  // The machine rounds toward zero: one less where there is a remainder below zero.
  read_into(kRax, a);
  e_.cqo();
  e_.idiv(e_.constant(ConstantKind::kQuad, bits));
  e_.constant_used();
  e_.sar(e_.rdx, 63);
  e_.add(e_.rax, e_.rdx);
  done(d, kRax);
}

// Of a number that is not negative by one that is positive.
void Selector::divide(Location d, Location a, Location b) {
  read_into(kRax, a);
  e_.cqo();
  with_integer(b, [&](const Operand& x) { e_.idiv(x); });
  done(d, kRax);
}

void Selector::move(Location d, Location a) {
  if (d == a) return;
  if (d.spilled()) return done(d, read(a, kRax));
  read_into(d.reg(), a);
}

void Selector::move_constant(Location d, int64_t n) {
  if (d.spilled() && fits_int32(n)) return e_.mov(slot(d), static_cast<uint64_t>(n));
  const int r = result(d);
  e_.set_integer(r, n);
  done(d, r);
}

void Selector::load_argument(Location d, int64_t slot) {
  const int r = result(d);
  if (!program_.params.empty()) {
    e_.load_stack(r, frame_.parameter(slot));
    return done(d, r);
  }
  // Of neighbouring loads only the first one fetches the pointer.
  const auto leaves_pointer = [](Opcode op) { return op == Opcode::kArgPtr || op == Opcode::kArgInt; };
  const bool is_there =
      at_ > 0 && leaves_pointer(program_.body[at_].op) && leaves_pointer(program_.body[at_ - 1].op);
  if (!is_there) e_.load_stack(kRdx, 0);
  e_.integer(IntegerOp::kLoad, r, Place::in_memory(kRdx, 8 * slot));
  done(d, r);
}

void Selector::compare(Location a, Location b) {
  e_.integer(IntegerOp::kCompare, read(a, kRax), place(b));
}

}  // namespace convsmith::x86
