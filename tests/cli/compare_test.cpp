// The rows of a comparison.
#include "cli/measure/compare.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "cli/verify/check_layer.hpp"
#include "cli/verify/check_model.hpp"
#include "cli/verify/random_model.hpp"
#include "frontend/keras/parse_layer.hpp"

namespace convsmith::cli {
namespace {

TEST(Compare, CountsUlpAlongTheNumberLine) {
  EXPECT_EQ(largest_ulp({1.0F, 2.0F}, {1.0F, 2.0F}), 0);
  EXPECT_EQ(largest_ulp({1.0F}, {1.0F + 0x1p-22F}), 2);
  EXPECT_EQ(largest_ulp({0x1p-149F}, {-0x1p-149F}), 2);
  EXPECT_EQ(largest_ulp({0.0F}, {-0.0F}), 1);
  EXPECT_EQ(largest_ulp({std::nanf("1")}, {-std::nanf("2")}), 0);
}

std::vector<Variant> variants_of(const std::string& text) {
  const LayerSpec spec = parse_layer(text, Rules::kAny).value().spec;
  return make_checked_layer(spec, make_layer_problem(spec, Rules::kAny).value(),
                            available_back_ends(Backend::kAuto, Isa::kAuto))
      .value()
      .variants;
}

Comparison compare(const std::vector<Variant>& variants, const CompareCall& call) {
  const auto timer = [](BackEnd) -> Result<CompileCost> { return CompileCost{1, 0.5}; };
  Comparison comparison;
  EXPECT_TRUE(compare_variants(variants, call, timer, comparison));
  return comparison;
}

void expect_full(const Comparison& comparison, size_t rows) {
  ASSERT_EQ(comparison.rows.size(), rows);
  for (const CompareRow& row : comparison.rows) {
    EXPECT_TRUE(row.bit_equal) << back_end_name(row.back_end);
    EXPECT_GT(row.gflops(), 0);
    EXPECT_GT(row.peak_share(), 0) << back_end_name(row.back_end);
    EXPECT_LE(row.timing.min_us, row.timing.p50_us);
    EXPECT_LE(row.timing.p50_us, row.timing.p99_us);
  }
}

TEST(Compare, FillsEveryRow) {
  for (const char* text : {"Conv1D(9, 3, padding='same', input_shape=(None, 5))",
                           "Conv1DTranspose(9, 3, strides=2, activation='tanh', input_shape=(None, 5))",
                           "SeparableConv1D(9, 3, activation='softmax', input_shape=(None, 5))"}) {
    SCOPED_TRACE(text);
    const std::vector<Variant> variants = variants_of(text);
    expect_full(compare(variants, {.steps = 100, .seconds = 0.002}), variants.size());
  }
}

TEST(Compare, FillsEveryRowOfAModel) {
  const auto model = make_checked_model(random_model(kModelForms * 5 + 19), Rules::kAny,
                                        available_back_ends(Backend::kAuto, Isa::kAuto));
  ASSERT_TRUE(model) << model.error().message;
  const CompareCall call{.steps = random_model_call(*model, 1).steps, .seconds = 0.002};
  expect_full(compare(model->variants, call), model->variants.size());
}

TEST(Compare, CountsOperations) {
  const auto operations = [](const std::string& text) {
    const auto variants = variants_of(text);
    return compare({variants.begin(), variants.begin() + 1}, {.batch = 3, .steps = 10, .seconds = 0.002})
        .rows[0]
        .operations;
  };
  // 2 x batch x output steps x taps x channels x filters; of a transposed layer the input steps.
  EXPECT_EQ(operations("Conv1D(7, 4, strides=2, input_shape=(None, 5))"), 2.0 * 3 * 4 * 4 * 5 * 7);
  EXPECT_EQ(operations("Conv1DTranspose(7, 4, strides=2, input_shape=(None, 5))"), 2.0 * 3 * 10 * 4 * 5 * 7);
  EXPECT_EQ(operations("DepthwiseConv1D(4, depth_multiplier=2, input_shape=(None, 5))"),
            2.0 * 3 * 7 * 4 * 5 * 2);
  EXPECT_EQ(operations("SeparableConv1D(7, 4, input_shape=(None, 5))"), 2.0 * 3 * 7 * (4 * 5 + 5 * 7));
  EXPECT_EQ(operations("Dense(7, input_shape=(None, 5))"), 2.0 * 3 * 10 * 5 * 7);
}

TEST(Compare, SeesBitsThatDiffer) {
  const std::vector<Variant> relu = variants_of("Conv1D(9, 3, activation='relu', input_shape=(None, 5))");
  ASSERT_GE(relu.size(), 2U);
  const std::vector<Variant> tanh = variants_of("Conv1D(9, 3, activation='tanh', input_shape=(None, 5))");
  const Comparison comparison = compare({relu[0], tanh[1]}, {.steps = 20, .seconds = 0.002});
  EXPECT_TRUE(comparison.rows[0].bit_equal);
  EXPECT_FALSE(comparison.rows[1].bit_equal);
  EXPECT_GT(comparison.rows[1].max_ulp, 0);
}

}  // namespace
}  // namespace convsmith::cli
