// The schedules that a search tries: legal, distinct, the chosen one first, all with the same bits.
#include "codegen/schedule/candidate_schedules.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "codegen/schedule/choose_schedule.hpp"
#include "ir/nest/build_nest.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/compile.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith {
namespace {

Problem problem_of(const char* text) {
  return ir::parse_problem(text).value();
}

// Every form, and what its sizes depend on: strides, dilation, groups, tails, an operand, a reduction.
const char* const kProblems[] = {
    "Conv1D(40, 3, padding='same', input_shape=(None, 6))",
    "Conv1D(33, 5, dilation_rate=3, activation='tanh', input_shape=(None, 8))",
    "Conv1D(130, 1, input_shape=(None, 4)) with Pass(combine='add', after='relu')",
    "Conv1D(32, 4, strides=2, groups=2, use_bias=False, input_shape=(None, 8))",
    "Conv1D(1, 7, input_shape=(None, 8))",
    "Conv1D(3, 4, strides=2, padding='same', input_shape=(None, 5))",
    "Conv1D(6, 5, groups=2, data_format='channels_first', input_shape=(4, None))",
    "DepthwiseConv1D(5, padding='same', input_shape=(None, 37))",
    "DepthwiseConv1D(3, depth_multiplier=2, input_shape=(None, 12))",
    "Conv1D(20, 3, groups=20, input_shape=(None, 20), use_bias=False) with Pass(reduce='max')",
};

class CandidateSchedules : public testing::TestWithParam<const char*> {};

TEST_P(CandidateSchedules, AreLegalDistinctAndBeginWithTheChosenOne) {
  const Problem p = problem_of(GetParam());
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    const auto candidates = candidate_schedules(p, target_for(isa));
    ASSERT_GE(candidates.size(), 3U) << isa_name(isa);
    EXPECT_LE(candidates.size(), kMostCandidates);
    EXPECT_EQ(candidates.front(), choose_schedule(p, target_for(isa)));
    std::set<std::string> texts;
    for (const ir::Schedule& schedule : candidates) {
      EXPECT_TRUE(texts.insert(ir::print(schedule)).second) << ir::print(schedule);
      EXPECT_TRUE(lower_layer(p, target_for(isa), ir::print(schedule))) << ir::print(schedule);
    }
  }
}

TEST(CandidateNumbers, VaryTheNumbersOfSteps) {
  const Problem p = problem_of("Conv1D(3, 7, input_shape=(None, 32))");
  int varied = 0;
  for (const ir::Schedule& schedule : candidate_schedules(p, target_for(Isa::kAvx512)))
    varied += ir::print(schedule).find(" worth ") != std::string::npos ? 1 : 0;
  EXPECT_GE(varied, 3);
}

std::vector<float> run(const CompiledKernel& kernel, const test::Tensors& t) {
  std::vector<float> out = t.out;
  const auto shared = std::shared_ptr<const CompiledKernel>(&kernel, [](const auto*) {});
  const auto packed = pack_weights(shared, t.kernel, t.bias);
  EXPECT_EQ(run_kernel(kernel, packed->data, t.in.data(), out.data(), t.batch, t.steps, {}, t.operand.data()),
            RunStatus::kOk);
  return out;
}

TEST_P(CandidateSchedules, GiveTheSameBits) {
  const Problem p = problem_of(GetParam());
  test::Random random(7);
  const test::Tensors t(p, 2, 61, random);
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  std::vector<uint32_t> expected;
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    for (const ir::Schedule& schedule : candidate_schedules(p, target_for(isa))) {
      const std::string text = ir::print(schedule);
      const auto judge = compile_problem(p, Backend::kInterp, isa, text, nullptr);
      ASSERT_TRUE(judge) << judge.error().message;
      const auto bits = test::bits_of(run(**judge, t));
      if (expected.empty()) expected = bits;
      EXPECT_EQ(bits, expected) << text;
      if (memory == nullptr || isa > detect_isa()) continue;
      // A tile may have too many accumulators, which the back end says.
      const auto kernel = compile_problem(p, Backend::kXbyak, isa, text, memory);
      if (kernel) {
        EXPECT_EQ(test::bits_of(run(**kernel, t)), expected) << text;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, CandidateSchedules, testing::ValuesIn(kProblems));

TEST(CandidateSizes, VaryTilesAndTheOtherSizes) {
  const auto all = [](const char* text) {
    std::string joined;
    for (const ir::Schedule& schedule : candidate_schedules(problem_of(text), target_for(Isa::kAvx512)))
      joined += ir::print(schedule) + "\n";
    return joined;
  };
  const std::string wide = all("Conv1D(256, 3, input_shape=(None, 64))");
  for (const char* step :
       {"split f 64;", "split f 32;", "split o 6;", "split o1 6;", "split r 2;", "split r 4;", "fuse k c",
        "split c 2;", "reorder n g b f o o1 f1 f2", "reorder n g b o f o1 o2 f1 f2"}) {
    EXPECT_NE(wide.find(step), std::string::npos) << step;
  }
  // A few filters: lifted is chosen, over filters alone is tried.
  const std::string few = all("Conv1D(1, 7, input_shape=(None, 32))");
  EXPECT_NE(few.find("lift"), std::string::npos);
  EXPECT_NE(few.find("lanes f"), std::string::npos);
}

}  // namespace
}  // namespace convsmith
