// The LLVM back end against the interpreter: every operation, lane count and instruction set that
// this CPU runs, bit by bit.
#include <Zydis/Zydis.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <thread>

#include "codegen/interp/interp.hpp"
#include "codegen/llvm_loader.hpp"
#include "codegen/machine_kernel.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "tests/codegen/call_programs.hpp"
#include "tests/codegen/op_programs.hpp"
#include "tests/codegen/x86_program_fuzz.hpp"
#include "tests/codegen/x86_tile.hpp"
#include "tests/support/sanitizers.hpp"

namespace convsmith {
namespace {

using vir::Arg;
using vir::Builder;

std::vector<Isa> runnable_isas() {
  std::vector<Isa> isas;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= detect_isa()) isas.push_back(isa);
  }
  return isas;
}

class LlvmTest : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    const auto& module = load_llvm_module();
    ASSERT_TRUE(module) << module.error().message;
    module_ = *module;
    auto memory = CodeMemory::create();
    ASSERT_TRUE(memory) << memory.error().message;
    memory_ = std::make_unique<CodeMemory>(std::move(*memory));
  }

  std::unique_ptr<Kernel> compile(const vir::Program& program) {
    const auto verified = vir::verify(program);
    EXPECT_TRUE(verified) << verified.error().message << "\n" << vir::print(program);
    const auto image = module_->compile({&program, 1}, target_, /*to_ship=*/false);
    EXPECT_TRUE(image) << image.error().message << "\n" << vir::print(program);
    if (!image) return nullptr;
    auto kernel = publish(*memory_, image->bytes, image->functions.front().offset);
    EXPECT_TRUE(kernel) << kernel.error().message << "\n" << vir::print(program);
    return kernel ? std::move(*kernel) : nullptr;
  }

  const Target& target_ = target_for(GetParam());
  const LlvmModule* module_ = nullptr;
  std::unique_ptr<CodeMemory> memory_;
};

INSTANTIATE_TEST_SUITE_P(Isas, LlvmTest, testing::ValuesIn(runnable_isas()),
                         [](const auto& info) { return std::string(target_for(info.param).name); });

TEST_P(LlvmTest, EveryOperationGivesTheInterpretersBits) {
  for (const vir::Program& program : vir::op_programs(target_.lanes)) {
    const auto kernel = compile(program);
    ASSERT_NE(kernel, nullptr);
    const auto judge = interp::make_kernel(program);
    for (const auto& [a, b] : vir::op_integers()) {
      const KernelArgs args = vir::op_args(a, b);
      const auto expected = vir::run_op_program(*judge, target_.lanes, args);
      const auto actual = vir::run_op_program(*kernel, target_.lanes, args);
      const auto at = std::mismatch(expected.begin(), expected.end(), actual.begin());
      ASSERT_TRUE(at.first == expected.end())
          << "integers " << a << ", " << b << ": float " << at.first - expected.begin() << " is " << std::hex
          << *at.second << ", not " << *at.first << "\n"
          << vir::print(program) << module_->print_ir({&program, 1}, target_, /*to_ship=*/false);
      const bool reads_integers = program.name.find("load.m") != std::string::npos ||
                                  vir::print(program).find("arg.int in_") != std::string::npos;
      if (!reads_integers) break;
    }
  }
}

TEST_P(LlvmTest, ProgramsCoverEveryOperation) {
  std::set<vir::Opcode> seen;
  for (const vir::Program& program : vir::op_programs(target_.lanes)) {
    for (const vir::Inst& inst : program.body) seen.insert(inst.op);
  }
  for (const vir::Program& program : vir::call_programs(target_.lanes)) {
    for (const vir::Inst& inst : program.body) seen.insert(inst.op);
  }
  for (int op = 0; op < vir::kOpcodes; ++op) {
    const auto opcode = static_cast<vir::Opcode>(op);
    const int least = opcode == vir::Opcode::kBlocks ? 8 : 4 * vir::inserted_block(opcode) + 4;
    if (target_.lanes < least) continue;
    EXPECT_TRUE(seen.contains(static_cast<vir::Opcode>(op))) << vir::info(static_cast<vir::Opcode>(op)).text;
  }
}

// d = a*b + c over arrays.
vir::Program fma_program(int lanes) {
  Builder b("fma", lanes);
  const vir::P in = b.arg_ptr(Arg::kIn);
  const vir::P weights = b.arg_ptr(Arg::kWeights);
  const vir::P out = b.arg_ptr(Arg::kOut);
  const vir::I turns = b.arg_int(Arg::kSteps);
  b.loop(turns, "turn", [&] {
    const vir::V x = b.load(in, 0);
    const vir::V y = b.load(weights, 0);
    b.store(out, 0, b.fma(x, y, b.load(out, 0)));
    for (const vir::P p : {in, weights, out}) b.paddc(p, p, b.vector_bytes());
  });
  return b.take();
}

