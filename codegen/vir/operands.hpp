// The operands of each operation, worked out from the signatures of the op table when this is compiled:
// the verifier and the passes of x86/ look at them several times for every instruction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "codegen/vir/vir.hpp"

namespace convsmith::vir {

// Operand k is Inst::regs[k]. Only the first one is ever written; all others are read.
struct Operands {
  uint8_t count = 0;
  uint8_t first_read = 0;  // 1 where the first one is written only: the operation makes a new value
  bool writes = false;
  char constant = 0;  // what Inst::imm is: the character of the signature, or 0 where it is not used
  std::array<Kind, 4> kind{};

  constexpr explicit Operands(std::string_view signature) {
    for (const char c : signature) {
      switch (c) {
        case 'P':
        case 'I':
        case 'V':
        case 'M':
          first_read = 1;
          writes = true;
          break;
        case 'X':
          writes = true;
          break;
        case '@':
        case 'n':
        case 'f':
        case 'a':
        case 's':
          constant = c;
          break;
        default:
          break;
      }
      const size_t k = std::string_view("PpIiVvMm@X").find(c);
      constexpr std::array kKindOf = {Kind::kPtr, Kind::kPtr,  Kind::kInt,  Kind::kInt, Kind::kVec,
                                      Kind::kVec, Kind::kMask, Kind::kMask, Kind::kPtr, Kind::kInt};
      if (k != std::string_view::npos) kind[count++] = kKindOf[k];
    }
  }

  constexpr bool makes_value() const { return first_read == 1; }
};

inline constexpr std::array kOperands = {
#define OP(enumerator, text, signature, meaning) Operands(signature),
#include "codegen/vir/ops.def"
#undef OP
};

inline const Operands& operands_of(Opcode op) {
  return kOperands[static_cast<size_t>(op)];
}

// The registers of all kinds in one row of numbers, which begins with 1: 0 stands for none.
class RegisterNumbers {
 public:
  explicit RegisterNumbers(const Program& program) {
    for (size_t k = 0; k < kKinds; ++k) base_[k + 1] = base_[k] + program.registers[k];
  }
  // One past the last number.
  size_t count() const { return base_[kKinds]; }
  size_t first_of(Kind kind) const { return base_[static_cast<size_t>(kind)]; }
  // Operand k.
  size_t of(const Inst& inst, const Operands& operands, size_t k) const {
    return first_of(operands.kind[k]) + inst.regs[k];
  }

 private:
  std::array<size_t, kKinds + 1> base_{1};
};

}  // namespace convsmith::vir
