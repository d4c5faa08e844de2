// What a caller chooses: back end, instruction set, what becomes of denormals.
#pragma once

#include "convsmith/language.hpp"

namespace convsmith {

enum class Backend { kAuto, kXbyak, kLlvm, kInterp };

// kBaseline is 128-bit x86-64 without FMA, compiled by LLVM only. kNeon is that of AArch64, ahead of time
// only.
enum class Isa { kAuto, kBaseline, kAvx2, kAvx512, kNeon };

// Numbers below 2^-126, with which many CPUs compute a hundred times slower. kKeep: as the thread that calls
// has it in its control word, which usually keeps them. kFlush: a call and all its threads take them for
// zeros (docs/numerics.md).
enum class Denormals { kKeep, kFlush };

}  // namespace convsmith
