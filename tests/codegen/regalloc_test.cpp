// Liveness and register allocation: exact ranges on small programs, then thousands of random
// structured programs against the interpreter.
#include "codegen/x86/regalloc.hpp"

#include "tests/codegen/x86_program_fuzz.hpp"
#include "tests/codegen/x86_support.hpp"

namespace convsmith::x86_test {
namespace {

using vir::Builder;
using vir::I;
using vir::P;
using vir::V;

x86::Liveness live_ranges(const vir::Program& program) {
  return x86::find_live_ranges(program, std::vector<x86::Fold>(program.body.size()));
}

size_t count_of(const x86::Liveness& liveness, vir::Kind kind) {
  return static_cast<size_t>(std::count_if(liveness.ranges.begin(), liveness.ranges.end(),
                                           [&](const x86::LiveRange& r) { return r.kind == kind; }));
}

TEST(Liveness, ARegisterWrittenAnewIsAnewRange) {
  const auto program = vir::parse(R"(vir two lanes 8 scratch 0 {
    p0 = arg.ptr in
    v0 = load [p0+0]
    store [p0+0] v0
    v0 = load [p0+32]
    store [p0+32] v0
  })");
  ASSERT_TRUE(program.has_value()) << program.error().message;
  EXPECT_EQ(count_of(live_ranges(*program), vir::Kind::kVec), 2U);
}

TEST(Liveness, ALoopKeepsWhatTheNextPassReads) {
  const auto program = vir::parse(R"(vir carried lanes 8 scratch 0 {
    p0 = arg.ptr in
    i0 = arg.int steps
    v0 = load [p0+0]
    loop i0 l {
      store [p0+0] v0
      v1 = load [p0+32]
      store [p0+64] v1
      v0 = load [p0+96]
    }
  })");
  ASSERT_TRUE(program.has_value()) << program.error().message;
  const x86::Liveness liveness = live_ranges(*program);
  EXPECT_EQ(count_of(liveness, vir::Kind::kVec), 2U);
  const x86::LiveRange& carried = liveness.ranges[liveness.operands[2][0]];
  EXPECT_EQ(carried.start, 2 * 2 + 1U);
  EXPECT_EQ(carried.end, 2 * 8 + 1U);
  const x86::LiveRange& local = liveness.ranges[liveness.operands[5][0]];
  EXPECT_EQ(local.start, 2 * 5 + 1U);
  EXPECT_EQ(local.end, 2 * 6U);
}

TEST(Liveness, AnIfThatWritesDoesNotCutTheRange) {
  const auto program = vir::parse(R"(vir skipped lanes 8 scratch 0 {
    p0 = arg.ptr in
    i0 = arg.int steps
    i1 = int 5
    v0 = load [p0+0]
    if i0 i1 c {
      v0 = load [p0+32]
    }
    store [p0+64] v0
  })");
  ASSERT_TRUE(program.has_value()) << program.error().message;
  EXPECT_EQ(count_of(live_ranges(*program), vir::Kind::kVec), 1U);
}

// Many integers are live across a hot loop that uses few: the few keep their registers.
TEST(RegAlloc, SpillsTheLeastUsed) {
  for (const Target& target : targets()) {
    Builder b("pressure", target.lanes);
    const P out = b.arg_ptr(vir::Arg::kOut);
    std::vector<I> far;
    for (int i = 0; i < 40; ++i) far.push_back(b.arg_int(vir::Arg::kSteps));
    const P p = b.pcopy(out);
    const V v = b.load(out, 0);
    const I n = b.arg_int(vir::Arg::kSteps);
    b.loop(n, "hot", [&] {
      b.store(p, 0, v);
      b.paddc(p, p, 4);
    });
    for (const I& i : far) b.store(b.padd(out, i), 0, v);
    const vir::Program program = b.take();

    const auto folds = x86::fold_operands(program, target);
    const auto liveness = x86::find_live_ranges(program, folds);
    const auto allocation = x86::allocate_registers(program, liveness, target);
    ASSERT_TRUE(allocation.has_value());
    EXPECT_GT(allocation->spills, 20);
    for (size_t at = 0; at < program.body.size(); ++at) {
      if (program.body[at].op != vir::Opcode::kLoop) continue;
      EXPECT_FALSE(allocation->of[liveness.operands[at][0]].spilled()) << "the counter";
      EXPECT_FALSE(allocation->of[liveness.operands[at + 1][0]].spilled()) << "the pointer";
    }
  }
}

TEST(RegAlloc, RandomProgramsAgreeWithTheInterpreter) {
  const std::vector<uint32_t> in = interesting_floats(kFuzzInWords, 3);
  int spills = 0;
  for (const Target& target : targets()) {
    for (uint32_t seed = 0; seed < 3000; ++seed) {
      const vir::Program program = ProgramFuzzer(seed, target.lanes).make();
      const x86::MachineCode code = assemble(program, target);
      ASSERT_FALSE(code.bytes.empty()) << "seed " << seed;
      spills += code.spills;
      const auto run = [&](const Kernel& kernel) {
        std::vector<uint32_t> out(kFuzzOutWords, 0xabababab);
        KernelArgs args{};
        args.kIn = floats(in);
        args.kOut = floats(out);
        args.kSteps = static_cast<int64_t>(seed % 7) * 1000 - 1000;
        kernel.run(args);
        return canonical(out);
      };
      const std::vector<uint32_t> expected = run(*interp::make_kernel(program));
      const std::vector<uint32_t> got = run(*publish(code));
      const auto differ = std::mismatch(expected.begin(), expected.end(), got.begin());
      ASSERT_TRUE(differ.first == expected.end())
          << "word " << differ.first - expected.begin() << ", seed " << seed << ", " << target.name << "\n"
          << vir::print(program);
    }
  }
  EXPECT_TRUE(targets().empty() || spills > 10000) << spills;
}

}  // namespace
}  // namespace convsmith::x86_test
