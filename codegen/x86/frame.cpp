#include "codegen/x86/frame.hpp"

#include <algorithm>
#include <array>

#include "frontend/base/check.hpp"

namespace convsmith::x86 {

namespace {

constexpr std::array<int, 6> kCalleeSaved = {3, 5, 12, 13, 14, 15};     // rbx rbp r12-r15
constexpr std::array<int, 6> kParameterRegisters = {7, 6, 2, 1, 8, 9};  // rdi rsi rdx rcx r8 r9

// By opcode: whether the program has it.
std::array<bool, vir::kOpcodes> opcodes_of(const vir::Program& program) {
  std::array<bool, vir::kOpcodes> opcodes{};
  for (const vir::Inst& inst : program.body) opcodes[static_cast<size_t>(inst.op)] = true;
  return opcodes;
}

}  // namespace

Frame::Frame(const vir::Program& program, const Allocation& allocation)
    : program_(program), uses_vectors_(program.registers[2] + program.registers[3] > 0) {
  using vir::Opcode;
  for (const int reg : kCalleeSaved) {
    if ((allocation.general_registers >> reg & 1) != 0) saved_.push_back(reg);
  }
  const auto opcodes = opcodes_of(program);
  const auto has = [&](Opcode op) { return opcodes[static_cast<size_t>(op)]; };
  sets_result_ = has(Opcode::kResultInt) || has(Opcode::kResultPtr);
  bytes_ = 8 * (1 + allocation.spills);
  const auto reserve = [&](int words) {
    const int at = bytes_;
    bytes_ += 8 * words;
    return at;
  };
  if (has(Opcode::kPart)) part_ = reserve(1);
  if (has(Opcode::kModes) || has(Opcode::kSetModes)) modes_ = reserve(1);
  const bool calls = has(Opcode::kCall) || has(Opcode::kFork);
  if (calls) outgoing_ = reserve(vir::kArgs);
  params_ = reserve(static_cast<int>(std::min(program.params.size(), kParameterRegisters.size())));
  // Calls want rsp at a multiple of 16; the return address and what was pushed lie above.
  if (calls && (static_cast<size_t>(bytes_) + 8 * (saved_.size() + 1)) % 16 != 0) reserve(1);
}

void Frame::enter(Emitter& e) {
  // Reached through a pointer: C functions, and parts that a parallel-for runs.
  if (!program_.params.empty() || part_ != 0) e.endbr64();
  int32_t distance = 8;  // the return address
  for (const int reg : saved_) {
    e.push(Xbyak::Reg64(reg));
    note(e, distance += 8, reg);
  }
  e.sub(e.rsp, static_cast<uint32_t>(bytes_));
  note(e, distance + bytes_);
  if (program_.params.empty()) {
    e.store_stack(0, kRdi);
  } else {
    for (size_t i = 0; i < std::min(program_.params.size(), kParameterRegisters.size()); ++i)
      e.store_stack(params_ + 8 * static_cast<int>(i), kParameterRegisters[i]);
  }
  if (part_ != 0) e.store_stack(part_, kRsi);
}

void Frame::leave(Emitter& e) {
  if (!sets_result_) e.xor_(e.eax, e.eax);
  if (uses_vectors_) e.vzeroupper();
  e.add(e.rsp, static_cast<uint32_t>(bytes_));
  auto distance = static_cast<int32_t>(8 * (saved_.size() + 1));
  note(e, distance);
  for (size_t i = saved_.size(); i-- > 0;) {
    e.pop(Xbyak::Reg64(saved_[i]));
    note(e, distance -= 8);
  }
  e.ret();
}

int Frame::parameter(int64_t arg) const {
  const auto found = std::find(program_.params.begin(), program_.params.end(), static_cast<vir::Arg>(arg));
  CONVSMITH_CHECK(found != program_.params.end(), "a C function reads what is not its parameter");
  const auto i = static_cast<size_t>(found - program_.params.begin());
  if (i < kParameterRegisters.size()) return params_ + 8 * static_cast<int>(i);
  const size_t above = 8 * (saved_.size() + 1 + i - kParameterRegisters.size());
  return bytes_ + static_cast<int>(above);
}

}  // namespace convsmith::x86
