// Writes machine code: Xbyak's encoder over a plain buffer, with jumps, loop alignment, a constant
// pool behind the code and the marks that tie code to instructions. Knows nothing of vir registers;
// isel and assemble drive it. Code is position-independent and assumes that it is placed at a
// multiple of 64 bytes.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "codegen/target.hpp"
#include "codegen/x86/encoding.hpp"
#include "codegen/x86/machine_code.hpp"
#include "codegen/x86/xbyak.hpp"

namespace convsmith::x86 {

using Condition = uint8_t;              // the low four bits of a conditional jump's opcode
constexpr Condition kIfNotBelow = 0x3;  // without sign
constexpr Condition kIfNotZero = 0x5;
constexpr Condition kIfLess = 0xc;
constexpr Condition kIfNotLess = 0xd;
constexpr Condition kIfNotGreater = 0xe;

// What a constant in the pool looks like.
enum class ConstantKind : uint8_t {
  kVector,  // 32 bytes, the value in each lane of 4 bytes
  kLanes,   // 32 bytes, the lanes' numbers 0 1 2 ...
  kQuad,    // 8 bytes
  kWord,    // 4 bytes
};

class Emitter : public Xbyak::CodeGenerator {
 public:
  // `code`, which is not empty, is written over, and grows with reserve(); running over it fails in finish().
  Emitter(std::vector<uint8_t>& code, const Target& target)
      : CodeGenerator(code.size(), code.data()), code_(code), wide_(target.lanes == 16) {
    Xbyak::ClearError();
    const auto kind = wide_ ? Xbyak::Operand::ZMM : Xbyak::Operand::YMM;
    for (int i = 0; i < target.vector_registers; ++i) vectors_[static_cast<size_t>(i)] = Xbyak::Xmm(kind, i);
    for (int i = 0; i < 16; ++i) bases_[static_cast<size_t>(i)] = Xbyak::RegExp(Xbyak::Reg64(i));
  }

  // A vector register of the target's width.
  const Xbyak::Xmm& vec(int index) const { return vectors_[static_cast<size_t>(index)]; }
  // [register + offset]. Xbyak adds whole address expressions, but subtracts numbers, which is faster.
  Xbyak::RegExp memory(int base, int64_t offset) const {
    return bases_[static_cast<size_t>(base)] - (size_t{0} - static_cast<size_t>(offset));
  }
  // Makes room for so many more bytes.
  void reserve(size_t bytes) {
    if (size_ + bytes > maxSize_) grow(bytes);
  }
  uint32_t position() const { return static_cast<uint32_t>(getSize()); }

  // Jumps. A forward jump returns what bind() needs to point it here.
  using Jump = uint32_t;
  Jump jump_forward(Condition condition);
  void bind(Jump jump);
  void jump_back(Condition condition, uint32_t target);
  void align_loop();

  // The most frequent instructions. Of vectors of the target's width, of integers of 64 bits.
  void vector(VectorOp op, int d, int a, const Place& b) {
    if (uint8_t* const at = next()) moved_to(encode(at, op, wide_, d, a, b));
    if (b.form == Place::Form::kConstant) constant_used();
  }
  void clear_vector(int d) {
    if (uint8_t* const at = next()) moved_to(encode_zero(at, d));
  }
  void integer(IntegerOp op, int r, const Place& b) {
    if (uint8_t* const at = next()) moved_to(encode(at, op, r, b));
  }
  void add_registers(int r, int a, int b) {
    if (uint8_t* const at = next()) moved_to(encode_sum(at, r, a, b));
  }
  void multiply(int r, const Place& a, int32_t n) {
    if (uint8_t* const at = next()) moved_to(encode_product(at, r, a, n));
  }
  void set_integer(int r, int64_t n) {
    if (uint8_t* const at = next()) moved_to(encode_constant(at, r, n));
  }
  void integer(ImmediateOp op, const Place& a, int32_t n) {
    if (uint8_t* const at = next()) moved_to(encode(at, op, a, n));
  }
  // r = [rsp + offset] and back.
  void load_stack(int r, int32_t offset) {
    integer(IntegerOp::kLoad, r, Place::in_memory(rsp.getIdx(), offset));
  }
  void store_stack(int32_t offset, int r) {
    integer(IntegerOp::kStore, r, Place::in_memory(rsp.getIdx(), offset));
  }

  // A constant as the operand of vector().
  Place pooled(ConstantKind kind, uint64_t value, bool broadcast = false) {
    refer_to(kind, value);
    return Place::in_pool(broadcast);
  }
  // Of one of Xbyak's instructions: the operand of the next instruction, which must be followed by
  // constant_used(): its address is relative to the instruction's end. `immediate_bytes` of that instruction
  // follow the address.
  Xbyak::Address constant(ConstantKind kind, uint64_t value, bool broadcast = false);
  void constant_used(int immediate_bytes = 0);

  // Functions and data by name, whose place is known later.
  void call_function(const std::string& name);
  void address_of(const Xbyak::Reg64& r, const std::string& name);
  std::vector<NameReference> take_names() { return std::move(names_); }

  // Appends the pool, fixes the addresses into it, and cuts `code` off behind it; returns the offset of the
  // first constant.
  uint32_t finish();

 private:
  struct Constant {
    ConstantKind kind;
    uint64_t value;
    uint32_t offset;
  };
  struct Reference {
    uint32_t constant;      // index
    uint32_t end;           // of the instruction
    uint32_t displacement;  // offset of its four bytes
  };
  void append(const Constant& constant);
  // Where the next instruction goes; null where the buffer may not hold it.
  uint8_t* next() {
    if (size_ + kMostInstructionBytes <= maxSize_) return top_ + size_;
    Xbyak::local::SetError(Xbyak::ERR_CODE_IS_TOO_BIG);
    return nullptr;
  }
  void moved_to(const uint8_t* end) { size_ = static_cast<size_t>(end - top_); }
  void grow(size_t bytes);
  void refer_to(ConstantKind kind, uint64_t value);

  std::vector<uint8_t>& code_;
  bool wide_;
  // Operands made once: Xbyak's are slow to build.
  std::array<Xbyak::Xmm, 32> vectors_;
  std::array<Xbyak::RegExp, 16> bases_;
  std::vector<Constant> constants_;
  std::vector<Reference> references_;
  std::vector<NameReference> names_;
};

}  // namespace convsmith::x86
