// The reference against cases computed by hand, from Keras's documentation and by running Keras.
#include "cli/verify/reference.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "cli/verify/reference_model.hpp"
#include "convsmith/activation.hpp"
#include "frontend/keras/parse_layer.hpp"

namespace convsmith::cli {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

LayerSpec spec_of(const std::string& text) {
  const auto layer = parse_layer(text, Rules::kAny);
  EXPECT_TRUE(layer) << layer.error().message;
  return layer->spec;
}

ReferenceSums run(const std::string& text, const std::vector<float>& input, int64_t steps, int64_t channels,
                  const std::vector<std::vector<float>>& weights) {
  const std::vector<Number> numbers = exact_numbers(input);
  const std::vector<std::span<const float>> spans(weights.begin(), weights.end());
  return reference_sums(spec_of(text), {numbers, spans, 1, steps, channels});
}

// The exact values, which are those of the strict order where all are small integers.
std::vector<double> values_of(const ReferenceSums& sums) {
  std::vector<double> values;
  for (const Number& number : sums.values) {
    EXPECT_EQ(double{number.strict}, number.exact);
    values.push_back(number.exact);
  }
  return values;
}

// One filter over 1, 2, 3, 4, 5 of one channel.
std::vector<double> sums_of(const std::string& text, const std::vector<float>& kernel,
                            const std::vector<float>& bias = {}) {
  return values_of(run(text, {1, 2, 3, 4, 5}, 5, 1, {kernel, bias}));
}

TEST(Reference, FollowsKerasPadding) {
  EXPECT_THAT(sums_of("Conv1D(1, 3, use_bias=False)", {1, 10, 100}), ElementsAre(321, 432, 543));
  EXPECT_THAT(sums_of("Conv1D(1, 3, padding='same', use_bias=False)", {1, 10, 100}),
              ElementsAre(210, 321, 432, 543, 54));
  EXPECT_THAT(sums_of("Conv1D(1, 2, padding='same', use_bias=False)", {1, 10}),
              ElementsAre(21, 32, 43, 54, 5));
  EXPECT_THAT(sums_of("Conv1D(1, 3, padding='causal', use_bias=False)", {1, 10, 100}),
              ElementsAre(100, 210, 321, 432, 543));
  EXPECT_THAT(sums_of("Conv1D(1, 2, padding=(3, 1), use_bias=False)", {1, 10}),
              ElementsAre(0, 0, 10, 21, 32, 43, 54, 5));
}

TEST(Reference, FollowsStrideAndDilation) {
  EXPECT_THAT(sums_of("Conv1D(1, 2, strides=2, use_bias=False)", {1, 10}), ElementsAre(21, 43));
  // Three outputs see five steps and no zero; four steps of zeros would be needed for dilation 2.
  EXPECT_THAT(sums_of("Conv1D(1, 3, strides=2, padding='same', use_bias=False)", {1, 10, 100}),
              ElementsAre(210, 432, 54));
  EXPECT_THAT(sums_of("Conv1D(1, 2, dilation_rate=3, use_bias=False)", {1, 10}), ElementsAre(41, 52));
  EXPECT_THAT(sums_of("Conv1D(1, 2, dilation_rate=3, padding='causal')", {1, 10}, {0.5F}),
              ElementsAre(10.5, 20.5, 30.5, 41.5, 52.5));
  EXPECT_THAT(sums_of("Conv1D(1, 6, use_bias=False)", {1, 1, 1, 1, 1, 1}), IsEmpty());
}

TEST(Reference, KnowsBothLayoutsAndGroups) {
  // Two steps of channels (1, 2) and (3, 4); one tap; each group has one channel and two filters.
  const std::vector<float> kernel = {1, 10, 100, 1000};
  const auto last = run("Conv1D(4, 1, groups=2, use_bias=False)", {1, 2, 3, 4}, 2, 2, {kernel});
  EXPECT_THAT(values_of(last), ElementsAre(1, 10, 200, 2000, 3, 30, 400, 4000));
  const auto first = run("Conv1D(4, 1, groups=2, use_bias=False, data_format='channels_first')", {1, 3, 2, 4},
                         2, 2, {kernel});
  EXPECT_THAT(values_of(first), ElementsAre(1, 3, 10, 30, 200, 400, 2000, 4000));
}

// Rows that Keras gives for x = 1, 1, 1 and the kernel 1, 2, .. (docs: the oracle of transposed layers).
TEST(Reference, ScattersLikeKeras) {
  const auto row = [](int taps, int stride, const std::string& padding, const std::string& more) {
    std::vector<float> kernel;
    for (int i = 1; i <= taps; ++i) kernel.push_back(static_cast<float>(i));
    return values_of(run("Conv1DTranspose(1, " + std::to_string(taps) +
                             ", strides=" + std::to_string(stride) + ", padding='" + padding +
                             "', output_padding=" + more + ", use_bias=False)",
                         {1, 1, 1}, 3, 1, {kernel}));
  };
  EXPECT_THAT(row(1, 2, "valid", "None"), ElementsAre(1, 0, 1, 0, 1, 0));
  EXPECT_THAT(row(2, 3, "valid", "None"), ElementsAre(1, 2, 0, 1, 2, 0, 1, 2, 0));
  EXPECT_THAT(row(3, 1, "same", "None"), ElementsAre(3, 6, 5));
  EXPECT_THAT(row(4, 1, "same", "None"), ElementsAre(3, 6, 9));
  EXPECT_THAT(row(3, 2, "valid", "1"), ElementsAre(1, 2, 4, 2, 4, 2, 3, 0));
  EXPECT_THAT(row(3, 2, "same", "0"), ElementsAre(2, 4, 2, 4, 2));
  EXPECT_THAT(row(3, 2, "same", "1"), ElementsAre(1, 2, 4, 2, 4, 2));
  EXPECT_THAT(row(4, 2, "same", "0"), ElementsAre(4, 6, 4, 6));
  EXPECT_THAT(row(2, 3, "same", "2"), ElementsAre(1, 2, 0, 1, 2, 0, 1, 2));
  EXPECT_THAT(row(4, 4, "valid", "3"), ElementsAre(1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4, 0, 0, 0));
  // Three steps of 1, 10 at the places 0, 2; 1, 3; 2, 4, with dilation 2, cropped by one step on each side.
  EXPECT_THAT(sums_of("Conv1DTranspose(1, 2, dilation_rate=2, padding=(1, 1), use_bias=False)", {1, 10}),
              ElementsAre(2, 13, 24, 35, 40));
}

TEST(Reference, KnowsTheKernelsOfAllKinds) {
  // Transposed kernels are (taps, filters, channels).
  EXPECT_THAT(values_of(run("Conv1DTranspose(2, 1, use_bias=False)", {1, 2}, 1, 2, {{1, 10, 100, 1000}})),
              ElementsAre(21, 2100));
  // Two channels with two filters each.
  EXPECT_THAT(values_of(run("DepthwiseConv1D(1, depth_multiplier=2, use_bias=False)", {1, 2}, 1, 2,
                            {{1, 10, 100, 1000}})),
              ElementsAre(1, 10, 200, 2000));
  EXPECT_THAT(values_of(run("SeparableConv1D(1, 2, padding='causal')", {1, 2, 3, 4}, 2, 2,
                            {{1, 10, 100, 1000}, {1, 2}, {5}})),
              // The middle is (100, 2000), (301, 4020).
              ElementsAre(100 + 4000 + 5, 301 + 8040 + 5));
  EXPECT_THAT(values_of(run("Dense(2)", {1, 2}, 1, 2, {{1, 10, 100, 1000}, {3, 4}})), ElementsAre(204, 2014));
}

TEST(Reference, KnowsErrors) {
  const auto sums = run("Conv1D(1, 2)", {1, -2}, 2, 1, {{-3, 4}, {-5}});
  EXPECT_THAT(values_of(sums), ElementsAre(-16));
  EXPECT_DOUBLE_EQ(error_factor(1), 2 * 0x1p-24 / (1 - 2 * 0x1p-24));
  EXPECT_DOUBLE_EQ(sums.values[0].error, error_factor(2) * 16 + error_floor(2));
  // The middle of two stages brings its own error along.
  const auto two = run("SeparableConv1D(1, 1, use_bias=False)", {3}, 1, 1, {{0.1F}, {-7}});
  const double middle = 3 * double{0.1F};
  EXPECT_DOUBLE_EQ(two.values[0].exact, -7 * middle);
  const double carried = error_factor(1) * middle + error_floor(1);
  EXPECT_DOUBLE_EQ(two.values[0].error,
                   7 * carried + error_factor(1) * 7 * (middle + carried) + error_floor(1));
  EXPECT_NE(double{two.values[0].strict}, two.values[0].exact);
  EXPECT_TRUE(is_within(two.values[0].strict, two.values[0]));
}

TEST(Reference, KnowsRowsOfKeras) {
  const auto row = [](ActivationKind kind, const std::vector<float>& x) {
    std::vector<Number> numbers = exact_numbers(x);
    activate_row(kind, numbers);
    std::vector<double> values;
    for (const Number& number : numbers) values.push_back(number.exact);
    return values;
  };
  using testing::DoubleNear;
  EXPECT_THAT(row(ActivationKind::kSoftmax, {0, 0, 0, 0}), ElementsAre(0.25, 0.25, 0.25, 0.25));
  EXPECT_THAT(row(ActivationKind::kLogSoftmax, {1, 1}),
              ElementsAre(DoubleNear(-std::log(2.0), 1e-15), DoubleNear(-std::log(2.0), 1e-15)));
  // Not the published function: the running sums 1 and 2 give tau = (3 - 1) / 2.
  EXPECT_THAT(row(ActivationKind::kSparsemax, {1, 1, -5}), ElementsAre(0, 0, 0));
  EXPECT_THAT(row(ActivationKind::kSparsemax, {-0.25F, -0.5F, -9}), ElementsAre(0.75, 0.5, 0));
  EXPECT_DOUBLE_EQ(gate({3, 0, 3}, {0, 0, 0}).exact, 1.5);
}

TEST(Reference, DoesNotKnowWhatErrorsDecide) {
  // Whether the second one is in the support depends on the last bit.
  std::vector<Number> close = {{2, 1e-3, 0}, {1, 1e-3, 0}};
  activate_row(ActivationKind::kSparsemax, close);
  EXPECT_TRUE(std::isinf(close[0].error));
  const Number jump = activate({ActivationKind::kHardShrink, {1}}, {1, 1e-6, 0});
  EXPECT_GT(jump.error, 0.9);
  const Number smooth = activate({ActivationKind::kTanh, {}}, {0.5, 1e-6, 0});
  EXPECT_LT(smooth.error, 3e-6);
  EXPECT_GT(smooth.error, 5e-7);
}

TEST(Reference, MeasuresUlp) {
  EXPECT_EQ(ulp_error(1.0F, 1.0), 0);
  EXPECT_DOUBLE_EQ(ulp_error(1.0F + 0x1p-23F, 1.0), 1);
  EXPECT_DOUBLE_EQ(ulp_error(1.0F - 0x1p-24F, 1.0), 0.5);
  EXPECT_EQ(ulp_error(std::numeric_limits<float>::quiet_NaN(), std::nan("")), 0);
  EXPECT_EQ(ulp_error(1.0F, std::nan("")), std::numeric_limits<double>::infinity());
  EXPECT_EQ(ulp_error(std::numeric_limits<float>::infinity(), 1e60), 0);
}

TEST(Reference, KnowsKerasValuesOfActivations) {
  using Kind = ActivationKind;
  EXPECT_NEAR(reference_activation({Kind::kSelu, {}}, -2.6), -1.627519, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kMish, {}}, 3), 2.986535, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kGelu, {}}, -1), -0.158655, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kGeluTanh, {}}, -1), -0.158808, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kHardSigmoidKeras2, {}}, -1), 0.3, 1e-12);
  EXPECT_EQ(reference_activation(make_relu(0.5F, 4, 1), 1), 0);
  EXPECT_EQ(reference_activation(make_relu(0.5F, 4, 1), -1), -1);
  EXPECT_EQ(reference_activation(make_relu(0.5F, 4, 1), 9), 4);
}

