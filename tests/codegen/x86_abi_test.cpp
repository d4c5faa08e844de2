// How machine code treats its caller: registers, stack, flags and control word as the System V ABI
// wants them, and no byte touched that a mask leaves out.
#include <sys/mman.h>
#include <unistd.h>

#include <array>

#include "tests/codegen/x86_program_fuzz.hpp"
#include "tests/codegen/x86_support.hpp"

extern "C" {
// What the trampoline saw after the call.
struct CallerState {
  uint64_t saved[6];  // rbx rbp r12 r13 r14 r15
  uint64_t stack[8];  // the words above the call's return address
  uint64_t flags;
  uint64_t stack_moved;   // rsp after minus rsp before
  uint64_t upper[16][2];  // bits 128..255 of the vector registers
};
void call_with_junk(convsmith::KernelFunction function, const convsmith::KernelArgs* args,
                    CallerState* state);
}

// Saves its own callee-saved registers, fills them and eight words of stack with 0x11.. * n, calls, and
// writes down what is left.
asm(R"(
.text
.type call_with_junk, @function
call_with_junk:
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  push %rdx
  mov %rdi, %rax
  mov %rsi, %rdi
  movabs $0x1111111111111111, %rcx
  mov %rcx, %rbx
  lea (%rbx,%rcx), %rbp
  lea (%rbp,%rcx), %r12
  lea (%r12,%rcx), %r13
  lea (%r13,%rcx), %r14
  lea (%r14,%rcx), %r15
  push %rbx
  push %rbp
  push %r12
  push %r13
  push %r14
  push %r15
  push %rcx
  push %rcx
  mov %rsp, saved_rsp(%rip)
  call *%rax
  mov %rsp, %rax
  mov saved_rsp(%rip), %rsp
  sub %rsp, %rax
  mov 64(%rsp), %rdx
  mov %rbx, 0(%rdx)
  mov %rbp, 8(%rdx)
  mov %r12, 16(%rdx)
  mov %r13, 24(%rdx)
  mov %r14, 32(%rdx)
  mov %r15, 40(%rdx)
  popq 48(%rdx)
  popq 56(%rdx)
  popq 64(%rdx)
  popq 72(%rdx)
  popq 80(%rdx)
  popq 88(%rdx)
  popq 96(%rdx)
  popq 104(%rdx)
  pushfq
  popq 112(%rdx)
  mov %rax, 120(%rdx)
  vextractf128 $1, %ymm0, 128(%rdx)
  vextractf128 $1, %ymm1, 144(%rdx)
  vextractf128 $1, %ymm2, 160(%rdx)
  vextractf128 $1, %ymm3, 176(%rdx)
  vextractf128 $1, %ymm4, 192(%rdx)
  vextractf128 $1, %ymm5, 208(%rdx)
  vextractf128 $1, %ymm6, 224(%rdx)
  vextractf128 $1, %ymm7, 240(%rdx)
  vextractf128 $1, %ymm8, 256(%rdx)
  vextractf128 $1, %ymm9, 272(%rdx)
  vextractf128 $1, %ymm10, 288(%rdx)
  vextractf128 $1, %ymm11, 304(%rdx)
  vextractf128 $1, %ymm12, 320(%rdx)
  vextractf128 $1, %ymm13, 336(%rdx)
  vextractf128 $1, %ymm14, 352(%rdx)
  vextractf128 $1, %ymm15, 368(%rdx)
  pop %rdx
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbp
  pop %rbx
  ret
.size call_with_junk, .-call_with_junk
.local saved_rsp
.comm saved_rsp, 8, 8
)");

