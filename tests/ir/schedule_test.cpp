// Schedule steps: each one preserves what the nest computes, prints, parses, and refuses what it must.
#include "ir/schedule.hpp"

#include <gtest/gtest.h>

#include <cstring>

#include "codegen/choose_schedule.hpp"
#include "ir/build_nest.hpp"
#include "ir/nest_interp.hpp"
#include "ir/nest_text.hpp"
#include "ir/nest_verify.hpp"
#include "tests/support/random_problem.hpp"

namespace convsmith::ir {
namespace {

std::vector<float> run(const LoopNest& nest, test::Tensors t) {
  interpret(nest, {t.in.data(), t.kernel.data(), t.bias.data(), t.out.data(), t.batch, t.steps},
            [](float x) { return x; });
  return t.out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

TEST(Schedule, EveryStepOfTheChosenSchedulesPreservesTheNest) {
  test::Random r(2);
  for (int round = 0; round < 400; ++round) {
    const Problem p = test::random_problem(r);
    const Isa isa = round % 3 == 0 ? Isa::kAvx512 : round % 3 == 1 ? Isa::kAvx2 : Isa::kBaseline;
    const test::Tensors t(p, r.between(0, 2), r.between(0, 40), r);
    LoopNest nest = build_nest(p);
    const std::vector<float> expected = run(nest, t);
    for (const Step& step : choose_schedule(p, target_for(isa))) {
      auto next = ir::apply(nest, step);
      ASSERT_TRUE(next) << next.error().message;
      nest = *next;
      ASSERT_TRUE(same_bits(expected, run(nest, t))) << print(Schedule{step}) << "\n" << print(nest);
    }
    EXPECT_TRUE(verify_lowerable(nest));
  }
}

TEST(Schedule, TextRoundTrips) {
  test::Random r(3);
  for (int round = 0; round < 200; ++round) {
    const Problem p = test::random_problem(r);
    const Schedule schedule = choose_schedule(p, target_for(round % 2 == 0 ? Isa::kAvx512 : Isa::kAvx2));
    const auto parsed = parse_schedule(print(schedule));
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_TRUE(*parsed == schedule);
    const auto nest = ir::apply(build_nest(p), schedule);
    ASSERT_TRUE(nest);
    const auto again = parse_nest(print(*nest));
    ASSERT_TRUE(again) << again.error().message << "\n" << print(*nest);
    EXPECT_TRUE(*again == *nest);
    EXPECT_EQ(print(*again), print(*nest));
  }
}

struct Refusal {
  const char* schedule;
  const char* message;  // part of the error
};

TEST(Schedule, RefusesWithASentenceThatNamesTheLoop) {
  Problem p;
  p.channels = 8;
  p.filters = 32;
  p.taps = 3;
  const Refusal refusals[] = {
      {"jump o", "the steps are cut"},
      {"split f", "expected 'split LOOP FACTOR'"},
      {"split f many", "expected 'split LOOP FACTOR'"},
      {"split f 1", "at least 2, found 1"},
      {"split f -4", "at least 2, found -4"},
      {"split q 4", "expected a loop, found 'q'"},
      {"cut f", "expected 'cut o'"},
      {"cut o; cut o", "not cut yet"},
      {"fuse k c", "expected 'cut o' before"},
      {"lanes o", "loop 'o' to have constant extent"},
      {"tile c", "can't be split over lanes or accumulators"},
      {"unroll f", "only the reduction is unrolled"},
      {"split f 4; lanes f1; lanes f1", "to be serial"},
      {"split f 4; tile f1; tile f", "the first of its dimension"},
      {"reorder n g o f k", "all 6 loops by name"},
      {"reorder n g o f k k", "loop 'k' once"},
      {"reorder n g o f c k", "change the order of the sum"},
      {"stage", "expected lanes over o"},
      {"panel", "expected 'panel FACTOR'"},
      {"panel f 16", "expected 'panel FACTOR'"},
      {"panel 0", "a panel of 1 to 64, found 0"},
      {"split f 4; split f 2", "loop 'f' to have step 1"},
  };
  for (const Refusal& refusal : refusals) {
    const auto schedule = parse_schedule(refusal.schedule);
    std::string message = schedule ? "" : schedule.error().message;
    if (schedule) {
      const auto nest = ir::apply(build_nest(p), *schedule);
      ASSERT_FALSE(nest) << refusal.schedule;
      message = nest.error().message;
    }
    EXPECT_NE(message.find(refusal.message), std::string::npos) << refusal.schedule << " -> " << message;
  }
}

TEST(Schedule, FuseNeedsContiguousTaps) {
  for (int which = 0; which < 3; ++which) {
    Problem p;
    p.channels = 8;
    p.filters = 8;
    p.taps = 3;
    if (which == 0) p.dilation = 2;
    if (which == 1) p.groups = 2;
    if (which == 2) p.layout = Layout::kChannelsFirst;
    const auto nest = ir::apply(build_nest(p), *parse_schedule("cut o; fuse k c"));
    ASSERT_FALSE(nest);
    EXPECT_NE(nest.error().message.find("one run of memory"), std::string::npos);
  }
}

TEST(NestText, NamesTheLineOfAnError) {
  const char* texts[] = {
      "",
      "nest Conv1D(4, 3, input_shape=(None, 4)) {",
      "nest Conv1D(4, 3) {\n}",
      "nest Conv1D(4, 3, input_shape=(None, 4)) {\n for x\n}",
      "nest Conv1D(4, 3, input_shape=(None, 4)) {\n for o1\n}",
      "nest Conv1D(4, 3, input_shape=(None, 4)) {\n for o step big\n}",
      "nest Conv1D(4, 3, input_shape=(None, 4)) {\n for n\n}",
      "nest Conv1D(4, 3, input_shape=(None, 4)) {\n for n\n for g\n for o\n for f\n for k\n for c\n}\nfor n",
  };
  for (const char* text : texts) {
    const auto nest = parse_nest(text);
    ASSERT_FALSE(nest) << text;
    EXPECT_TRUE(nest.error().message.find("line") != std::string::npos ||
                nest.error().message.find("no loop runs over") != std::string::npos)
        << nest.error().message;
  }
}

}  // namespace
}  // namespace convsmith::ir
