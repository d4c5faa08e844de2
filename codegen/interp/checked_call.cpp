#include "codegen/interp/checked_call.hpp"

#include <fmt/format.h>

#include <cstring>
#include <type_traits>

#include "codegen/vir/text.hpp"

namespace convsmith::interp {

namespace {

using vir::Inst;
using vir::Opcode;

constexpr int kUnknown = -1;

// By argument: whether a program may store through it.
constexpr bool kMayStore[] = {
#define ARG(enumerator, text, type, meaning) std::is_same_v<type, float*>,
#include "codegen/vir/args.def"
#undef ARG
};

const std::byte* begin_of(const KernelArgs& args, int arg) {
  const std::byte* pointer = nullptr;
  std::memcpy(&pointer, reinterpret_cast<const std::byte*>(&args) + 8 * arg, sizeof pointer);
  return pointer;
}

}  // namespace

CheckedCall::CheckedCall(const vir::Program& program, const KernelArgs& args, const Bounds& bounds)
    : program_(program),
      args_(args),
      bounds_(bounds),
      lanes_(program.lanes),
      origins_(program.registers[static_cast<size_t>(vir::Kind::kPtr)], kUnknown),
      by_floats_(program.registers[static_cast<size_t>(vir::Kind::kMask)]) {}

bool CheckedCall::allows(size_t pc, const Inst& inst, const State& s) {
  pc_ = pc;
  if (++executed_ > bounds_.operations)
    return refuse(fmt::format("is not the last of {} operations; a call may run no more", executed_ - 1));
  if (!allows_numbers(inst, s) || !allows_memory(inst, s)) return false;
  follow(inst);
  return true;
}

// Where pointers and masks come from.
void CheckedCall::follow(const Inst& inst) {
  const auto& r = inst.regs;
  switch (inst.op) {
    case Opcode::kArgPtr:
      origins_[r[0]] = static_cast<int>(inst.imm);
      return;
    case Opcode::kPtrCopy:
    case Opcode::kPtrAdd:
    case Opcode::kPtrAddC:
      origins_[r[0]] = origins_[r[1]];
      return;
    case Opcode::kLoadPtr:
      origins_[r[0]] = kUnknown;
      return;
    case Opcode::kLess:
    case Opcode::kLessEqual:
    case Opcode::kEqual:
    case Opcode::kUnordered:
      by_floats_[r[0]] = true;
      return;
    case Opcode::kFirst:
    case Opcode::kBetween:
      by_floats_[r[0]] = false;
      return;
    default:
      return;
  }
}

bool CheckedCall::allows_numbers(const Inst& inst, const State& s) {
  const auto& r = inst.regs;
  const auto is_lane_count = [&](int64_t n) {
    return (n >= 0 && n <= lanes_) || refuse(fmt::format("takes numbers from 0 to {}, found {}", lanes_, n));
  };
  switch (inst.op) {
    case Opcode::kIntDiv:
      if (s.i[r[1]] >= 0 && s.i[r[2]] >= 1) return true;
      return refuse(fmt::format("divides {} by {}; it takes numbers from 0 on and divisors from 1 on",
                                s.i[r[1]], s.i[r[2]]));
    case Opcode::kFirst:
      return is_lane_count(s.i[r[1]]);
    case Opcode::kBetween:
      return is_lane_count(s.i[r[1]]) && is_lane_count(s.i[r[2]]);
    case Opcode::kCall:
    case Opcode::kFork:
    case Opcode::kData:
    case Opcode::kModes:
    case Opcode::kFlushing:
    case Opcode::kSetModes:
      return refuse("is for functions that call each other");
    default:
      return true;
  }
}

bool CheckedCall::allows_memory(const Inst& inst, const State& s) {
  const auto& r = inst.regs;
  const int64_t vector = 4 * lanes_;
  switch (inst.op) {
    case Opcode::kLoad:
      return allows_access(inst, s, {r[1], vector});
    case Opcode::kInsert1:
    case Opcode::kInsert2:
    case Opcode::kInsert3:
      return allows_access(inst, s, {r[2], 16});
    case Opcode::kBcast:
      return allows_access(inst, s, {r[1], 4});
    case Opcode::kLoad4:
      return allows_access(inst, s, {r[1], 16});
    case Opcode::kLoad8:
      return allows_access(inst, s, {r[1], 32});
    case Opcode::kLoadMask:
      return allows_mask(inst, s, r[2], {r[1], 4});
    case Opcode::kStoreMask:
      return allows_mask(inst, s, r[2], {r[0], 4, true});
    case Opcode::kStore:
      return allows_access(inst, s, {r[0], vector, true});
    case Opcode::kStream: {
      if (!allows_access(inst, s, {r[0], vector, true})) return false;
      const auto address = reinterpret_cast<uintptr_t>(s.p[r[0]]) + static_cast<uintptr_t>(inst.imm);
      const auto behind = address % static_cast<uintptr_t>(vector);
      return behind == 0 || refuse(fmt::format("stores {} bytes behind a multiple of {}", behind, vector));
    }
    case Opcode::kLoadInt:
    case Opcode::kLoadPtr:
      return allows_numbers_from(inst, s);
    default:
      return true;
  }
}

// No operation stores numbers or pointers, so those in other arrays would be floats that the call makes.
bool CheckedCall::allows_numbers_from(const Inst& inst, const State& s) {
  const int origin = origins_[inst.regs[1]];
  if (!allows_access(inst, s, {inst.regs[1], 8})) return false;
  if (!kMayStore[origin]) return true;
  return refuse(fmt::format("reads a number from {}, which holds floats that the call makes",
                            vir::arg_text(static_cast<vir::Arg>(origin))));
}

bool CheckedCall::allows_mask(const Inst& inst, const State& s, int mask, Access lane) {
  for (int64_t j = 0; j < lanes_; ++j) {
    const bool touched = by_floats_[static_cast<size_t>(mask)] || s.m[mask][static_cast<size_t>(j)] != 0;
    if (touched && !allows_access(inst, s, lane, 4 * j)) return false;
  }
  return true;
}

bool CheckedCall::allows_access(const Inst& inst, const State& s, Access access, int64_t offset) {
  const char* const verb = access.store ? "stores" : "reads";
  const int origin = origins_[static_cast<size_t>(access.pointer)];
  if (origin == kUnknown) return refuse(fmt::format("{} through a pointer that came from memory", verb));
  const std::string_view name = vir::arg_text(static_cast<vir::Arg>(origin));
  if (access.store && !kMayStore[origin])
    return refuse(fmt::format("stores into {}, which is only read", name));
  // Two's complement: a pointer may have been moved around the whole address space.
  const auto first = static_cast<int64_t>(reinterpret_cast<uintptr_t>(s.p[access.pointer]) +
                                          static_cast<uintptr_t>(inst.imm) + static_cast<uintptr_t>(offset) -
                                          reinterpret_cast<uintptr_t>(begin_of(args_, origin)));
  const int64_t bytes = bounds_.bytes[static_cast<size_t>(origin)];
  if (first >= 0 && access.bytes <= bytes && first <= bytes - access.bytes) return true;
  return refuse(fmt::format("{} {} bytes at offset {} of {}, which has {} bytes ({} floats)", verb,
                            access.bytes, first, name, bytes, bytes / 4));
}

bool CheckedCall::refuse(std::string what) {
  fault_ = Fault{pc_, fmt::format("'{}' {}", vir::print(program_, program_.body[pc_]), what)};
  return false;
}

}  // namespace convsmith::interp
