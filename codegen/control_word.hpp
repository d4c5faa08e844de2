// The control word of a thread's floating-point unit: how it rounds, whether it keeps denormals, what it
// traps. Whoever changes it gives it back (ScopedControlWord). Used by what runs kernels (runtime/), by the
// interpreter, which is the meaning of the operations on it, and by the checks of cli/.
#pragma once

#include <cstdint>

#include "convsmith/options.hpp"

namespace convsmith {

// In MXCSR of x86-64: results that would be denormal become zero (FTZ), denormal operands count as zero
// (DAZ). FZ in FPCR of AArch64 is both.
inline constexpr int64_t kFlushMxcsr = 0x8040;
inline constexpr int64_t kFlushFpcr = int64_t{1} << 24;

// Of the machine that this runs on. With the usual modes it rounds to nearest, keeps denormals and traps
// nothing: what is made once, such as folded weights, is made in those, whatever the caller's are.
#if defined(__x86_64__)
inline constexpr int64_t kFlushBits = kFlushMxcsr;
inline constexpr int64_t kUsualModes = 0x1f80;
inline int64_t control_word() {
  return __builtin_ia32_stmxcsr();
}
inline void set_control_word(int64_t word) {
  __builtin_ia32_ldmxcsr(static_cast<unsigned>(word));
}
#elif defined(__aarch64__)
inline constexpr int64_t kFlushBits = kFlushFpcr;
inline constexpr int64_t kUsualModes = 0;
inline int64_t control_word() {
  int64_t word = 0;
  asm volatile("mrs %0, fpcr" : "=r"(word));
  return word;
}
inline void set_control_word(int64_t word) {
  asm volatile("msr fpcr, %0" : : "r"(word));
}
#endif

// Another control word until the end of the block; with Denormals::kKeep the one that there is.
class ScopedControlWord {
 public:
  explicit ScopedControlWord(int64_t word) : before_(control_word()) { set_control_word(word); }
  explicit ScopedControlWord(Denormals denormals) : changes_(denormals == Denormals::kFlush) {
    if (!changes_) return;
    before_ = control_word();
    set_control_word(before_ | kFlushBits);
  }
  ~ScopedControlWord() {
    if (changes_) set_control_word(before_);
  }
  ScopedControlWord(const ScopedControlWord&) = delete;
  ScopedControlWord& operator=(const ScopedControlWord&) = delete;

 private:
  bool changes_ = true;
  int64_t before_ = 0;
};

}  // namespace convsmith
