// What a caller chooses: back end, instruction set.
#pragma once

namespace convsmith {

enum class Backend { kAuto, kXbyak, kLlvm, kInterp };

// kBaseline is 128-bit x86-64 without FMA, compiled by LLVM only. kNeon is that of AArch64, ahead of time
// only.
enum class Isa { kAuto, kBaseline, kAvx2, kAvx512, kNeon };

}  // namespace convsmith
