// The CPU as data: one row for each instruction set. Everything that depends on the machine and is
// not an instruction encoding is read from here.
#pragma once

#include <cstdint>
#include <string_view>

#include "convsmith/options.hpp"

namespace convsmith {

struct Target {
  Isa isa;
  std::string_view name;    // as --isa spells it
  int lanes;                // 32-bit lanes of a vector register
  int vector_registers;     // architectural vector registers
  bool mask_registers;      // masks live in a file of their own (AVX-512); otherwise in vectors
  bool fused_multiply_add;  // false: back ends expand fma exactly
  int sums_in_flight;       // that hide the latency of a multiply-add: its ports times its cycles
  double blend_slots;       // issue slots of multiply-adds that a blend of two vectors takes
  double shuffle_cycles;    // of a shuffle of many: where they have a single port, nearly one each
  int64_t l1_bytes;         // a size that every such CPU has; schedules need no more than this
  int64_t l2_bytes;
};

// The row of `isa`; kAuto gives the best one that this CPU runs.
const Target& target_for(Isa isa);

// The same with the size of this CPU's second cache, where that is known and larger: for code that stays
// here.
const Target& host_target(Isa isa);

// The best instruction set that this CPU and operating system run.
Isa detect_isa();

}  // namespace convsmith