// Sums that fall on or beside the middle of two floats, where a second rounding shows.
void near_halfway(std::vector<float>& a, std::vector<float>& b, std::vector<float>& c, std::mt19937& random) {
  for (size_t i = 0; i < a.size(); ++i) {
    const int exponent = static_cast<int>(random() % 260) - 140;
    const auto odd = [&] { return static_cast<float>((random() & 0xfff) | 1); };
    a[i] = std::ldexp(odd(), exponent / 2);
    b[i] = std::ldexp(odd(), exponent - exponent / 2 - static_cast<int>(random() % 60));
    c[i] = std::ldexp(static_cast<float>(random() & 0xffffff), exponent - static_cast<int>(random() % 30));
    if (random() % 2 != 0) c[i] = -c[i];
  }
}

TEST_P(LlvmTest, FmaRoundsOnce) {
  const auto kernel = compile(fma_program(target_.lanes));
  ASSERT_NE(kernel, nullptr);
  std::mt19937 random(7);
  const size_t count = size_t{1} << 16;
  for (uint32_t round = 0; round < 64; ++round) {
    std::vector<float> a = vir::interesting_floats(count, 3 * round);
    std::vector<float> b = vir::interesting_floats(count, 3 * round + 1);
    std::vector<float> c = vir::interesting_floats(count, 3 * round + 2);
    if (round % 2 != 0) near_halfway(a, b, c, random);
    std::vector<float> expected(count);
    for (size_t i = 0; i < count; ++i) expected[i] = std::fma(a[i], b[i], c[i]);
    std::vector<float> actual = c;
    KernelArgs args{};
    args.kIn = a.data();
    args.kWeights = b.data();
    args.kOut = actual.data();
    args.kSteps = static_cast<int64_t>(count) / target_.lanes;
    kernel->run(args);
    const auto want = vir::canonical_bits(expected);
    const auto have = vir::canonical_bits(actual);
    const auto at = std::mismatch(want.begin(), want.end(), have.begin());
    const auto i = static_cast<size_t>(at.first - want.begin());
    ASSERT_EQ(i, count) << std::hexfloat << "fma(" << a[i] << ", " << b[i] << ", " << c[i] << ") is "
                        << actual[i] << ", not " << expected[i];
  }
}

