// Schedule steps: each one preserves what the nest computes, prints, parses, and refuses what it must.
#include "ir/nest/schedule.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <tuple>

#include "codegen/schedule/choose_schedule.hpp"
#include "codegen/schedule/completed.hpp"
#include "ir/nest/build_nest.hpp"
#include "ir/nest/nest_interp.hpp"
#include "ir/nest/nest_text.hpp"
#include "ir/nest/nest_verify.hpp"
#include "tests/support/random_problem.hpp"

namespace convsmith::ir {
namespace {

using testing::HasSubstr;

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

// With all numbers, the text says what `completed` fills in.
TEST(Schedule, NumbersRoundTrip) {
  test::Random r(5);
  for (int round = 0; round < 200; ++round) {
    const Problem p = test::random_problem(r);
    const Target& target = target_for(round % 2 == 0 ? Isa::kAvx512 : Isa::kAvx2);
    const Schedule schedule = choose_schedule(p, target);
    const LoopNest nest = completed(ir::apply(build_nest(p), schedule).value(), target);
    const auto parsed = parse_schedule(print(with_numbers(schedule, nest)));
    ASSERT_TRUE(parsed) << parsed.error().message;
    const auto again = ir::apply(build_nest(p), *parsed);
    ASSERT_TRUE(again) << again.error().message;
    const std::string text = print(*again);
    EXPECT_EQ(text, print(nest)) << print(*parsed);
    const auto read = parse_nest(text);
    ASSERT_TRUE(read) << read.error().message << "\n" << text;
    EXPECT_TRUE(completed(*read, target) == nest) << text;
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
      {"ragged", "expected 'cut o' before 'ragged'"},
      {"cut o; ragged o", "'ragged' takes no loop"},
      {"slide", "expected 'ragged' before 'slide'"},
      {"cut o; slide; ragged", "expected 'ragged' before 'slide'"},
      {"cut o; ragged; slide k", "'slide' takes no loop"},
      {"lift", "expected 'lift FACTOR'"},
      {"lift many", "expected 'lift FACTOR'"},
      {"lift o 4", "expected 'lift FACTOR'"},
      {"cut o; lift 4; ragged", "expected 'ragged' before 'lift'"},
      {"cut o; ragged; lift 0", "1 to 16 vectors of steps, found 0"},
      {"cut o; ragged; lift 17", "1 to 16 vectors of steps, found 17"},
      {"near", "expected 'lift' before 'near'"},
      {"cut o; ragged; lift 2; near o", "expected numbers as in 'near chunk 4', found 'o'"},
      {"blend", "expected 'blend FACTOR'"},
      {"blend o 2", "expected 'blend FACTOR'"},
      {"blend 1", "2 to 4 rows that share a vector, found 1"},
      {"blend 5", "2 to 4 rows that share a vector, found 5"},
      {"stream o", "numbers as in 'stream above 4', found 'o'"},
      {"prefetch f", "numbers as in 'prefetch share 4', found 'f'"},
      {"read_ahead f", "numbers as in 'read_ahead within 4', found 'f'"},
      {"prefetch share", "a count of at least 1 behind 'share'"},
      {"prefetch share 0", "a count of at least 1 behind 'share'"},
      {"stream above 24G", "a count of at least 1 behind 'above'"},
      {"cut o; ragged; lift 4 worth 9 tiles 2", "numbers as in 'lift tiles 4 worth 4', found 'tiles'"},
      {"split f 4 4", "expected 'split LOOP FACTOR'"},
      {"tail", "expected 'tail LOOP [shift|mask] SIZE...'"},
      {"tail o", "expected the sizes of smaller tiles"},
      {"split o 8; tail o", "expected the sizes of smaller tiles"},
      {"split o 8; tail o 4 4 1", "sizes of at least 1 that fall, found '4'"},
      {"split o 8; tail o 4 x", "sizes of at least 1 that fall, found 'x'"},
      {"split o 64; tail o 10 9 8 7 6 5 4 3 2 1", "expected at most 8 sizes, found 10"},
      {"tail o 4 1", "a loop over o that is split, found 'o'"},
      {"split f 8; tail f 4 1", "a loop over o that is split, found 'f'"},
      {"tail q 4 1", "expected a loop, found 'q'"},
      {"wide f", "expected 'wide LOOP FACTOR'"},
      {"wide f 65", "1 to 64 blocks, found 65"},
      {"wide o 2", "a loop over f or g, found 'o'"},
      {"tail o 4 1\n\n\tcut o", "Schedule step 'tail o 4 1 cut o': "},
      {"\nfoo\r\n f", "Schedule step 'foo f' is unknown"},
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
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
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

TEST(Schedule, StreamNeedsRowsOfWholeLines) {
  Problem p;
  p.channels = 8;
  for (const auto& [filters, out_row, is_legal] :
       {std::tuple{16, 0, true}, {24, 0, false}, {1, 0, false}, {24, 32, true}, {32, 40, false}}) {
    p.filters = filters;
    p.out_row = out_row;
    const auto nest = ir::apply(build_nest(p), *parse_schedule("stream"));
    EXPECT_EQ(nest.has_value(), is_legal) << filters << " in rows of " << out_row;
    const std::string message = nest ? "a multiple of 16 floats" : nest.error().message;
    EXPECT_THAT(message, HasSubstr("a multiple of 16 floats"));
  }
}

Problem dense_problem() {
  Problem p;
  p.channels = 3;
  p.filters = 32;
  p.taps = 4;
  p.stride = 2;
  p.dilation = 3;
  p.pad_same = true;
  return p;
}

// One channel, stride 1: steps are neighbours in memory.
Problem direct_problem() {
  Problem p = dense_problem();
  p.channels = p.stride = 1;
  return p;
}

// The last vector of 16 filters is half full.
Problem half_problem() {
  Problem p = dense_problem();
  p.filters = 24;
  return p;
}

Problem depthwise_problem() {
  Problem p = dense_problem();
  p.channels = p.groups = p.filters;
  return p;
}

constexpr const char* kOverFilters = "cut o; split f 16; lanes f1; split o 3; tile o1; ";
constexpr const char* kOverGroups =
    "cut o; split g 16; lanes g1; split o 3; tile o1; reorder n b o g f o1 g1 k c; ";
constexpr const char* kOverSteps =
    "cut o; split o 16; lanes o1; split f 2; tile f1; reorder n b o g f f1 o1 k c; ";

// Each step by itself: its text, its line in the text of a nest, and that it changes no result.
TEST(Schedule, StepsWithoutLoopsRoundTripAndPreserveTheNest) {
  const std::string plain = std::string(kOverFilters) + "reorder n b o g f o1 f1 k c";
  const struct {
    Problem problem;
    std::string before;
    const char* step;
    const char* line;
  } cases[] = {
      {dense_problem(), plain, "ragged", "\n  guard\n"},
      {dense_problem(), plain + "; ragged", "lift 1", "\n  part inside\n  lanes o far tail overlap\n"},
      {dense_problem(), plain + "; ragged", "lift 16", "\n  for o2 step 16\n"},
      {direct_problem(), plain + "; ragged; lift 3", "near", "\n  for o step 48 tail shift\n"},
      {half_problem(), plain, "blend 2", "\n  lanes f1 = 0..16 tail share 2\n"},
      {dense_problem(), plain, "stream", "\n  hint nontemporal out\n"},
      {dense_problem(), plain, "prefetch", "\n  hint prefetch w\n"},
      {dense_problem(), plain, "read_ahead", "\n  hint prefetch in\n"},
      {depthwise_problem(), kOverGroups, "ragged", "\n  guard\n"},
      {depthwise_problem(), std::string(kOverGroups) + "ragged", "slide", "\n  skew k = taps\n"},
      {depthwise_problem(), kOverGroups, "stream", "\n  hint nontemporal out\n"},
      {dense_problem(), plain, "panel 16", "\n  pack w by 16\n"},
  };
  test::Random r(7);
  for (const auto& [problem, before, step, line] : cases) {
    SCOPED_TRACE(before + " / " + step);
    const LoopNest nest = ir::apply(build_nest(problem), *parse_schedule(before)).value();
    const auto schedule = parse_schedule(step);
    ASSERT_TRUE(schedule) << schedule.error().message;
    EXPECT_EQ(print(*schedule), step);
    const auto next = ir::apply(nest, *schedule);
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_TRUE(verify_lowerable(*next)) << verify_lowerable(*next).error().message;
    EXPECT_FALSE(*next == nest);
    EXPECT_THAT(print(*next), HasSubstr(line));
    const auto read = parse_nest(print(*next));
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE(*read == *next) << print(*read);
    for (const int64_t steps : {1, 7, 40}) {
      const test::Tensors t(problem, 2, steps, r);
      EXPECT_TRUE(same_bits(run(build_nest(problem), t), run(*next, t)));
    }
  }
}

TEST(Schedule, WhatCannotBeCompiledIsRefused) {
  const auto order = [](const char* lanes, const char* rest) { return std::string(lanes) + rest; };
  Problem direct = direct_problem();
  Problem overlapping = direct;
  direct.layout = Layout::kChannelsFirst;
  overlapping.dilation = 1;
  Problem wide_rows = dense_problem();
  wide_rows.in_row = 20;
  Problem wide_output = dense_problem();
  wide_output.out_row = 48;
  Problem combined = dense_problem();
  combined.combine = Combine::kAdd;
  Problem pooling = depthwise_problem();
  pooling.reduce = Reduce::kMax;
  Problem half_combined = half_problem();
  half_combined.combine = Combine::kAdd;
  const char* inside = "reorder n b o g f o1 f1 k c; ragged; ";
  const char* outside = "reorder n b g f o o1 f1 k c; ragged; ";
  const struct {
    Problem problem;
    std::string schedule;
    const char* message;
  } cases[] = {
      {direct, order(kOverSteps, "ragged"), "'ragged' is for sums of products with lanes over f or g"},
      {pooling, order(kOverGroups, "ragged"), "'ragged' is for sums of products"},
      {dense_problem(), kOverSteps, "lanes over o need channels first, or arrays of one float a step"},
      {dense_problem(), order(kOverSteps, "stage"), "lanes over o need channels first"},
      {dense_problem(), order(kOverFilters, inside) + "slide", "'slide' is for lanes over g"},
      {dense_problem(), order(kOverFilters, inside) + "lift 2; slide", "with 'lift' for one group"},
      {dense_problem(), order(kOverFilters, inside) + "lift 2; near",
       "one channel or at most 4096"},
      {overlapping, order(kOverFilters, inside) + "lift 2; near; slide",
       "'near' is for 'lift' without 'slide'"},
      {direct, order(kOverSteps, "stream"), "'stream' is for lanes over f or g"},
      {depthwise_problem(), order(kOverGroups, "prefetch"), "'prefetch' is for lanes over f"},
      {direct, order(kOverSteps, "prefetch"), "'prefetch' is for lanes over f"},
      {direct, order(kOverSteps, "read_ahead"), "'read_ahead' is for lanes over f"},
      {depthwise_problem(), order(kOverGroups, "ragged; lift 2"), "'lift' is for lanes over f"},
      {dense_problem(), order(kOverFilters, outside) + "lift 2", "all groups and filters inside the steps"},
      {wide_rows, order(kOverFilters, inside) + "lift 2", "in dense arrays"},
      {wide_output, order(kOverFilters, inside) + "lift 2", "in dense arrays"},
      {dense_problem(), order(kOverFilters, "reorder g n b o f o1 f1 k c"), "one loop over n, outside all"},
      {dense_problem(), order(kOverFilters, "split n 2; reorder n n1 g b o f o1 f1 k c"), "one loop over n"},
      {combined, order(kOverFilters, inside) + "lift 2", "'lift' is for"},
      {dense_problem(), order(kOverFilters, inside) + "blend 2", "'blend 2' is for lanes over f"},
      {half_problem(), order(kOverFilters, inside) + "blend 4", "fill at most 1/4 of the last vector"},
      {half_problem(), order(kOverFilters, inside) + "blend 3", "'blend 3' is for"},
      {half_combined, order(kOverFilters, inside) + "blend 2", "without an operand"},
  };
  const auto blend = parse_schedule(order(kOverGroups, "blend 2"));
  EXPECT_THAT(ir::apply(build_nest(depthwise_problem()), *blend).error().message, HasSubstr("lanes over f"));
  for (const auto& [problem, text, message] : cases) {
    const auto nest = ir::apply(build_nest(problem), *parse_schedule(text));
    ASSERT_TRUE(nest) << text << ": " << nest.error().message;
    const auto ok = verify_lowerable(*nest);
    ASSERT_FALSE(ok) << text;
    EXPECT_THAT(ok.error().message, HasSubstr(message)) << text;
  }
}

TEST(NestText, RefusesStepsThatDoNotFitItsLoops) {
  const std::string head = "nest Conv1D(4, 3, input_shape=(None, 4)) {\n for n\n for g\n";
  const std::string loops = " for o\n for f\n for k\n for c\n";
  const std::pair<std::string, const char*> texts[] = {
      {head + loops + " ragged\n}", "line 8: Schedule step 'ragged': expected 'cut o' before 'ragged'"},
      {head + " band\n" + loops + " slide\n}",
       "line 9: Schedule step 'slide': expected 'ragged' before 'slide'"},
      {head + " band\n" + loops + " ragged\n lift 0\n}",
       "line 10: Schedule step 'lift 0': expected 1 to 16 vectors of steps, found 0"},
      {head + " band\n" + loops + " ragged\n lift 17\n}", "expected 1 to 16 vectors of steps, found 17"},
      {head + " band\n" + loops + " blend 5\n}",
       "line 9: Schedule step 'blend 5': expected 2 to 4 rows that share a vector, found 5"},
      {head + " band\n" + loops + " ragged\n lift\n}",
       "line 10: Schedule step 'lift': expected 'lift FACTOR'"},
  };
  for (const auto& [text, message] : texts) {
    const auto nest = parse_nest(text);
    ASSERT_FALSE(nest) << text;
    EXPECT_THAT(nest.error().message, HasSubstr(message));
  }
}

TEST(NestText, RefusesWhatStandsTwiceOrAlone) {
  const LoopNest plain = ir::apply(build_nest(dense_problem()),
                                   *parse_schedule(std::string(kOverFilters) +
                                                   "reorder n b o g f o1 f1 k c; ragged; lift 2 tiles 3"))
                             .value();
  const std::string whole = print(plain);
  ASSERT_TRUE(parse_nest(whole)) << parse_nest(whole).error().message;
  const auto edited = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from << " in\n" << whole;
    return at == std::string::npos ? text : text.replace(at, from.size(), to);
  };
  const size_t begin = whole.find("  buffer");
  const std::string buffer = whole.substr(begin, whole.find('\n', begin) + 1 - begin);
  const std::pair<std::string, const char*> texts[] = {
      {edited("  part inside\n", "  part edge\n"), "a 'part edge' follows the loops of a 'part inside'"},
      {edited("  part inside\n", ""), "a 'part edge' follows the loops of a 'part inside'"},
      {edited("  part inside\n", "  part inside\n  part inside\n"), "'part inside' stands twice"},
      {edited("  part edge\n", "  part inside\n"), "'part inside' stands twice"},
      {edited("  part edge\n", "  part edge\n  part edge\n"), "a 'part edge' follows"},
      {edited("  part edge\n", "  part edge\n  part inside\n"), "'part inside' stands twice"},
      {edited(buffer, buffer + buffer), "stands twice"},
  };
  for (const auto& [text, message] : texts) {
    const auto nest = parse_nest(text);
    ASSERT_FALSE(nest) << text;
    EXPECT_THAT(nest.error().message, HasSubstr(message)) << text;
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
