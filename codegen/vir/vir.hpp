// vir: a register-level vector program, the single contract of all back ends. Structured blocks,
// mutable virtual registers of four kinds, addresses of the form pointer + constant. The meaning of
// each operation is in vir_ops.def and, executable, in interp/. Built by lower and vmath through
// Builder; read by the interpreter, x86/ and llvm/.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace convsmith::vir {

enum class Kind : uint8_t { kPtr, kInt, kVec, kMask };
constexpr int kKinds = 4;

enum class Opcode : uint8_t {
#define OP(enumerator, text, signature, meaning) enumerator,
#include "codegen/vir/ops.def"
#undef OP
};

enum class Arg : uint8_t {
#define ARG(enumerator, text, type, meaning) enumerator,
#include "codegen/vir/args.def"
#undef ARG
};

struct OpInfo {
  std::string_view text;
  std::string_view signature;
  std::string_view meaning;
};
const OpInfo& info(Opcode op);
std::string_view arg_text(Arg arg);
constexpr int kOpcodes = 0
#define OP(enumerator, text, signature, meaning) +1
#include "codegen/vir/ops.def"
#undef OP
    ;
constexpr int kArgs = 0
#define ARG(enumerator, text, type, meaning) +1
#include "codegen/vir/args.def"
#undef ARG
    ;

// Virtual registers, one type for each kind.
struct P {
  uint16_t id;
};
struct I {
  uint16_t id;
};
struct V {
  uint16_t id;
};
struct M {
  uint16_t id;
};

// Registers stand in signature order; `imm` is the constant, address offset, slot or label index.
struct Inst {
  Opcode op;
  std::array<uint16_t, 4> regs{};
  int64_t imm = 0;
  bool operator==(const Inst&) const = default;
};

struct Program {
  std::string name;
  int lanes = 0;
  int64_t scratch_bytes = 0;
  // Where not empty, a C function with these parameters; the other arguments do not exist. Else one that
  // takes a pointer to KernelArgs, and its number as a part of a fork.
  std::vector<Arg> params;
  std::array<uint16_t, kKinds> registers{};  // how many of each kind
  std::vector<std::string> labels;           // names, by Inst::imm
  std::vector<Inst> body;
  bool operator==(const Program&) const = default;
};

// A register operand of one instruction.
struct Use {
  Kind kind = Kind::kPtr;
  uint16_t id = 0;
  bool read = false;
  bool written = false;
};
// The register operands of `inst` in signature order, at most four.
struct Uses {
  std::array<Use, 4> items{};
  int count = 0;
  const Use* begin() const { return items.data(); }
  const Use* end() const { return items.data() + count; }
};
Uses uses(const Inst& inst);

inline bool is_pointer(Arg arg) {
  return arg <= Arg::kScratch;
}

// Whether it runs other functions.
inline bool calls(Opcode op) {
  return op == Opcode::kCall || op == Opcode::kFork;
}

inline bool is_loop(Opcode op) {
  return op == Opcode::kLoop || op == Opcode::kWhile;
}

// The block that kInsert1 to kInsert3 replace; 0 for others.
inline int inserted_block(Opcode op) {
  return op >= Opcode::kInsert1 && op <= Opcode::kInsert3
             ? 1 + static_cast<int>(op) - static_cast<int>(Opcode::kInsert1)
             : 0;
}

inline bool opens_block(Opcode op) {
  return is_loop(op) || op == Opcode::kIf || op == Opcode::kWithin;
}

// Of what opens a block; empty where it has none.
std::string_view label_of(const Program& program, const Inst& opener);

// For each block opener its `end`, for each `end` its opener, 0 elsewhere. The program is well formed.
std::vector<int32_t> match_blocks(const Program& program);

}  // namespace convsmith::vir
