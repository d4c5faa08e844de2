// Lowering: the vir program of a scheduled nest computes the bits of the naive nest, for every form of
// schedule.
#include "codegen/lower/lower.hpp"
#include "codegen/schedule/completed.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <optional>

#include "codegen/interp/interp.hpp"
#include "codegen/schedule/cache_blocking.hpp"
#include "codegen/schedule/choose_schedule.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "convsmith/activation.hpp"
#include "ir/nest/build_nest.hpp"
#include "ir/nest/nest_interp.hpp"
#include "ir/nest/nest_text.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/support/random_problem.hpp"

namespace convsmith {
namespace {

// The output of the scheduled nest, lowered and run by the interpreter.
std::vector<float> run_lowered(const ir::LoopNest& nest, Isa isa, const test::Tensors& t) {
  auto compiled = compile_nest(nest, Backend::kInterp, isa, nullptr);
  EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error().message) << ir::print(nest);
  if (!compiled) return {};
  std::vector<float> out(t.out.size(), 9.0F);
  const auto packed = pack_weights(*compiled, t.kernel, t.bias);
  const RunStatus status =
      run_kernel(**compiled, packed->data, t.in.data(), out.data(), t.batch, t.steps, {}, t.operand.data());
  EXPECT_TRUE(status == RunStatus::kOk || status == RunStatus::kEmptyOutput) << describe(status);
  return out;
}

float apply_relu(const Activation& activation, float x) {
  return activation.kind == ActivationKind::kRelu && 0.0F > x ? 0.0F : x;
}

std::vector<float> run_naive(const Problem& p, test::Tensors t) {
  ir::interpret(
      ir::build_nest(p),
      {t.in.data(), t.kernel.data(), t.bias.data(), t.out.data(), t.batch, t.steps, t.operand.data()},
      [&](float x) { return apply_relu(p.activation, x); }, [&](float x) { return apply_relu(p.after, x); });
  return t.out;
}

void expect_same(const std::vector<float>& expected, const std::vector<float>& actual,
                 const std::string& what) {
  ASSERT_EQ(expected.size(), actual.size());
  for (size_t i = 0; i < expected.size(); ++i) {
    if (std::isnan(expected[i]) && std::isnan(actual[i])) continue;
    ASSERT_EQ(std::memcmp(&expected[i], &actual[i], sizeof(float)), 0)
        << what << "output " << i << ": " << expected[i] << " and " << actual[i];
  }
}

TEST(Lower, ChosenSchedulesGiveTheNaiveBits) {
  test::Random r(4);
  for (int round = 0; round < 900; ++round) {
    const Problem p = test::random_problem(r);
    const Isa isa = round % 3 == 0 ? Isa::kAvx512 : round % 3 == 1 ? Isa::kAvx2 : Isa::kBaseline;
    const test::Tensors t(p, r.between(0, 2), r.between(0, r.once_in(2) ? 10 : 90), r);
    const auto nest = ir::apply(ir::build_nest(p), choose_schedule(p, target_for(isa)));
    ASSERT_TRUE(nest);
    expect_same(run_naive(p, t), run_lowered(*nest, isa, t), ir::print(*nest));
  }
}

// What an artifact for several CPUs relies on.
TEST(Lower, KernelsOfSeveralTargetsReadTheSamePackedWeights) {
  test::Random r(6);
  for (int round = 0; round < 400; ++round) {
    const Problem p = round % 4 == 0 ? test::random_pass(r) : test::random_problem(r);
    const test::Tensors t(p, r.between(0, 2), r.between(0, r.once_in(2) ? 10 : 90), r);
    const Target& best = target_for(round % 2 == 0 ? Isa::kAvx512 : Isa::kAvx2);
    std::optional<ir::PackLayout> layout;
    for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline}) {
      if (isa > best.isa) continue;
      const ir::Schedule schedule = choose_schedule(p, target_for(isa), &best);
      EXPECT_EQ(ir::parse_schedule(ir::print(schedule)).value(), schedule);
      const auto nest = ir::apply(ir::build_nest(p), schedule);
      ASSERT_TRUE(nest) << nest.error().message;
      EXPECT_EQ(ir::parse_nest(ir::print(*nest)).value(), *nest) << ir::print(*nest);
      if (!layout) layout = ir::pack_layout(*nest);
      EXPECT_EQ(ir::pack_layout(*nest), *layout) << ir::print(*nest);
      expect_same(run_naive(p, t), run_lowered(*nest, isa, t), ir::print(*nest));
    }
  }
}

