#include "codegen/interp/interp.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "codegen/control_word.hpp"
#include "codegen/interp/arithmetic.hpp"
#include "codegen/interp/block_trace.hpp"
#include "codegen/interp/checked_call.hpp"
#include "codegen/vir/verify.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::interp {

namespace {

using vir::Inst;
using vir::Opcode;

}  // namespace

// The functions of a module, called by name.
class InterpModule {
 public:
  InterpModule(std::span<const vir::Program> functions, const DataLookup& data)
      : functions_(functions), data_(data) {}
  int64_t call(std::string_view name, const KernelArgs& args, int64_t part) const;
  void* data(const std::string& name) const { return data_(name); }

 private:
  std::span<const vir::Program> functions_;
  const DataLookup& data_;
};

namespace {

// Watches nothing.
struct TrustedCall {
  static constexpr bool allows(size_t, const Inst&, const State&) { return true; }
};

// The registers of one call, in memory of its own.
struct Registers {
  explicit Registers(const vir::Program& program)
      : p(program.registers[0]), i(program.registers[1]), v(program.registers[2]), m(program.registers[3]) {}
  State state() { return {p.data(), i.data(), v.data(), m.data()}; }

  std::vector<std::byte*> p;
  std::vector<int64_t> i;
  std::vector<Lanes> v;
  std::vector<Lanes> m;
};

class InterpKernel final : public Kernel {
 public:
  explicit InterpKernel(vir::Program program)
      : program_(std::move(program)),
        match_(vir::match_blocks(program_)),
        lanes_(static_cast<size_t>(program_.lanes)) {}

  void run(const KernelArgs& args) const noexcept override {
    // One register file a thread, grown on the first call and kept: later calls allocate nothing.
    thread_local std::vector<std::byte*> p;
    thread_local std::vector<int64_t> i;
    thread_local std::vector<Lanes> v;
    thread_local std::vector<Lanes> m;
    const auto grow = [](auto& file, size_t n) {
      if (file.size() < n) file.resize(n);
    };
    grow(p, program_.registers[0]);
    grow(i, program_.registers[1]);
    grow(v, program_.registers[2]);
    grow(m, program_.registers[3]);
    TrustedCall call;
    BlockTrace* const trace = BlockTrace::current();
    const State state{p.data(), i.data(), v.data(), m.data()};
    execute(state, args, call, trace == nullptr ? nullptr : trace->entered(program_));
  }

  // With registers of its own, and a `call` that may stop it.
  template <class Call>
  void run(const KernelArgs& args, Call& call) const {
    Registers own(program_);
    execute(own.state(), args, call);
  }

  // As a function of a module; may be called while it runs.
  int64_t run(const InterpModule& module, const KernelArgs& args, int64_t part) const {
    Registers own(program_);
    KernelArgs outgoing{};
    int64_t result = 0;
    State state = own.state();
    state.module = &module;
    state.part = part;
    state.outgoing = &outgoing;
    state.result = &result;
    TrustedCall call;
    execute(state, args, call);
    return result;
  }

 private:
  // `entered`: a flag for each instruction that opens a block, set where the call enters it; may be null.
  template <class Call>
  void execute(const State& s, const KernelArgs& args, Call& call, char* entered = nullptr) const {
    const std::vector<Inst>& body = program_.body;
    for (size_t pc = 0; pc < body.size(); ++pc) {
      const Inst& inst = body[pc];
      if (!call.allows(pc, inst, s)) return;
      const auto end = static_cast<size_t>(match_[pc]);
      const size_t here = pc;
      switch (inst.op) {
        case Opcode::kLoop:
          if (s.i[inst.regs[0]] <= 0) pc = end;
          break;
        case Opcode::kWhile:
        case Opcode::kIf:
          if (s.i[inst.regs[0]] >= s.i[inst.regs[1]]) pc = end;
          break;
        case Opcode::kWithin:
          if (static_cast<uint64_t>(wrap_add(s.i[inst.regs[0]], inst.imm)) >=
              static_cast<uint64_t>(s.i[inst.regs[1]]))
            pc = end;
          break;
        case Opcode::kEnd: {
          const Inst& opener = body[end];  // of an end, the match is its opener
          if (opener.op == Opcode::kLoop && --s.i[opener.regs[0]] > 0) pc = end;
          if (opener.op == Opcode::kWhile && s.i[opener.regs[0]] < s.i[opener.regs[1]]) pc = end;
          break;
        }
        default:
          if (!integers(inst, s, args) && !calls(inst, s, args)) vectors(inst, s);
          continue;
      }
      if (entered != nullptr && pc == here) entered[pc] = 1;
    }
  }