// x -> 2 x + 1 by a convolution -> batch normalization (mean 3, variance 4, epsilon 0) -> + x -> mean of all.
TEST(ReferenceModel, EvaluatesLayersInTheOrderOfTheirCalls) {
  ModelSpec model;
  LayerSpec conv = spec_of("Conv1D(1, 1)");
  model.layers = {{"in", "InputLayer", InputOp{{std::nullopt, 1}}, {}},
                  {"conv", "Conv1D", conv, {{{1, 1, 1}, {2}}, {{1}, {1}}}},
                  {"norm",
                   "BatchNormalization",
                   BatchNormOp{.epsilon = 0, .center = false, .scale = false},
                   {{{1}, {3}}, {{1}, {4}}}},
                  {"add", "Add", MergeOp{}, {}},
                  {"pool", "GlobalAveragePooling1D", GlobalPoolOp{.average = true}, {}}};
  model.nodes = {{0, {}}, {1, {0}}, {2, {1}}, {3, {2, 0}}, {4, {3}}};
  model.inputs = {0};
  model.outputs = {3, 4};
  const auto outputs = reference_outputs(model, {{{1, 3, 1}, exact_numbers(std::vector<float>{1, 2, 6})}});
  std::vector<double> sums;
  for (const Number& number : outputs[0].values) sums.push_back(number.exact);
  EXPECT_THAT(sums, ElementsAre(1, 3, 11));
  EXPECT_THAT(outputs[1].shape, ElementsAre(1, 1));
  EXPECT_DOUBLE_EQ(outputs[1].values[0].exact, 5);
  EXPECT_GT(outputs[1].values[0].error, 0);
  EXPECT_LT(outputs[1].values[0].error, 1e-5);
}

}  // namespace
}  // namespace convsmith::cli
