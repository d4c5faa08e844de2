// The register operands of each operation, worked out from the signatures of the op table when this
// is compiled: the passes here look at them several times for every instruction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "codegen/vir.hpp"

namespace convsmith::x86 {

// Operand k is Inst::regs[k].
struct Operands {
  uint8_t count = 0;
  std::array<vir::Kind, 4> kind{};
  std::array<bool, 4> read{};
  std::array<bool, 4> written{};

  constexpr explicit Operands(std::string_view signature) {
    for (const char c : signature) {
      switch (c) {
        case 'P':
          add(vir::Kind::kPtr, false, true);
          break;
        case 'p':
        case '@':
          add(vir::Kind::kPtr, true, false);
          break;
        case 'I':
          add(vir::Kind::kInt, false, true);
          break;
        case 'i':
          add(vir::Kind::kInt, true, false);
          break;
        case 'X':
          add(vir::Kind::kInt, true, true);
          break;
        case 'V':
          add(vir::Kind::kVec, false, true);
          break;
        case 'v':
          add(vir::Kind::kVec, true, false);
          break;
        case 'M':
          add(vir::Kind::kMask, false, true);
          break;
        case 'm':
          add(vir::Kind::kMask, true, false);
          break;
        default:
          break;  // no register
      }
    }
  }

 private:
  constexpr void add(vir::Kind k, bool reads, bool writes) {
    kind[count] = k;
    read[count] = reads;
    written[count] = writes;
    ++count;
  }
};

inline constexpr std::array kOperands = {
#define OP(enumerator, text, signature, meaning) Operands(signature),
#include "codegen/vir_ops.def"
#undef OP
};

inline const Operands& operands_of(vir::Opcode op) {
  return kOperands[static_cast<size_t>(op)];
}

}  // namespace convsmith::x86
