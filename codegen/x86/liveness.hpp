// Live ranges. A range is one stretch [start, end] of the flat instruction list in which a virtual
// register must keep its value; a register that dies and is written again has several ranges, which
// may get different machine registers. Exact on structured code: one forward pass finds the
// registers whose values travel round each loop, one backward pass cuts the ranges.
//
// Positions: instruction i reads at 2i and writes at 2i + 1, so a range that ends where another
// begins may share its machine register.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "codegen/vir/vir.hpp"
#include "codegen/x86/fold.hpp"

namespace convsmith::x86 {

struct LiveRange {
  uint32_t start = 0;
  uint32_t end = 0;
  float weight = 0;  // accesses, each counted 10^(loop depth)
  vir::Kind kind{};
};

struct Liveness {
  static constexpr uint32_t kNone = 0;            // stands for operands that are none or folded
  std::vector<LiveRange> ranges;                  // kNone, which never ends, then in order of falling ends
  std::vector<uint32_t> by_start;                 // the others in order of their starts
  std::vector<std::array<uint32_t, 4>> operands;  // for each instruction, the ranges of Inst::regs
};

// The program is well formed.
Liveness find_live_ranges(const vir::Program& program, const std::vector<Fold>& folds);

}  // namespace convsmith::x86
