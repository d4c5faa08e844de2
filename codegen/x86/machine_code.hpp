// What assemble() makes of a program: bytes, and what must be known about them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace convsmith::x86 {

// A displacement of 32 bits at `offset`, relative to its own end, of a function or data by name.
struct NameReference {
  uint32_t offset;
  std::string name;
};

// From byte `offset` of the code on, the caller's frame begins `distance` above rsp; where `pushed` is not
// negative, that register was saved by the instruction before.
struct FrameStep {
  uint32_t offset;
  int32_t distance;
  int pushed = -1;
};

// Code from `offset` on, to the next mark, belongs to instruction `inst` of the program.
struct CodeMark {
  static constexpr int32_t kPrologue = -1;
  static constexpr int32_t kEpilogue = -2;
  static constexpr int32_t kConstants = -3;
  uint32_t offset;
  int32_t inst;
};

struct MachineCode {
  std::vector<uint8_t> bytes;   // a function, entered at offset 0; to be placed at a multiple of 64
  std::vector<CodeMark> marks;  // by offset; folded instructions have none
  uint32_t constants_offset = 0;
  std::vector<NameReference> names;  // functions and data that it refers to; none in a layer
  std::vector<FrameStep> frame;
  int spills = 0;  // integers and pointers that live on the stack
};

}  // namespace convsmith::x86