// Reductions without weights, operands, rows of wider tensors: all of it on every form of schedule.
TEST(Lower, PassesGiveTheNaiveBits) {
  test::Random r(14);
  for (int round = 0; round < 1500; ++round) {
    Problem p = test::random_pass(r);
    if (r.once_in(3)) p.activation = make_relu();
    if (p.combine != Combine::kNone && r.once_in(3)) p.after = make_relu();
    const Isa isa = round % 3 == 0 ? Isa::kAvx512 : round % 3 == 1 ? Isa::kAvx2 : Isa::kBaseline;
    const test::Tensors t(p, r.between(0, 2), r.between(0, r.once_in(2) ? 10 : 90), r);
    const auto nest = ir::apply(ir::build_nest(p), choose_schedule(p, target_for(isa)));
    ASSERT_TRUE(nest);
    const auto read = ir::parse_nest(ir::print(*nest));
    ASSERT_TRUE(read) << read.error().message << ir::print(*nest);
    EXPECT_EQ(*read, *nest) << ir::print(*nest);
    expect_same(run_naive(p, t), run_lowered(*nest, isa, t), ir::print(*nest));
  }
}

TEST(Lower, GroupsOutsideAndInsideTheStagedTileAgree) {
  const char* orders[] = {
      "reorder n g b o f f1 o1 k c; stage",
      "reorder n b o g f f1 o1 k c; stage",
      "split g 3; reorder n g b o g1 f f1 o1 k c; stage",
  };
  test::Random r(8);
  for (const char* order : orders) {
    const auto schedule =
        ir::parse_schedule(std::string("cut o; split o 8; lanes o1; split f 2; tile f1; ") + order);
    ASSERT_TRUE(schedule);
    for (int round = 0; round < 30; ++round) {
      Problem p;
      p.groups = r.between(2, 8);
      p.channels = p.groups * r.between(1, 5);
      p.filters = p.groups * r.between(1, 5);
      p.taps = r.between(1, 4);
      p.stride = r.between(1, 3);
      p.dilation = r.between(1, 3);
      p.layout = Layout::kChannelsFirst;
      p.pad_same = true;
      const test::Tensors t(p, 2, r.between(1, 40), r);
      const auto nest = ir::apply(ir::build_nest(p), *schedule);
      ASSERT_TRUE(nest) << nest.error().message;
      expect_same(run_naive(p, t), run_lowered(*nest, Isa::kAvx2, t), ir::print(*nest));
    }
  }
}

// The blocks of filters of a chunk read one copy of its input.
TEST(Lower, ChunksAreStagedForAllTheirBlocks) {
  const std::string two =
      "cut o; split o 48; split o1 16; split o2 8; tile o2; lanes o3; split f 2; tile f1; ";
  const std::string three =
      "cut o; split o 96; split o1 48; split o2 16; split o3 8; tile o3; lanes o4; split f 2; tile f1; ";
  struct Order {
    std::string steps;
    bool before_blocks;  // a chunk is staged outside the loop over blocks of filters
  };
  const Order orders[] = {{two + "reorder n g b o f o1 f1 o2 o3 k c; stage", true},
                          {two + "reorder n b g f o o1 f1 o2 o3 k c; stage", false},
                          {two + "reorder n b o g f o1 f1 o2 o3 k c; stage", true},
                          {two + "reorder n b o g o1 f f1 o2 o3 k c; stage", true},
                          {three + "reorder n g b o o1 f o2 f1 o3 o4 k c; stage", true},
                          {three + "reorder n g b o f o1 o2 f1 o3 o4 k c; stage", true}};
  test::Random r(9);
  for (const Order& order : orders) {
    const auto schedule = ir::parse_schedule(order.steps);
    ASSERT_TRUE(schedule);
    for (int round = 0; round < 30; ++round) {
      Problem p;
      p.groups = r.between(1, 3);
      p.channels = p.groups * r.between(1, 3);
      p.filters = p.groups * r.between(3, 5);
      p.taps = r.between(1, 4);
      p.stride = r.between(1, 4);
      p.dilation = r.between(1, 3);
      p.layout = Layout::kChannelsFirst;
      p.pad_same = true;
      const test::Tensors t(p, 2, r.between(1, 400), r);
      const auto nest = ir::apply(ir::build_nest(p), *schedule);
      ASSERT_TRUE(nest) << nest.error().message;
      expect_same(run_naive(p, t), run_lowered(*nest, Isa::kAvx2, t), ir::print(*nest));
      const std::string program = vir::print(
          lower(completed(*nest, target_for(Isa::kAvx2)), target_for(Isa::kAvx2), "chunks").value());
      const size_t stage = program.find(" stage {");
      const size_t blocks = program.find(" f {");
      ASSERT_TRUE(stage != std::string::npos && blocks != std::string::npos) << program;
      EXPECT_EQ(stage < blocks, order.before_blocks) << program;
      // The taps of a tile that sees all of them are written out.
      EXPECT_EQ(program.find(" all {") != std::string::npos, p.stride > 1) << program;
    }
  }
}

