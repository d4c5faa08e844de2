// Instruction selection: the one place that knows which machine instructions stand for a vir
// operation, on AVX2 and on AVX-512. assemble() calls select() for every instruction in order; only
// blocks need memory of earlier ones. No instruction here writes a register before it has read the
// operands it still needs, so an operand's register may be the destination's.
#pragma once

#include <vector>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "codegen/x86/emitter.hpp"
#include "codegen/x86/fold.hpp"
#include "codegen/x86/frame.hpp"
#include "codegen/x86/liveness.hpp"
#include "codegen/x86/regalloc.hpp"

namespace convsmith::x86 {

class Selector {
 public:
  Selector(Emitter& emitter, const vir::Program& program, const std::vector<Fold>& folds,
           const Liveness& liveness, const Allocation& allocation, const Frame& frame, const Target& target);

  // Emits instruction `at`. Instructions that were folded away are not passed.
  void select(size_t at);

 private:
  // Integers and pointers (isel_integer.cpp)
  void select_integer(const vir::Inst& inst);
  void select_block(const vir::Inst& inst);
  void open_block(const vir::Inst& inst);
  void open_bounded_if();
  void open_within(const vir::Inst& inst);
  bool is_innermost_loop() const;
  void add(Location d, Location a, Location b);
  void add_constant(Location d, Location a, int64_t n);
  void subtract(Location d, Location a, Location b);
  void multiply(Location d, Location a, Location b);
  void multiply_constant(Location d, Location a, int64_t n);
  void pick(Location d, Location a, Location b, bool smaller);
  void divide(Location d, Location a, Location b);
  void floor_divide(Location d, Location a, int64_t n);
  void move(Location d, Location a);
  void move_constant(Location d, int64_t n);
  void load_argument(Location d, int64_t slot);
  void compare(Location a, Location b);

  // Calls (isel_call.cpp)
  void select_call(const vir::Inst& inst);
  const std::string& name(const vir::Inst& inst) const {
    return program_.labels[static_cast<size_t>(inst.imm)];
  }

  // Vectors (isel.cpp)
  void select_vector(const vir::Inst& inst);
  void select_memory(const vir::Inst& inst);
  void select_lanes(const vir::Inst& inst);
  void binary(const vir::Inst& inst);
  void arithmetic(VectorOp op);
  void fused_multiply_add(const vir::Inst& inst);
  void compare_lanes(const vir::Inst& inst);
  void select_by_mask(const vir::Inst& inst);
  void make_constant(const vir::Inst& inst);
  void make_first(const vir::Inst& inst);
  void make_between(const vir::Inst& inst);
  void copy_blocks(const vir::Inst& inst);
  void insert_block(const vir::Inst& inst);
  void copy_vector(int d, int a);

  Location location(size_t k) const { return allocation_.of[liveness_.operands[at_][k]]; }
  int reg(size_t k) const { return location(k).reg(); }
  const Xbyak::Xmm& vec(size_t k) const { return e_.vec(reg(k)); }
  Xbyak::Opmask mask(size_t k) const { return Xbyak::Opmask(location(k).reg()); }
  bool folded(size_t k) const { return folds_[at_].operand == k; }
  bool wide() const { return target_.mask_registers; }  // AVX-512

  // Operand k: its register, or the memory that was folded into it.
  Place operand(size_t k);
  // Calls emit(x) with it, for Xbyak.
  template <class Emit>
  void with_operand(size_t k, Emit&& emit, int immediate_bytes = 0);

  Xbyak::Address slot(Location where) const { return e_.qword[e_.memory(kRsp, Frame::slot(where))]; }
  static Place place(Location where) {
    return where.spilled() ? Place::in_memory(kRsp, Frame::slot(where)) : Place::in_register(where.reg());
  }
  // The register of `where`, or `scratch` loaded from its slot.
  int read(Location where, int scratch);
  void read_into(int r, Location where);
  // Where to compute a result for `where`; done() then stores a spilled one.
  static int result(Location where) { return where.spilled() ? kRax : where.reg(); }
  void done(Location where, int computed);
  // Calls emit(x) with the register or the stack slot.
  template <class Emit>
  void with_integer(Location where, Emit&& emit);
  // Through rax when the pointer is spilled.
  Place memory(size_t k, int64_t offset);
  Xbyak::Address address(size_t k, int64_t offset);

  struct Block {
    vir::Opcode opener;
    Emitter::Jump past;  // the jump over the block
    uint32_t head;       // of the block's code
    Location a, b;       // what its test reads
  };

  Emitter& e_;
  const vir::Program& program_;
  const std::vector<Fold>& folds_;
  const Liveness& liveness_;
  const Allocation& allocation_;
  const Frame& frame_;
  const Target& target_;
  size_t at_ = 0;
  std::vector<Block> blocks_;
};

template <class Emit>
void Selector::with_integer(Location where, Emit&& emit) {
  if (where.spilled()) {
    emit(slot(where));
  } else {
    emit(Xbyak::Reg64(where.reg()));
  }
}

}  // namespace convsmith::x86
