// The stack frame of a function, and how a debugger finds its way out of it. From rsp up: the argument
// pointer, spilled registers, then what only functions have that call others or are C functions: their number
// as a part of a fork, the block of arguments that they pass on, and their own parameters.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/vir/vir.hpp"
#include "codegen/x86/emitter.hpp"
#include "codegen/x86/machine_code.hpp"
#include "codegen/x86/regalloc.hpp"

namespace convsmith::x86 {

class Frame {
 public:
  Frame(const vir::Program& program, const Allocation& allocation);

  // Emits the function's prologue and epilogue.
  void enter(Emitter& e);
  void leave(Emitter& e);

  // Offsets from rsp.
  static int slot(Location spilled) { return 8 * (1 + spilled.slot()); }
  int part() const { return part_; }
  // Where a control word passes between a register and the unit that it controls.
  int modes() const { return modes_; }
  int outgoing(int64_t arg) const { return outgoing_ + 8 * static_cast<int>(arg); }
  // Of a C function: its parameter for argument `arg`.
  int parameter(int64_t arg) const;
  const std::vector<FrameStep>& steps() const { return steps_; }

 private:
  void note(const Emitter& e, int32_t distance, int pushed = -1) {
    steps_.push_back({e.position(), distance, pushed});
  }

  const vir::Program& program_;
  std::vector<int> saved_;  // callee-saved registers in use
  bool uses_vectors_;
  bool sets_result_ = false;
  int part_ = 0;  // 0: not kept
  int modes_ = 0;
  int outgoing_ = 0;
  int params_ = 0;
  int bytes_ = 0;  // below what was pushed
  std::vector<FrameStep> steps_;
};

}  // namespace convsmith::x86
