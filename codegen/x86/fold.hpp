// Finds the values that need no register because the one instruction that reads them can take them
// from memory. The first pass of the x86 back end: liveness and instruction selection both skip what
// it removed.
//
// Turn this:  v9 = bcast [p0+8]   v1 = fma v9 v2 v1        v9 = const 0.5   ...   v3 = mul v4 v9
// Into this:  v1 = fma [p0+8] v2 v1                                         ...   v3 = mul v4 0.5
//
// An integer constant is folded into an `if` that follows it.
//
// Only registers that are written once and read once are folded, a load only into the next instruction,
// and a constant only within its basic block: the number of loads that run never grows.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith::x86 {

// What folding decided for one instruction.
struct Fold {
  static constexpr uint8_t kNone = 0xff;

  int32_t source = -1;      // the load, bcast or const that this instruction reads from memory, or -1
  uint8_t operand = kNone;  // which of its registers that replaces
  bool gone = false;        // this instruction itself was folded away
};

// One entry for each instruction.
std::vector<Fold> fold_operands(const vir::Program& program, const Target& target);

}  // namespace convsmith::x86
