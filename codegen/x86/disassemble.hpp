// Machine code back into text, with the loop of the vector program that each instruction belongs to.
// Called by explain and by the dump of machine code. Without Zydis (CONVSMITH_DISASSEMBLER=OFF) the text is
// the bytes in hexadecimal and no loops are counted.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "codegen/vir/vir.hpp"
#include "codegen/x86/assemble.hpp"

namespace convsmith::x86 {

// A loop without loops inside.
struct InnermostLoop {
  std::string path;  // "while o > loop r", by the labels of the vector program
  int instructions = 0;
  int fmas = 0;
};

struct Disassembly {
  std::string text;  // Intel syntax, offsets in hexadecimal, a heading wherever the loop changes
  size_t code_bytes = 0;
  size_t constant_bytes = 0;
  std::vector<InnermostLoop> loops;
};

// `code` was assembled from `program`.
Disassembly disassemble(const vir::Program& program, const MachineCode& code);

}  // namespace convsmith::x86
