// Which layers get which form.
#include "codegen/schedule/choose_schedule.hpp"

#include <gtest/gtest.h>

#include "ir/nest/problem_text.hpp"

namespace convsmith {
namespace {

FilterForm form_of(const char* text, Isa isa = Isa::kAvx512) {
  return std::get<FilterForm>(choose_form(ir::parse_problem(text).value(), target_for(isa)));
}

TEST(ChooseSchedule, LiftsWhereFiltersLeaveLanesIdle) {
  EXPECT_GT(form_of("Conv1D(4, 7, input_shape=(None, 32))").lift, 0);
  EXPECT_GT(form_of("Conv1D(24, 9, input_shape=(None, 16))").lift, 0);
  EXPECT_EQ(form_of("Conv1D(16, 9, input_shape=(None, 16))").lift, 0);
  EXPECT_EQ(form_of("Conv1D(24, 9, input_shape=(None, 16))", Isa::kAvx2).lift, 0);
}

// Each block would move the positions that the next one reads again.
TEST(ChooseSchedule, DoesNotLiftFarApartTaps) {
  EXPECT_GT(form_of("Conv1D(4, 3, input_shape=(None, 24))").lift, 0);
  EXPECT_EQ(form_of("Conv1D(4, 3, dilation_rate=128, input_shape=(None, 24))").lift, 0);
  EXPECT_EQ(form_of("Conv1D(8, 3, dilation_rate=128, input_shape=(None, 24))").lift, 0);
}

// Where a chunk of few channels is staged, a far tap is as near as any other.
TEST(ChooseSchedule, LiftsFarApartTapsOfFewChannels) {
  EXPECT_TRUE(form_of("Conv1D(4, 3, dilation_rate=128, input_shape=(None, 12))").near);
  EXPECT_TRUE(form_of("Conv1D(8, 3, dilation_rate=128, input_shape=(None, 12))").near);
  EXPECT_FALSE(form_of("Conv1D(8, 3, dilation_rate=12800, input_shape=(None, 12))").near);
  EXPECT_TRUE(form_of("Conv1D(4, 3, dilation_rate=12800, input_shape=(None, 1))").near);
  EXPECT_FALSE(form_of("Conv1D(4, 3, dilation_rate=1000000000, input_shape=(None, 1))").near);
}

TEST(ChooseSchedule, TakesNeighbouringStepsOfOneChannel) {
  EXPECT_TRUE(form_of("Conv1D(12, 65, input_shape=(None, 1))").near);
  EXPECT_FALSE(form_of("Conv1D(16, 65, input_shape=(None, 1))").near);
  EXPECT_FALSE(form_of("Conv1D(12, 65, strides=2, input_shape=(None, 1))").near);
}

// Rows whose distance is a multiple of a page's bytes meet in one set of the first cache.
// Takes as long for billions of filters as for a few: whoever writes such a layer is waiting for the refusal.
TEST(ChooseSchedule, IsAsQuickForBillionsOfFilters) {
  EXPECT_GE(form_of("Conv1D(2000000000, 3, input_shape=(None, 2))").rows, 1);
  EXPECT_GE(form_of("Conv1DTranspose(1900000000, 3, strides=2, input_shape=(None, 3))").rows, 1);
}

TEST(ChooseSchedule, RowsAPageApartFitTheWaysOfASet) {
  EXPECT_LE(form_of("Conv1D(512, 3, strides=2, input_shape=(None, 512))").rows, 8);
  EXPECT_LE(form_of("Conv1D(32, 3, input_shape=(None, 1024))").rows, 8);
  EXPECT_GT(form_of("Conv1D(512, 3, strides=2, input_shape=(None, 528))").rows, 8);
  EXPECT_GT(form_of("Conv1D(32, 3, input_shape=(None, 512))").rows, 8);
}

// A chunk that the second cache can't hold beside its weights brings weights again and saves no input.
TEST(ChooseSchedule, ChunksAreNoLargerThanTheSecondCache) {
  EXPECT_GT(form_of("Conv1D(256, 3, input_shape=(None, 256))").chunk, 0);
  EXPECT_EQ(form_of("Conv1D(1280, 3, strides=2, input_shape=(None, 1280))").chunk, 0);
}

// Where each pass brings all inputs from afar, fewer passes are worth more loads of weights.
TEST(ChooseSchedule, PassesAreFewWhereInputsComeFromAfar) {
  EXPECT_EQ(form_of("Conv1D(128, 500, strides=500, input_shape=(None, 8))").vectors, 4);
  EXPECT_EQ(form_of("Conv1D(128, 500, strides=100, input_shape=(None, 8))").vectors, 2);
}

TEST(ChooseSchedule, AsksEarlyForWeightsOrForInputs) {
  const FilterForm weights = form_of("Conv1D(1024, 5, input_shape=(None, 256))");
  EXPECT_TRUE(weights.prefetch && !weights.read_ahead);
  const FilterForm inputs = form_of("Conv1D(64, 1, input_shape=(None, 64))");
  EXPECT_TRUE(!inputs.prefetch && inputs.read_ahead);
}

// Rows of the output are written for long.
TEST(ChooseSchedule, StagesChunksForManyFilters) {
  const auto form = [](const char* text) {
    return std::get<StepForm>(choose_form(ir::parse_problem(text).value(), target_for(Isa::kAvx512)));
  };
  const StepForm stem =
      form("Conv1D(512, 10, strides=5, data_format='channels_first', input_shape=(1, None))");
  EXPECT_TRUE(stem.stage);
  EXPECT_GE(stem.chunk, 1024);
  EXPECT_EQ(form("Conv1D(4, 10, strides=5, data_format='channels_first', input_shape=(1, None))").chunk, 0);
}

TEST(ChooseSchedule, StagesRowsThatMayMeetInTheFirstCache) {
  const auto stages = [](const char* text) {
    const Problem p = ir::parse_problem(text).value();
    return std::get<StepForm>(choose_form(p, target_for(Isa::kAvx512))).stage;
  };
  EXPECT_TRUE(stages("Conv1D(1, 7, data_format='channels_first', input_shape=(32, None))"));
  EXPECT_FALSE(stages("Conv1D(1, 7, data_format='channels_first', input_shape=(8, None))"));
  EXPECT_FALSE(stages("Conv1D(1, 1, data_format='channels_first', input_shape=(32, None))"));
  EXPECT_FALSE(
      stages("Conv1D(1, 3, dilation_rate=512, data_format='channels_first', input_shape=(32, None))"));
}

}  // namespace
}  // namespace convsmith
