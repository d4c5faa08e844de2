// The Xbyak back end: vir program in, AVX2 or AVX-512 machine code out. Pure: the bytes are
// position-independent and become code only once somebody publishes them (machine_kernel, an object
// file). Used by runtime/ and by the ahead-of-time writer.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/target.hpp"
#include "codegen/vir.hpp"
#include "convsmith/error.hpp"

namespace convsmith::x86 {

// Code from `offset` on, to the next mark, belongs to instruction `inst` of the program.
struct CodeMark {
  static constexpr int32_t kPrologue = -1;
  static constexpr int32_t kEpilogue = -2;
  static constexpr int32_t kConstants = -3;
  uint32_t offset;
  int32_t inst;
};

struct MachineCode {
  std::vector<uint8_t> bytes;   // a KernelFunction, entered at offset 0; to be placed at a multiple of 64
  std::vector<CodeMark> marks;  // by offset; folded instructions have none
  uint32_t constants_offset = 0;
  int spills = 0;  // integers and pointers that live on the stack
};

// The program is verified. Errors: kUnavailable for a target without AVX2, kUnsupported for a program
// of another number of lanes or one whose vectors do not fit the registers.
Result<MachineCode> assemble(const vir::Program& program, const Target& target);

}  // namespace convsmith::x86