  static bool integers(const Inst& inst, const State& s, const KernelArgs& args) {
    const auto& r = inst.regs;
    const auto slot = [&] { return reinterpret_cast<const std::byte*>(&args) + 8 * inst.imm; };
    switch (inst.op) {
      case Opcode::kArgPtr:
        std::memcpy(&s.p[r[0]], slot(), 8);
        return true;
      case Opcode::kArgInt:
        std::memcpy(&s.i[r[0]], slot(), 8);
        return true;
      case Opcode::kIntConst:
        s.i[r[0]] = inst.imm;
        return true;
      case Opcode::kIntCopy:
        s.i[r[0]] = s.i[r[1]];
        return true;
      case Opcode::kIntAdd:
        s.i[r[0]] = wrap_add(s.i[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kIntAddC:
        s.i[r[0]] = wrap_add(s.i[r[1]], inst.imm);
        return true;
      case Opcode::kIntSub:
        s.i[r[0]] = wrap_sub(s.i[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kIntMul:
        s.i[r[0]] = wrap_mul(s.i[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kIntMulC:
        s.i[r[0]] = wrap_mul(s.i[r[1]], inst.imm);
        return true;
      case Opcode::kIntMin:
        s.i[r[0]] = std::min(s.i[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kIntMax:
        s.i[r[0]] = std::max(s.i[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kIntDiv:
        s.i[r[0]] = floor_div(s.i[r[1]], std::max<int64_t>(s.i[r[2]], 1));
        return true;
      case Opcode::kPtrInt:
        std::memcpy(&s.i[r[0]], &s.p[r[1]], 8);
        return true;
      case Opcode::kIntDivC:
        s.i[r[0]] = floor_div(s.i[r[1]], inst.imm);
        return true;
      case Opcode::kPtrCopy:
        s.p[r[0]] = s.p[r[1]];
        return true;
      case Opcode::kPtrAdd:
        s.p[r[0]] = offset(s.p[r[1]], s.i[r[2]]);
        return true;
      case Opcode::kPtrAddC:
        s.p[r[0]] = offset(s.p[r[1]], inst.imm);
        return true;
      default:
        return false;
    }
  }

  bool calls(const Inst& inst, const State& s, const KernelArgs& args) const {
    const auto& r = inst.regs;
    const auto slot = [&] { return reinterpret_cast<std::byte*>(s.outgoing) + 8 * inst.imm; };
    const auto name = [&]() -> const std::string& { return program_.labels[static_cast<size_t>(inst.imm)]; };
    switch (inst.op) {
      case Opcode::kSetPtr:
        std::memcpy(slot(), &s.p[r[0]], 8);
        return true;
      case Opcode::kSetInt:
        std::memcpy(slot(), &s.i[r[0]], 8);
        return true;
      case Opcode::kCall:
        s.i[r[0]] = s.module->call(name(), *s.outgoing, 0);
        return true;
      case Opcode::kFork:
        CONVSMITH_CHECK(args.kParallel != nullptr, "a fork needs the argument parallel");
        for (int64_t part = 0; part < s.i[r[0]]; ++part) s.module->call(name(), *s.outgoing, part);
        return true;
      case Opcode::kPart:
        s.i[r[0]] = s.part;
        return true;
      case Opcode::kModes:
        s.i[r[0]] = control_word();
        return true;
      case Opcode::kFlushing:
        s.i[r[0]] = s.i[r[1]] | kFlushBits;
        return true;
      case Opcode::kSetModes:
        set_control_word(s.i[r[0]]);
        return true;
      case Opcode::kData:
        s.p[r[0]] = static_cast<std::byte*>(s.module->data(name()));
        return true;
      case Opcode::kResultInt:
        *s.result = s.i[r[0]];
        return true;
      case Opcode::kResultPtr:
        std::memcpy(s.result, &s.p[r[0]], 8);
        return true;
      case Opcode::kLoadInt:
        std::memcpy(&s.i[r[0]], offset(s.p[r[1]], inst.imm), 8);
        return true;
      case Opcode::kLoadPtr:
        std::memcpy(&s.p[r[0]], offset(s.p[r[1]], inst.imm), 8);
        return true;
      default:
        return false;
    }
  }

  // Pointers may pass through addresses outside of any array on their way: integer arithmetic.
  static std::byte* offset(std::byte* p, int64_t bytes) {
    return reinterpret_cast<std::byte*>(reinterpret_cast<uintptr_t>(p) + static_cast<uintptr_t>(bytes));
  }

  template <class Fn>
  void each(Lanes& d, Fn&& fn) const {
    for (size_t j = 0; j < lanes_; ++j) d[j] = fn(j);
  }
  template <class Fn>
  void floats(const Inst& inst, const State& s, Fn&& fn) const {
    const Lanes& x = s.v[inst.regs[1]];
    const Lanes& y = s.v[inst.regs[2]];
    each(s.v[inst.regs[0]], [&](size_t j) { return b(fn(f(x[j]), f(y[j]))); });
  }
  template <class Fn>
  void bits(const Inst& inst, const State& s, Fn&& fn) const {
    const Lanes& x = s.v[inst.regs[1]];
    const Lanes& y = s.v[inst.regs[2]];
    each(s.v[inst.regs[0]], [&](size_t j) -> uint32_t { return fn(x[j], y[j]); });
  }
  template <class Fn>
  void compare(const Inst& inst, const State& s, Fn&& fn) const {
    const Lanes& x = s.v[inst.regs[1]];
    const Lanes& y = s.v[inst.regs[2]];
    each(s.m[inst.regs[0]], [&](size_t j) { return fn(f(x[j]), f(y[j])) ? ~0U : 0U; });
  }

  void vectors(const Inst& inst, const State& s) const {
    const auto& r = inst.regs;
    switch (inst.op) {
      case Opcode::kConst:
        each(s.v[r[0]], [&](size_t) { return static_cast<uint32_t>(inst.imm); });
        return;
      case Opcode::kCopy:
        s.v[r[0]] = s.v[r[1]];
        return;
      case Opcode::kFma: {
        const Lanes &x = s.v[r[1]], &y = s.v[r[2]], &z = s.v[r[3]];
        each(s.v[r[0]], [&](size_t j) { return b(std::fma(f(x[j]), f(y[j]), f(z[j]))); });
        return;
      }
      case Opcode::kAdd:
        return floats(inst, s, [](float x, float y) { return x + y; });
      case Opcode::kSub:
        return floats(inst, s, [](float x, float y) { return x - y; });
      case Opcode::kMul:
        return floats(inst, s, [](float x, float y) { return x * y; });
      case Opcode::kDiv:
        return floats(inst, s, [](float x, float y) { return x / y; });
      case Opcode::kMax:
        return floats(inst, s, largest);
      case Opcode::kMin:
        return floats(inst, s, smallest);
      case Opcode::kSqrt: {
        const Lanes& x = s.v[r[1]];
        each(s.v[r[0]], [&](size_t j) { return b(std::sqrt(f(x[j]))); });
        return;
      }
      case Opcode::kAnd:
        return bits(inst, s, [](uint32_t x, uint32_t y) { return x & y; });
      case Opcode::kOr:
        return bits(inst, s, [](uint32_t x, uint32_t y) { return x | y; });
      case Opcode::kXor:
        return bits(inst, s, [](uint32_t x, uint32_t y) { return x ^ y; });
      case Opcode::kAdd32:
        return bits(inst, s, [](uint32_t x, uint32_t y) { return x + y; });
      case Opcode::kSub32:
        return bits(inst, s, [](uint32_t x, uint32_t y) { return x - y; });
      case Opcode::kShl32: {
        const Lanes& x = s.v[r[1]];
        each(s.v[r[0]], [&](size_t j) { return x[j] << inst.imm; });
        return;
      }
      case Opcode::kShr32: {
        const Lanes& x = s.v[r[1]];
        each(s.v[r[0]], [&](size_t j) { return x[j] >> inst.imm; });
        return;
      }
      case Opcode::kLess:
        return compare(inst, s, [](float x, float y) { return x < y; });
      case Opcode::kLessEqual:
        return compare(inst, s, [](float x, float y) { return x <= y; });
      case Opcode::kEqual:
        return compare(inst, s, [](float x, float y) { return x == y; });
      case Opcode::kUnordered:
        return compare(inst, s, [](float x, float y) { return x != x || y != y; });
      case Opcode::kFirst: {
        const int64_t n = s.i[r[1]];
        CONVSMITH_CHECK(n >= 0 && n <= static_cast<int64_t>(lanes_), "'first' takes 0..lanes");
        each(s.m[r[0]], [&](size_t j) { return static_cast<int64_t>(j) < n ? ~0U : 0U; });
        return;
      }
      case Opcode::kBetween: {
        const int64_t first = s.i[r[1]];
        const int64_t end = s.i[r[2]];
        const auto lanes = static_cast<int64_t>(lanes_);
        CONVSMITH_CHECK(first >= 0 && first <= lanes && end >= 0 && end <= lanes, "'between' takes 0..lanes");
        each(s.m[r[0]], [&](size_t j) {
          const auto lane = static_cast<int64_t>(j);
          return first <= lane && lane < end ? ~0U : 0U;
        });
        return;
      }
      case Opcode::kSelect: {
        const Lanes &m = s.m[r[1]], &x = s.v[r[2]], &y = s.v[r[3]];
        each(s.v[r[0]], [&](size_t j) { return m[j] != 0 ? x[j] : y[j]; });
        return;
      }
      default:
        if (!memory(inst, s)) moves(inst, s);
    }
  }

  bool memory(const Inst& inst, const State& s) const {
    const auto& r = inst.regs;
    switch (inst.op) {
      case Opcode::kLoad:
        std::memcpy(s.v[r[0]].data(), offset(s.p[r[1]], inst.imm), 4 * lanes_);
        return true;
      case Opcode::kLoadMask: {
        const Lanes& m = s.m[r[2]];
        each(s.v[r[0]], [&](size_t j) { return m[j] != 0 ? word(s.p[r[1]], inst.imm, j) : 0U; });
        return true;
      }
      case Opcode::kInsert1:
      case Opcode::kInsert2:
      case Opcode::kInsert3: {
        const auto first = static_cast<size_t>(4 * vir::inserted_block(inst.op));
        const Lanes& a = s.v[r[1]];
        each(s.v[r[0]],
             [&](size_t j) { return j - first < 4 ? word(s.p[r[2]], inst.imm, j - first) : a[j]; });
        return true;
      }
      case Opcode::kBcast: {
        const uint32_t x = word(s.p[r[1]], inst.imm, 0);
        each(s.v[r[0]], [&](size_t) { return x; });
        return true;
      }
      case Opcode::kLoad4:
      case Opcode::kLoad8: {
        const size_t run = inst.op == Opcode::kLoad4 ? 4 : 8;
        each(s.v[r[0]], [&](size_t j) { return word(s.p[r[1]], inst.imm, j % run); });
        return true;
      }
      case Opcode::kFence:
      case Opcode::kPrefetch:
        return true;
      case Opcode::kStore:
      case Opcode::kStream:
        std::memcpy(offset(s.p[r[0]], inst.imm), s.v[r[1]].data(), 4 * lanes_);
        return true;
      case Opcode::kStoreMask: {
        const Lanes &x = s.v[r[1]], &m = s.m[r[2]];
        for (size_t j = 0; j < lanes_; ++j) {
          if (m[j] != 0) std::memcpy(offset(s.p[r[0]], inst.imm + 4 * static_cast<int64_t>(j)), &x[j], 4);
        }
        return true;
      }
      default:
        return false;
    }
  }

  static uint32_t word(std::byte* p, int64_t bytes, size_t lane) {
    uint32_t x = 0;
    std::memcpy(&x, offset(p, bytes + 4 * static_cast<int64_t>(lane)), 4);
    return x;
  }

  void moves(const Inst& inst, const State& s) const {
    const Lanes x = s.v[inst.regs[1]];
    const Lanes y = s.v[inst.regs[2]];
    // zip: lane j of a block takes lane first + j/2 of x (even j) or y (odd j); pairs for 64 bits.
    const auto zip = [&](size_t first, bool pairs) {
      each(s.v[inst.regs[0]], [&](size_t j) {
        const size_t block = j & ~size_t{3};
        const size_t k = j & 3;
        if (pairs) return (k < 2 ? x : y)[block + first + (k & 1)];
        return (k % 2 == 0 ? x : y)[block + first + k / 2];
      });
    };
    switch (inst.op) {
      case Opcode::kZip32Lo:
        return zip(0, false);
      case Opcode::kZip32Hi:
        return zip(2, false);
      case Opcode::kZip64Lo:
        return zip(0, true);
      case Opcode::kZip64Hi:
        return zip(2, true);
      case Opcode::kBlocks: {
        const size_t blocks = lanes_ / 4;
        each(s.v[inst.regs[0]], [&](size_t j) {
          const auto source = static_cast<size_t>(inst.imm >> (4 * (j / 4)) & 15);
          return (source < blocks ? x : y)[4 * (source % blocks) + j % 4];
        });
        return;
      }
      default:
        fail_check(__FILE__, __LINE__, "the interpreter lacks an operation");
    }
  }

  vir::Program program_;
  std::vector<int32_t> match_;
  size_t lanes_;
};

}  // namespace

int64_t InterpModule::call(std::string_view name, const KernelArgs& args, int64_t part) const {
  for (const vir::Program& program : functions_) {
    if (program.name == name) return InterpKernel(program).run(*this, args, part);
  }
  fail_check(__FILE__, __LINE__, "a module lacks a function that it calls");
}

std::optional<Fault> run_checked(const vir::Program& program, const KernelArgs& args, const Bounds& bounds) {
  CheckedCall call(program, args, bounds);
  InterpKernel(program).run(args, call);
  return call.fault();
}

int64_t run_function(std::span<const vir::Program> functions, std::string_view name, const KernelArgs& args,
                     const DataLookup& data) {
  return InterpModule(functions, data).call(name, args, 0);
}

std::unique_ptr<Kernel> make_kernel(vir::Program program) {
  const auto ok = vir::verify(program);
  if (!ok) fail_check(__FILE__, __LINE__, ok.error().message.c_str());
  return std::make_unique<InterpKernel>(std::move(program));
}

}  // namespace convsmith::interp