// Rows of the slab that are too far apart for an instruction's offset are walked to.
TEST(Lower, TapsOfALongSlabAreNotWrittenOut) {
  Problem p;
  p.channels = 16;
  p.filters = 8;
  p.taps = 2;
  p.stride = 1000000;
  p.dilation = 999999;
  p.layout = Layout::kChannelsFirst;
  const Target& target = target_for(Isa::kAvx512);
  const auto nest = ir::apply(ir::build_nest(p), choose_schedule(p, target));
  const auto program = lower(completed(*nest, target), target, "long");
  ASSERT_TRUE(program) << program.error().message;
  const auto verified = vir::verify(*program);
  EXPECT_TRUE(verified) << verified.error().message;
}

// Calls with such lengths copy their rows, others read them where they are.
TEST(Lower, RowsThatMeetInTheFirstCacheAreStaged) {
  test::Random r(10);
  const Target& target = target_for(Isa::kAvx2);
  for (const int64_t filters : {1, 9}) {
    Problem p;
    p.channels = 16;
    p.filters = filters;
    p.taps = 5;
    p.layout = Layout::kChannelsFirst;
    p.pad_same = true;
    const auto nest = ir::apply(ir::build_nest(p), choose_schedule(p, target));
    ASSERT_TRUE(nest->staged() != nullptr);
    const auto program = lower(completed(*nest, target), target, "meet");
    EXPECT_GE(program->scratch_bytes, 4 * p.channels * target.lanes);
    EXPECT_NE(vir::print(*program).find(" meet {"), std::string::npos);
    const auto compiled = compile_nest(*nest, Backend::kInterp, Isa::kAvx2, nullptr);
    const int64_t meeting = meeting_distance(p, target) / 4;
    for (const int64_t steps : {meeting, int64_t{1000}}) {
      const test::Tensors t(p, 2, steps, r);
      expect_same(run_naive(p, t), run_lowered(*nest, Isa::kAvx2, t), ir::print(*nest));
      std::vector<float> scratch(static_cast<size_t>(program->scratch_bytes / 4), 123.0F);
      std::vector<float> out(t.out.size());
      RunOptions options;
      options.workspace = scratch.data();
      run_kernel(**compiled, pack_weights(*compiled, t.kernel, t.bias)->data, t.in.data(), out.data(),
                 t.batch, t.steps, options);
      const bool copies = std::ranges::any_of(scratch, [](float x) { return x != 123.0F; });
      EXPECT_EQ(copies, steps == meeting) << steps;
    }
  }
}

// Schedules that nobody chooses today must be as right as the chosen ones.
TEST(Lower, OtherSchedulesGiveTheNaiveBits) {
  const char* schedules[] = {
      // no tile at all
      "cut o; split f 16; lanes f1; reorder n g b o f f1 k c",
      // filters outside everything
      "cut o; split f 32; split f1 16; tile f1; lanes f2; split o 5; tile o1; reorder n g f b o o1 f1 f2 k c",
      // two levels of filter blocks and of step chunks
      "cut o; fuse k c; split f 64; split f1 32; split f2 16; tile f2; lanes f3; split o 12; split o1 4; "
      "tile o2;"
      " reorder n g b f o f1 o1 o2 f2 f3 r",
      // steps in lanes although filters are many
      "cut o; split o 32; split o1 16; tile o1; lanes o2; split f 5; tile f1; reorder n g b o f f1 o1 o2 k "
      "c; stage",
      "cut o; split o 16; lanes o1; reorder n g b o f o1 k c; stage",
      // filter loops outside the staged tile: each stages anew
      "cut o; split o 32; split o1 16; tile o1; lanes o2; split f 20; tile f1; reorder n g b f o f1 o1 o2 k "
      "c; stage",
      // chunks of steps around staged tiles
      "cut o; split o 64; split o1 16; lanes o2; split f 3; tile f1; reorder n g b o o1 f f1 o2 k c; stage",
  };
  test::Random r(5);
  for (const char* text : schedules) {
    const auto schedule = ir::parse_schedule(text);
    ASSERT_TRUE(schedule);
    for (int round = 0; round < 25; ++round) {
      Problem p;
      p.channels = r.between(2, 20);
      p.filters = r.between(1, 100);
      p.taps = r.between(1, 5);
      const bool fused = std::string(text).find("fuse") != std::string::npos;
      if (std::string(text).find("stage") != std::string::npos) p.layout = Layout::kChannelsFirst;
      p.stride = r.between(1, 3);
      p.dilation = fused ? 1 : r.between(1, 3);
      p.pad_same = true;
      p.has_bias = r.once_in(2);
      const test::Tensors t(p, 2, r.between(1, 70), r);
      const auto nest = ir::apply(ir::build_nest(p), *schedule);
      ASSERT_TRUE(nest) << nest.error().message;
      expect_same(run_naive(p, t), run_lowered(*nest, Isa::kAvx512, t), ir::print(*nest));
    }
  }
}

