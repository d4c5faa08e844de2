// Watches one interpreted call of a program that somebody wrote, and stops it before an operation that
// machine code could not survive: an access outside of the arrays, a store into an input, a division by less
// than 1, a mask of more lanes than there are, a misaligned stream, or more operations than a limit.
//
// A pointer belongs to the array of the argument that it came from, however far it was moved: one array is
// never reached from another. What a call touches must not depend on floats, so that a program that passed
// once stays in its arrays with other data at the same addresses: a mask that comparisons made counts as
// full, and integers are loaded from inputs only. Used by interp.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "codegen/interp/interp.hpp"
#include "codegen/interp/state.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith::interp {

class CheckedCall {
 public:
  CheckedCall(const vir::Program& program, const KernelArgs& args, const Bounds& bounds);

  // Whether the operation may run; called before it does. The first that may not becomes the fault.
  bool allows(size_t pc, const vir::Inst& inst, const State& s);
  std::optional<Fault> fault() const { return fault_; }

 private:
  struct Access {
    int pointer;  // register
    int64_t bytes;
    bool store = false;
  };

  bool allows_numbers(const vir::Inst& inst, const State& s);
  bool allows_memory(const vir::Inst& inst, const State& s);
  bool allows_mask(const vir::Inst& inst, const State& s, int mask, Access lane);
  bool allows_access(const vir::Inst& inst, const State& s, Access access, int64_t offset = 0);
  bool allows_numbers_from(const vir::Inst& inst, const State& s);
  void follow(const vir::Inst& inst);
  bool refuse(std::string what);

  const vir::Program& program_;
  const KernelArgs& args_;
  const Bounds& bounds_;
  int64_t lanes_;
  int64_t executed_ = 0;
  size_t pc_ = 0;
  std::vector<int> origins_;     // by pointer: the argument it came from; kUnknown: memory
  std::vector<bool> by_floats_;  // by mask: whether a comparison made it
  std::optional<Fault> fault_;
};

}  // namespace convsmith::interp
