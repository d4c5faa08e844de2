// Linear scan over live ranges: each range gets one machine register, or a stack slot, for all of
// its life. Pointers and integers may be spilled, the least used first (accesses weighted by loop
// depth), so that nothing that innermost loops touch leaves its register while anything else is
// left. Vectors and masks are never spilled: the schedule's register tile has to fit.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "codegen/x86/liveness.hpp"
#include "convsmith/error.hpp"

namespace convsmith::x86 {

// Never allocated: operands of spilled registers and of division pass through these.
constexpr int kRax = 0;
constexpr int kRdx = 2;
constexpr int kRsp = 4;
constexpr int kRcx = 1;
constexpr int kRsi = 6;
constexpr int kRdi = 7;

class Location {
 public:
  Location() = default;
  static Location in_register(int index) { return Location(index); }
  static Location in_slot(int index) { return Location(-1 - index); }
  bool spilled() const { return code_ < 0; }
  int reg() const { return code_; }
  int slot() const { return -1 - code_; }
  bool operator==(const Location&) const = default;

 private:
  explicit Location(int code) : code_(code) {}
  int32_t code_ = 0;
};

struct Allocation {
  std::vector<Location> of;        // by live range
  int spills = 0;                  // slots in use
  uint32_t general_registers = 0;  // bit set of those in use, by hardware number
};

// Error (kUnsupported) when the vectors or masks that live at once do not fit.
Result<Allocation> allocate_registers(const vir::Program& program, const Liveness& liveness,
                                      const Target& target);

}  // namespace convsmith::x86