namespace convsmith::x86_test {
namespace {

using vir::Builder;
using vir::I;
using vir::M;
using vir::P;
using vir::V;

V bcast(Builder& b, P p, int64_t offset) {
  const V d = b.vec();
  b.bcast(d, p, offset);
  return d;
}

uint32_t control_word() {
  uint32_t word = 0;
  asm volatile("stmxcsr %0" : "=m"(word));
  return word;
}
void set_control_word(uint32_t word) {
  asm volatile("ldmxcsr %0" : : "m"(word));
}

TEST(X86Abi, TheCallerFindsEverythingAsItWas) {
  const std::vector<uint32_t> in = interesting_floats(kFuzzInWords, 3);
  std::vector<uint32_t> out(kFuzzOutWords);
  KernelArgs args{};
  args.kIn = floats(in);
  args.kOut = floats(out);
  args.kSteps = 5;
  CodeMemory memory = CodeMemory::create().value();
  for (const Target& target : targets()) {
    for (uint32_t seed = 0; seed < 200; ++seed) {
      const x86::MachineCode code = assemble(ProgramFuzzer(seed, target.lanes).make(), target);
      CodeBlock block = memory.allocate(code.bytes.size()).value();
      std::memcpy(block.write_view(), code.bytes.data(), code.bytes.size());
      CallerState state{};
      call_with_junk(reinterpret_cast<KernelFunction>(reinterpret_cast<uintptr_t>(block.execute_view())),
                     &args, &state);
      constexpr uint64_t kOnes = 0x1111111111111111;
      for (uint64_t i = 0; i < 6; ++i) {
        ASSERT_EQ(state.saved[i], kOnes * (i + 1)) << "callee-saved register " << i << ", seed " << seed;
        ASSERT_EQ(state.stack[7 - i], kOnes * (i + 1)) << "stack word, seed " << seed;
      }
      ASSERT_EQ(state.stack[0], kOnes);
      ASSERT_EQ(state.stack[1], kOnes);
      ASSERT_EQ(state.stack_moved, 0U);
      ASSERT_EQ(state.flags & 0x400, 0U) << "direction flag";
      for (const auto& upper : state.upper)
        ASSERT_EQ(upper[0] | upper[1], 0U) << "upper halves, seed " << seed;
    }
  }
}

TEST(X86Abi, TheControlWordIsKeptAndObeyed) {
  for (const Target& target : targets()) {
    Builder b("control", target.lanes);
    const P in = b.arg_ptr(vir::Arg::kIn);
    const P out = b.arg_ptr(vir::Arg::kOut);
    b.store(out, 0, b.fma(bcast(b, in, 0), bcast(b, in, 4), bcast(b, in, 8)));
    const vir::Program program = b.take();
    const auto kernel = compile(program, target);
    const auto judge = interp::make_kernel(program);
    const std::array<float, 3> values = {1.0F / 3, 1.0F / 7, 1e-39F};
    const uint32_t before = control_word();
    for (const uint32_t rounding : {0U, 0x2000U, 0x4000U, 0x6000U}) {
      for (const uint32_t flush : {0U, 0x8040U}) {
        std::array<float, 16> got{};
        std::array<float, 16> expected{};
        KernelArgs args{};
        args.kIn = values.data();
        args.kOut = got.data();
        const uint32_t word = 0x1f80 | rounding | flush;
        set_control_word(word);
        kernel->run(args);
        const uint32_t after = control_word();
        args.kOut = expected.data();
        judge->run(args);
        set_control_word(before);
        EXPECT_EQ(std::memcmp(got.data(), expected.data(), sizeof got), 0) << "control word " << word;
        EXPECT_EQ(after & ~0x3fU, word & ~0x3fU);  // but for the status bits
      }
    }
  }
}

// Pages without access on both sides of one with.
class GuardedPage {
 public:
  GuardedPage() {
    const auto whole = mmap(nullptr, 3 * kPage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    base_ = static_cast<std::byte*>(whole);
    mprotect(base_ + kPage, kPage, PROT_READ | PROT_WRITE);
  }
  ~GuardedPage() { munmap(base_, 3 * kPage); }
  GuardedPage(const GuardedPage&) = delete;
  float* begin() const { return reinterpret_cast<float*>(base_ + kPage); }
  float* end() const { return reinterpret_cast<float*>(base_ + 2 * kPage); }

 private:
  static constexpr size_t kPage = 4096;
  std::byte* base_;
};

TEST(X86Abi, MaskedLanesTouchNoMemory) {
  for (const Target& target : targets()) {
    const int lanes = target.lanes;
    Builder b("guarded", lanes);
    const P in = b.arg_ptr(vir::Arg::kIn);
    const P out = b.arg_ptr(vir::Arg::kOut);
    const P table = b.arg_ptr(vir::Arg::kWeights);
    const I n = b.arg_int(vir::Arg::kSteps);
    const V x = b.vec();
    // The first n lanes at the end of a page.
    const M first = b.first(n);
    b.load(x, in, 0, first);
    b.store(out, 0, b.add(x, x), first);
    // The others at the begin of the next, lanes counted from before it.
    const P low_in = b.arg_ptr(vir::Arg::kScratch);
    const M rest = b.less_equal(bcast(b, table, 4 * lanes), b.load(table, 0));
    b.load(x, low_in, 0, rest);
    b.store(low_in, 0, b.add(x, x), rest);
    const auto kernel = compile(b.take(), target);

    const GuardedPage page_in, page_out, page_low;
    for (int count = 0; count <= lanes; ++count) {
      std::vector<float> table_values;
      for (int j = 0; j < lanes; ++j) table_values.push_back(static_cast<float>(j));
      table_values.push_back(static_cast<float>(count));
      for (int j = 0; j < lanes; ++j) {
        *(page_in.end() - 1 - j) = static_cast<float>(j + 1);
        page_low.begin()[j] = static_cast<float>(j + 1);
        *(page_out.end() - 1 - j) = -1;
      }
      KernelArgs args{};
      args.kIn = page_in.end() - count;
      args.kOut = page_out.end() - count;
      args.kWeights = table_values.data();
      args.kScratch = page_low.begin() - count;
      args.kSteps = count;
      kernel->run(args);
      for (int j = 0; j < count; ++j) EXPECT_EQ(*(page_out.end() - 1 - j), 2.0F * static_cast<float>(j + 1));
      for (int j = 0; j < lanes - count; ++j)
        EXPECT_EQ(page_low.begin()[j], 2.0F * static_cast<float>(j + 1));
      for (int j = lanes - count; j < lanes; ++j) EXPECT_EQ(page_low.begin()[j], static_cast<float>(j + 1));
    }
  }
}

// Masked-off lanes hold signalling NaNs and numbers that would overflow: unmasked exceptions stay quiet.
TEST(X86Abi, MaskedLanesRaiseNoException) {
  for (const Target& target : targets()) {
    Builder b("quiet", target.lanes);
    const P in = b.arg_ptr(vir::Arg::kIn);
    const P out = b.arg_ptr(vir::Arg::kOut);
    const M first = b.first(b.arg_int(vir::Arg::kSteps));
    const V x = b.vec();
    b.load(x, in, 0, first);
    b.store(out, 0, b.mul(x, x), first);
    const auto kernel = compile(b.take(), target);
    std::vector<uint32_t> data(16, 0x7f800001);
    data[0] = 0x40000000;
    std::array<float, 16> got{};
    KernelArgs args{};
    args.kIn = floats(data);
    args.kOut = got.data();
    args.kSteps = 1;
    const uint32_t before = control_word();
    set_control_word(0);  // every exception traps
    kernel->run(args);
    set_control_word(before);
    EXPECT_EQ(got[0], 4.0F);
    EXPECT_EQ(got[1], 0.0F);
  }
}

}  // namespace
}  // namespace convsmith::x86_test