// Two pages, the second one out of bounds.
class GuardedPage {
 public:
  GuardedPage() : page_(static_cast<size_t>(sysconf(_SC_PAGESIZE))) {
    memory_ = static_cast<std::byte*>(
        mmap(nullptr, 2 * page_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(memory_ + page_, page_, PROT_NONE);
  }
  ~GuardedPage() { munmap(memory_, 2 * page_); }
  float* last(size_t floats) const { return reinterpret_cast<float*>(memory_ + page_) - floats; }

 private:
  size_t page_;
  std::byte* memory_;
};

TEST_P(LlvmTest, MaskedLanesAreNotTouched) {
  const auto lanes = static_cast<size_t>(target_.lanes);
  Builder b("masked", target_.lanes);
  const vir::M varying = b.first(b.arg_int(Arg::kSteps));
  const vir::V x = b.vec();
  b.load(x, b.arg_ptr(Arg::kIn), 0, varying);
  b.store(b.arg_ptr(Arg::kOut), 0, b.add(x, x), varying);
  const auto kernel = compile(b.take());
  ASSERT_NE(kernel, nullptr);
  for (size_t n = 0; n <= lanes; ++n) {
    const GuardedPage in;
    const GuardedPage out;
    for (size_t j = 0; j < n; ++j) in.last(n)[j] = static_cast<float>(j + 1);
    KernelArgs args{};
    args.kIn = in.last(n);
    args.kOut = out.last(n);
    args.kSteps = static_cast<int64_t>(n);
    kernel->run(args);
    for (size_t j = 0; j < n; ++j) EXPECT_EQ(out.last(n)[j], 2.0F * static_cast<float>(j + 1));
    EXPECT_EQ(out.last(lanes + 1)[lanes - n], 0.0F) << "the float before the masked ones was written";
  }
}

TEST_P(LlvmTest, MaskedLanesKnownAtCompileTimeAreNotTouched) {
  for (int64_t n = 0; n <= target_.lanes; ++n) {
    Builder b("masked", target_.lanes);
    const vir::M m = b.first(b.iconst(n));
    const vir::V x = b.vec();
    b.load(x, b.arg_ptr(Arg::kIn), 0, m);
    b.store(b.arg_ptr(Arg::kOut), 0, b.add(x, x), m);
    const auto kernel = compile(b.take());
    ASSERT_NE(kernel, nullptr);
    const auto floats = static_cast<size_t>(n);
    const GuardedPage in;
    const GuardedPage out;
    for (size_t j = 0; j < floats; ++j) in.last(floats)[j] = 3.0F;
    KernelArgs args{};
    args.kIn = in.last(floats);
    args.kOut = out.last(floats);
    kernel->run(args);
    for (size_t j = 0; j < floats; ++j) EXPECT_EQ(out.last(floats)[j], 6.0F);
  }
}

TEST_P(LlvmTest, ManyThreadsCompile) {
  const vir::Program program = fma_program(target_.lanes);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        const auto image = module_->compile({&program, 1}, target_, /*to_ship=*/false);
        ASSERT_TRUE(image);
        auto kernel = publish(*memory_, image->bytes, image->functions.front().offset);
        ASSERT_TRUE(kernel);
        const KernelArgs args = vir::op_args(0, 0);
        EXPECT_EQ(vir::run_op_program(**kernel, target_.lanes, args),
                  vir::run_op_program(*interp::make_kernel(program), target_.lanes, args));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST_P(LlvmTest, RandomProgramsGiveTheInterpretersBits) {
  const std::vector<float> in = vir::interesting_floats(x86_test::kFuzzInWords, 5);
  for (uint32_t seed = 0; seed < 40; ++seed) {
    const vir::Program program = x86_test::ProgramFuzzer(seed, target_.lanes).make();
    const auto kernel = compile(program);
    ASSERT_NE(kernel, nullptr);
    const auto judge = interp::make_kernel(program);
    for (const int64_t steps : {-3, 0, 5}) {
      std::vector<float> expected(x86_test::kFuzzOutWords);
      std::vector<float> actual(x86_test::kFuzzOutWords);
      KernelArgs args{};
      args.kIn = in.data();
      args.kSteps = steps;
      args.kOut = expected.data();
      judge->run(args);
      args.kOut = actual.data();
      kernel->run(args);
      ASSERT_EQ(vir::canonical_bits(actual), vir::canonical_bits(expected)) << "seed " << seed << "\n"
                                                                            << vir::print(program);
    }
  }
}

struct CodeCount {
  int fmas = 0;
  int stack_accesses = 0;  // through the stack pointer, prologue and epilogue aside
  int vector_moves = 0;
};

CodeCount count_code(const std::byte* code, size_t bytes) {
  CodeCount count;
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  ZydisDecodedInstruction inst;
  std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
  for (size_t at = 0; at < bytes; at += inst.length) {
    if (ZYAN_FAILED(ZydisDecoderDecodeFull(&decoder, code + at, bytes - at, &inst, operands.data()))) break;
    if (inst.mnemonic == ZYDIS_MNEMONIC_RET) break;
    const std::string name = ZydisMnemonicGetString(inst.mnemonic);
    count.fmas += name.starts_with("vfmadd") ? 1 : 0;
    bool memory = false;
    for (ZyanU8 k = 0; k < inst.operand_count_visible; ++k) {
      if (operands[k].type != ZYDIS_OPERAND_TYPE_MEMORY) continue;
      memory = true;
      count.stack_accesses += operands[k].mem.base == ZYDIS_REGISTER_RSP ? 1 : 0;
    }
    count.vector_moves += name.starts_with("vmov") && !memory ? 1 : 0;
  }
  return count;
}

TEST_P(LlvmTest, TilesStayInRegisters) {
  if (!target_.fused_multiply_add) return;  // an expanded fma is a subroutine: nothing stays
  const std::vector<x86_test::Tile> tiles =
      target_.lanes == 16 ? std::vector<x86_test::Tile>{{14, 2}, {9, 3}, {6, 4}, {28, 1}}
                          : std::vector<x86_test::Tile>{{6, 2}, {4, 3}, {12, 1}};
  for (const x86_test::Tile& tile : tiles) {
    // First fit: the kernel goes where this block was.
    const std::byte* const code = memory_->allocate(1)->execute_view();
    const auto kernel = compile(x86_test::make_tile(tile, target_.lanes));
    ASSERT_NE(kernel, nullptr);
    const CodeCount count = count_code(code, kernel->code_bytes());
    const std::string name = std::to_string(tile.steps) + "x" + std::to_string(tile.vectors);
    EXPECT_EQ(count.fmas, tile.steps * tile.vectors * tile.unroll) << name;
    EXPECT_EQ(count.stack_accesses, 0) << name;
    EXPECT_EQ(count.vector_moves, 0) << name;
  }
}

size_t resident_pages() {
  std::ifstream statm("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  statm >> total >> resident;
  return resident;
}

TEST_P(LlvmTest, CompilingLeavesNothingBehind) {
  if (CONVSMITH_TEST_SANITIZED) GTEST_SKIP() << "a sanitizer keeps freed memory";
  const vir::Program program = fma_program(target_.lanes);
  for (int i = 0; i < 50; ++i) ASSERT_NE(compile(program), nullptr);
  const size_t before = resident_pages();
  for (int i = 0; i < 200; ++i) ASSERT_NE(compile(program), nullptr);
  EXPECT_LT(resident_pages(), before + 256) << "200 kernels may not cost a megabyte";
}

TEST_P(LlvmTest, TextNamesTheProgramsBlocks) {
  const vir::Program program = fma_program(target_.lanes);
  const std::string text = module_->print_ir({&program, 1}, target_, /*to_ship=*/false);
  EXPECT_NE(text.find("define hidden i64 @" + program.name), std::string::npos) << text;
  EXPECT_NE(text.find("turn:"), std::string::npos) << text;
  EXPECT_EQ(text.find("fast"), std::string::npos) << "no fast-math flag\n" << text;
}

}  // namespace
}  // namespace convsmith
