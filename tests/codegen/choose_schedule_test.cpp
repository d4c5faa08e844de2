// Where the rules let lanes run over steps although the layer is channels-last.
#include "codegen/choose_schedule.hpp"

#include <gtest/gtest.h>

#include "ir/problem_text.hpp"

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

}  // namespace
}  // namespace convsmith
