// Instruction selection for calls of other functions and what passes between them.
#include "codegen/control_word.hpp"
#include "codegen/x86/isel.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::x86 {

using vir::Inst;
using vir::Opcode;
using Xbyak::Reg64;

void Selector::select_call(const Inst& inst) {
  const auto address_of = [&](int offset) { return e_.ptr[e_.rsp + static_cast<size_t>(offset)]; };
  switch (inst.op) {
    case Opcode::kSetPtr:
    case Opcode::kSetInt:
      e_.store_stack(frame_.outgoing(inst.imm), read(location(0), kRax));
      return;
    case Opcode::kCall:
      e_.lea(e_.rdi, address_of(frame_.outgoing(0)));
      e_.xor_(e_.esi, e_.esi);
      e_.call_function(name(inst));
      done(location(0), kRax);
      return;
    case Opcode::kFork:
      read_into(kRcx, location(0));
      load_argument(Location::in_register(kRax), static_cast<int64_t>(vir::Arg::kParallel));
      e_.mov(e_.rdi, e_.qword[e_.rax + 8]);
      e_.address_of(e_.rsi, name(inst));
      e_.lea(e_.rdx, address_of(frame_.outgoing(0)));
      e_.call(e_.qword[e_.rax]);
      return;
    case Opcode::kPart: {
      const int r = result(location(0));
      e_.load_stack(r, frame_.part());
      done(location(0), r);
      return;
    }
    case Opcode::kModes: {
      const int r = result(location(0));
      e_.stmxcsr(address_of(frame_.modes()));
      e_.mov(Xbyak::Reg32(r), e_.dword[e_.rsp + static_cast<size_t>(frame_.modes())]);
      done(location(0), r);
      return;
    }
    case Opcode::kFlushing: {
      const int r = result(location(0));
      read_into(r, location(1));
      e_.or_(Reg64(r), static_cast<uint32_t>(kFlushMxcsr));
      done(location(0), r);
      return;
    }
    case Opcode::kSetModes:
      e_.store_stack(frame_.modes(), read(location(0), kRax));
      e_.ldmxcsr(address_of(frame_.modes()));
      return;
    case Opcode::kData: {
      const int r = result(location(0));
      e_.address_of(Reg64(r), name(inst));
      done(location(0), r);
      return;
    }
    case Opcode::kResultInt:
    case Opcode::kResultPtr:
      read_into(kRax, location(0));
      return;
    case Opcode::kLoadInt:
    case Opcode::kLoadPtr: {
      const int r = result(location(0));
      e_.integer(IntegerOp::kLoad, r, memory(1, inst.imm));
      done(location(0), r);
      return;
    }
    default:
      fail_check(__FILE__, __LINE__, "the x86 back end lacks an operation");
  }
}

}  // namespace convsmith::x86