// A loop that has one block makes the steps that the tail leaves to it, too.
TEST(Lower, SingleBlocksMakeTheirSingleSteps) {
  const std::pair<const char*, int64_t> schedules[] = {
      {"cut o; split f 16; lanes f1; split o 3; tile o1; reorder n g b f o o1 f1 k c; wide f 2", 16},
      {"cut o; split f 16; lanes f1; split o 4; tile o1; reorder n g b f o o1 f1 k c; tail o shift 3; wide f "
       "4",
       10},
      {"cut o; split f 128; split f1 32; split f2 16; tile f2; lanes f3; split o 6; tile o1; "
       "reorder n g b f f1 o o1 f2 f3 k c",
       160}};
  test::Random r(23);
  for (const auto& [text, filters] : schedules) {
    for (int round = 0; round < 12; ++round) {
      Problem p;
      p.channels = r.between(1, 5);
      p.filters = filters;
      p.taps = r.between(1, 3);
      p.pad_same = true;
      const test::Tensors t(p, 2, r.between(1, 20), r);
      const auto nest = ir::apply(ir::build_nest(p), *ir::parse_schedule(text));
      ASSERT_TRUE(nest) << nest.error().message;
      expect_same(run_naive(p, t), run_lowered(*nest, Isa::kAvx512, t), ir::print(*nest));
    }
  }
}

TEST(Lower, RefusesSchedulesThatDoNotFitTheTarget) {
  Problem p;
  p.channels = 6;
  p.filters = 40;
  p.taps = 3;
  const std::pair<const char*, const char*> refusals[] = {
      {"split f 8; lanes f1; reorder n g o f f1 k c", "needs a band loop"},
      {"cut o", "needs a lanes loop"},
      {"cut o; split f 8; lanes f1; reorder n g b o f f1 k c", "16 iterations"},
      {"cut o; split f 16; lanes f1; reorder n g b f1 f o k c", "no larger multiple"},
      {"cut o; split o 16; lanes o1; reorder n g b o f o1 k c", "lanes over o need channels first"},
      {"cut o; split f 16; lanes f1; split c 4; unroll c1; reorder n g b o f f1 k c c1", "unrolled by 4"},
      {"cut o; split f 16; lanes f1; split k 2; reorder n g b o f f1 k k1 c", "may only be split once"},
      {"cut o; split f 16; lanes f1; split o 4; tile o1; reorder n g b f o o1 f1 k c; tail o mask",
       "a tail of masked vectors is for lanes over steps"},
      {"cut o; split f 16; lanes f1; split o 4; tile o1; reorder n g b f o o1 f1 k c; tail o shift 2; wide f "
       "1",
       "a tail ends with tiles of one step"},
      {"cut o; split f 16; lanes f1; split o 4; tile o1; reorder n g b f o o1 f1 k c; tail o 4 1",
       "no smaller than the tile"},
      {"cut o; split o 8; split o1 4; tile o2; split f 16; lanes f1; reorder n g b o f o1 o2 f1 k c; tail o "
       "2 1",
       "'tail' is for the innermost loop over o, not for o"},
      {"cut o; split f 32; split f1 16; lanes f2; split o 4; tile o1; reorder n g b f f1 o o1 f2 k c; wide f "
       "2",
       "'wide' is for the innermost loop over f"},
      {"cut o; split f 16; lanes f1; split o 4; tile o1; reorder n b o g f o1 f1 k c; ragged; lift 16 tiles "
       "2",
       "blocks of at most 24 steps"},
      {"cut o; split f 16; lanes f1; split o 4; tile o1; reorder n g b f o o1 f1 k c; read_ahead within 65",
       "at most 64 lines"},
  };
  for (const auto& [text, message] : refusals) {
    const auto nest = ir::apply(ir::build_nest(p), *ir::parse_schedule(text));
    const auto program =
        nest ? lower(completed(*nest, target_for(Isa::kAvx512)), target_for(Isa::kAvx512), "x")
             : tl::unexpected(nest.error());
    ASSERT_FALSE(program) << text;
    EXPECT_NE(program.error().message.find(message), std::string::npos)
        << text << " -> " << program.error().message;
  }
}

}  // namespace
}  // namespace convsmith
