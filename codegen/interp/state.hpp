// The registers of one interpreted call. Used by interp.cpp, which runs it, and by checked_call, which
// watches.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "codegen/kernel.hpp"

namespace convsmith::interp {

constexpr size_t kMaxLanes = 16;
using Lanes = std::array<uint32_t, kMaxLanes>;

// They live in memory that the kernel hands out, one slot a register.
struct State {
  std::byte** p;
  int64_t* i;
  Lanes* v;
  Lanes* m;  // all ones or zero in each lane
  // Of functions that call others: what they call, their number in a fork, what they give and were given.
  const class InterpModule* module = nullptr;
  int64_t part = 0;
  KernelArgs* outgoing = nullptr;
  int64_t* result = nullptr;
};

}  // namespace convsmith::interp
