// Derived sizes, limits, empty outputs and weights; specs made by hand pass the same checks as text.
#include "frontend/keras/make_problem.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <limits>

#include "convsmith/activation.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/keras/weight_shapes.hpp"

namespace convsmith {
namespace {

std::string message(const LayerSpec& spec, const Shape& shape, Rules rules = Rules::kCommon) {
  Result<Problem> problem = make_problem(spec, shape, rules);
  EXPECT_FALSE(problem.has_value());
  return problem ? "" : problem.error().message;
}

TEST(Problem, PaddingSplits) {
  struct Row {
    int64_t steps, taps, stride, dilation, outputs, left;
  };
  for (const Row& row : {Row{10, 3, 1, 1, 10, 1},
                         {10, 4, 1, 1, 10, 1},
                         {10, 3, 2, 1, 5, 0},
                         {9, 3, 2, 1, 5, 1},
                         {10, 5, 2, 1, 5, 1},
                         {9, 5, 2, 1, 5, 2},
                         {10, 2, 3, 1, 4, 0},
                         {11, 2, 3, 1, 4, 0},
                         {1, 5, 1, 1, 1, 2},
                         {5, 3, 1, 2, 5, 2},
                         {5, 2, 1, 3, 5, 1},
                         {7, 1, 2, 1, 4, 0}}) {
    const Problem same{.taps = row.taps,
                       .stride = row.stride,
                       .dilation = row.dilation,
                       .activation = {},
                       .after = {},
                       .pad_same = true};
    EXPECT_EQ(same.output_steps(row.steps), row.outputs);
    EXPECT_EQ(same.left_padding(row.steps), row.left);
  }
}

RC_GTEST_PROP(ProblemProperty, LengthsFollowTheFormulas, ()) {
  const auto taps = *rc::gen::inRange<int64_t>(1, 9), stride = *rc::gen::inRange<int64_t>(1, 9);
  const auto dilation = *rc::gen::inRange<int64_t>(1, 9), steps = *rc::gen::inRange<int64_t>(0, 60);
  const int64_t span = (taps - 1) * dilation + 1;
  LayerSpec spec{.filters = 1, .kernel_size = taps, .strides = stride, .dilation_rate = dilation};
  auto made = [&](Padding padding) {
    spec.padding = padding;
    return make_problem(spec, {1, std::nullopt, 1}, Rules::kAny).value();
  };
  const int64_t rounded = (steps + stride - 1) / stride;
  RC_ASSERT(made(Padding::kSame).output_steps(steps) == rounded);
  RC_ASSERT(made(Padding::kCausal).output_steps(steps) == rounded);
  RC_ASSERT(made(Padding::kCausal).left_padding(steps) == span - 1);
  RC_ASSERT(made(Padding::kValid).output_steps(steps) == (steps < span ? 0 : (steps - span) / stride + 1));
  if (steps > 0) {
    const int64_t total = std::max<int64_t>((rounded - 1) * stride + span - steps, 0);
    RC_ASSERT(made(Padding::kSame).left_padding(steps) == total / 2);
  }
}

// The table of lengths and alignments, written down once more in its own words.
RC_GTEST_PROP(ProblemProperty, TransposedLengthsFollowTheTables, ()) {
  const auto taps = *rc::gen::inRange<int64_t>(1, 9), stride = *rc::gen::inRange<int64_t>(1, 9);
  const auto dilation = *rc::gen::inRange<int64_t>(1, 9), steps = *rc::gen::inRange<int64_t>(0, 60);
  const auto more = *rc::gen::inRange<int64_t>(-1, 9);
  const bool same = *rc::gen::arbitrary<bool>();
  LayerSpec spec{.kind = LayerKind::kConv1DTranspose,
                 .filters = 2,
                 .kernel_size = taps,
                 .strides = stride,
                 .padding = same ? Padding::kSame : Padding::kValid,
                 .dilation_rate = dilation};
  if (more >= 0) spec.output_padding = more;
  const Problem problem = make_problem(spec, {1, std::nullopt, 3}, Rules::kAny).value();
  const int64_t ke = (taps - 1) * dilation + 1;
  int64_t length = 0, left = 0;
  if (same && more < 0) {
    length = steps * stride;
    left = std::max<int64_t>(ke - stride, 0) / 2;
  } else if (same) {
    length = (steps - 1) * stride + ke % 2 + more;
    left = std::max<int64_t>(2 * (ke / 2) - more, 0) / 2;
  } else {
    length = more < 0 ? steps * stride + std::max<int64_t>(ke - stride, 0) : (steps - 1) * stride + ke + more;
  }
  RC_ASSERT(problem.transposed);
  RC_ASSERT(problem.output_steps(steps) == std::max<int64_t>(length, 0));
  RC_ASSERT(problem.left_padding(steps) == left);
}

TEST(MakeProblem, ExplicitCroppingUnderAny) {
  LayerSpec spec{.kind = LayerKind::kConv1DTranspose,
                 .filters = 2,
                 .kernel_size = 4,
                 .strides = 2,
                 .padding = Padding::kExplicit,
                 .pad_left = 1,
                 .pad_right = 1};
  EXPECT_EQ(make_problem(spec, {1, 10, 3}, Rules::kAny)->output_steps(10), 20);
  EXPECT_EQ(make_problem(spec, {1, 10, 3}, Rules::kAny)->left_padding(10), 1);
  spec.output_padding = 1;  // as in PyTorch: one step more on the right
  EXPECT_EQ(make_problem(spec, {1, 10, 3}, Rules::kAny)->output_steps(10), 21);
  EXPECT_EQ(make_problem(spec, {1, 10, 3}, Rules::kAny)->left_padding(10), 1);
  spec.pad_left = 30;
  EXPECT_FALSE(make_problem(spec, {1, 10, 3}, Rules::kAny).has_value());
}

LayerSpec parse(std::string_view text) {
  return parse_layer(text, Rules::kAny).value().spec;
}

TEST(MakeLayerProblem, Depthwise) {
  const LayerSpec spec = parse("DepthwiseConv1D(3, depth_multiplier=2, activation='tanh')");
  const LayerProblem layer = make_layer_problem(spec, {2, 9, 5}).value();
  ASSERT_EQ(layer.chain.size(), 1U);
  EXPECT_EQ(layer.chain[0].groups, 5);
  EXPECT_EQ(layer.chain[0].filters, 10);
  EXPECT_EQ(layer.chain[0].activation.kind, ActivationKind::kTanh);
  EXPECT_EQ(output_shape(layer, {2, 9, 5}).value(), (Shape{2, 7, 10}));
  EXPECT_EQ(make_problem(spec, {2, 9, 5}).value(), layer.chain[0]);
  EXPECT_EQ(
      make_layer_problem(parse("DepthwiseConv1D(1, depth_multiplier=2147483647)"), {1, 1, 2}).error().message,
      "The number of input channels times `depth_multiplier` must be at most 2147483647, got 2 channels and "
      "depth_multiplier=2147483647.");
}

TEST(MakeLayerProblem, SeparableIsTwoProblems) {
  const LayerSpec spec = parse("SeparableConv1D(4, 3, depth_multiplier=2, activation='relu')");
  const LayerProblem layer = make_layer_problem(spec, {2, 9, 5}).value();
  ASSERT_EQ(layer.chain.size(), 2U);
  EXPECT_EQ(layer.chain[0].filters, 10);
  EXPECT_FALSE(layer.chain[0].has_bias);
  EXPECT_EQ(layer.chain[0].activation, Activation{});
  EXPECT_EQ(layer.chain[1].channels, 10);
  EXPECT_EQ(layer.chain[1].filters, 4);
  EXPECT_EQ(layer.chain[1].taps, 1);
  EXPECT_TRUE(layer.chain[1].has_bias);
  EXPECT_EQ(layer.chain[1].activation, make_relu());
  EXPECT_EQ(make_problem(spec, {2, 9, 5}).error().message,
            "SeparableConv1D is not supported where a layer is compiled to one kernel.");
  EXPECT_EQ(make_problem(spec, {2, 9, 5}).error().code, ErrorCode::kUnsupported);
}

TEST(MakeLayerProblem, DenseTakesAnyRank) {
  const LayerSpec spec = parse("Dense(4, input_shape=(7,))");
  const LayerProblem layer = make_layer_problem(spec).value();
  EXPECT_EQ(layer.chain.front().channels, 7);
  EXPECT_EQ(layer.chain.front().taps, 1);
  EXPECT_EQ(output_shape(layer, {3, 7}).value(), (Shape{3, 4}));
  EXPECT_EQ(output_shape(layer, {std::nullopt, 5, 6, 7}).value(), (Shape{std::nullopt, 5, 6, 4}));
  EXPECT_EQ(output_shape(layer, {2, 0, 7}).value(), (Shape{2, 0, 4}));
  EXPECT_TRUE(make_layer_problem(spec, {2, 0, 7}, Rules::kKeras3).has_value());
  EXPECT_EQ(output_shape(layer, {3, 8}).error().message,
            "Axis 1 of the input must be 7 channels, got (3, 8).");
  EXPECT_EQ(output_shape(layer, {7}).error().message,
            "The input must have at least 2 axes (batch, features), got (7,).");
}

TEST(MakeLayerProblem, RowActivations) {
  const LayerProblem last =
      make_layer_problem(parse("Conv1D(6, 3, activation='softmax')"), {2, 9, 5}).value();
  ASSERT_TRUE(last.row.has_value());
  EXPECT_EQ(last.row->kind, ActivationKind::kSoftmax);
  EXPECT_EQ(last.chain[0].activation, Activation{});
  EXPECT_EQ(make_problem(parse("Dense(6, activation='softmax')"), {2, 5}).error().message,
            "`activation` 'softmax' is not supported where a layer is compiled to one kernel.");
  const LayerSpec glu = parse("Conv1D(6, 3, activation='glu')");
  LayerSpec first = glu;
  first.data_format = DataFormat::kChannelsFirst;
  EXPECT_EQ(output_shape(make_layer_problem(glu, {2, 9, 5}).value(), {2, 9, 5}).value(), (Shape{2, 7, 3}));
  // Channels first: the last axis is that of steps.
  EXPECT_EQ(output_shape(make_layer_problem(first, {2, 5, 10}).value(), {2, 5, 10}).value(),
            (Shape{2, 6, 4}));
  EXPECT_EQ(make_layer_problem(first, {2, 5, 9}).error().message,
            "`activation` 'glu' halves the last axis of the output, which must be even, got (2, 6, 7).");
  EXPECT_TRUE(make_layer_problem(first, {2, 5, std::nullopt}).has_value());
}

TEST(MakeLayerProblem, RanksByGeneration) {
  for (const char* text : {"Conv1DTranspose(4, 3)", "DepthwiseConv1D(3)", "SeparableConv1D(4, 3)"}) {
    const LayerSpec spec = parse(text);
    const Shape shape{2, 3, 9, 5};
    EXPECT_FALSE(make_layer_problem(spec, shape, Rules::kKeras3).has_value()) << text;
    EXPECT_EQ(make_layer_problem(spec, shape, Rules::kKeras2).error().message,
              "The input must have exactly 3 axes in Keras 2, got (2, 3, 9, 5).");
    EXPECT_TRUE(make_layer_problem(spec, shape, Rules::kCommon).has_value()) << text;
  }
}

TEST(MakeLayerProblem, TransposedLengthsStayInBounds) {
  const LayerSpec spec = parse("Conv1DTranspose(1, 1, strides=2147483647)");
  EXPECT_EQ(make_layer_problem(spec, {1, kMaxAxis, 1}, Rules::kAny).error().message,
            "The output must have fewer than 1099511627776 steps, got strides=2147483647 and the input (1, "
            "1099511627776, 1).");
  EXPECT_TRUE(make_layer_problem(spec, {1, 100, 1}, Rules::kAny).has_value());
}

TEST(MakeLayerProblem, EmptyTransposedOutputs) {
  const LayerSpec spec = parse("Conv1DTranspose(1, 2, padding='same', output_padding=0)");
  EXPECT_TRUE(make_layer_problem(spec, {1, 1, 1}, Rules::kKeras3).has_value());
  EXPECT_FALSE(make_layer_problem(spec, {1, 1, 1}, Rules::kCommon).has_value());
  EXPECT_TRUE(make_layer_problem(spec, {1, 0, 1}, Rules::kCommon).has_value());
}

TEST(CheckSpec, ArgumentsOfOtherKindsAreRefused) {
  LayerSpec dense{.kind = LayerKind::kDense, .filters = 4, .strides = 2};
  EXPECT_EQ(check_spec(dense, Rules::kCommon).error().message,
            "`strides` is no argument of Dense and must be left at its default.");
  LayerSpec conv{.filters = 4, .kernel_size = 3, .depth_multiplier = 2};
  EXPECT_EQ(check_spec(conv, Rules::kCommon).error().message,
            "`depth_multiplier` is no argument of Conv1D and must be left at its default.");
}

TEST(CheckSpec, AxesMadeByHand) {
  LayerSpec spec{.filters = 4, .kernel_size = 3, .activation = {ActivationKind::kSoftmax, {0.5F}}};
  EXPECT_EQ(check_spec(spec, Rules::kCommon).error().message,
            "`activation` 'softmax' has the axis 0.5, which must be an integer from -64 to 64.");
}

TEST(MakeProblem, TakesAxesByDataFormat) {
  const LayerSpec last{.filters = 6, .kernel_size = 3, .groups = 2};
  LayerSpec first = last;
  first.data_format = DataFormat::kChannelsFirst;
  EXPECT_EQ(make_problem(last, {2, 18, 4})->channels, 4);
  EXPECT_EQ(make_problem(first, {2, 18, 4})->channels, 18);
  EXPECT_EQ(output_shape(*make_problem(last, {2, 5, 18, 4}), {2, 5, 18, 4}).value(), (Shape{2, 5, 16, 6}));
  EXPECT_EQ(output_shape(*make_problem(first, {2, 4, 18}), {std::nullopt, 4, std::nullopt}).value(),
            (Shape{std::nullopt, 6, std::nullopt}));
}

TEST(MakeProblem, ExplicitPaddingUnderAny) {
  const LayerSpec spec{.filters = 2,
                       .kernel_size = 3,
                       .strides = 2,
                       .padding = Padding::kExplicit,
                       .pad_left = 4,
                       .pad_right = 1,
                       .dilation_rate = 2,
                       .input_shape = {7, 5}};
  const Problem problem = make_problem(spec, Rules::kAny).value();
  EXPECT_EQ(problem.left_padding(7), 4);
  EXPECT_EQ(problem.output_steps(7), 4);
  EXPECT_EQ(message(spec, {1, 7, 5}).substr(0, 14), "`strides` > 1 ");
}

TEST(MakeProblem, EmptyOutputs) {
  const LayerSpec valid{.filters = 6, .kernel_size = 5};
  LayerSpec same = valid, causal = valid;
  same.padding = Padding::kSame;
  causal.padding = Padding::kCausal;
  EXPECT_EQ(
      message(valid, {2, 4, 3}),
      "The output would be empty: the kernel reaches over 5 steps (kernel_size=5, dilation_rate=1), and the "
      "input is (2, 4, 3).");
  EXPECT_FALSE(make_problem(valid, {2, 4, 3}, Rules::kAny).has_value());
  EXPECT_TRUE(make_problem(valid, {2, 4, 3}, Rules::kKeras2).has_value());
  EXPECT_FALSE(make_problem(valid, {std::nullopt, 4, 3}, Rules::kKeras2).has_value());
  EXPECT_TRUE(make_problem(valid, {0, 5, 3}).has_value());
  for (const Rules rules : {Rules::kCommon, Rules::kAny, Rules::kKeras2}) {
    EXPECT_TRUE(make_problem(same, {2, 0, 3}, rules).has_value());
    EXPECT_TRUE(make_problem(causal, {2, 0, 3}, rules).has_value());
  }
  EXPECT_FALSE(make_problem(causal, {2, 0, 3}, Rules::kKeras3).has_value());
  EXPECT_TRUE(make_problem(same, {2, 0, 3}, Rules::kKeras3).has_value());
}

TEST(MakeProblem, InputMessages) {
  const LayerSpec spec{.filters = 6, .kernel_size = 3, .groups = 3};
  EXPECT_EQ(message(spec, {18, 3}),
            "The input must have at least 3 axes (batch, steps, channels), got (18, 3).");
  EXPECT_EQ(message(spec, {2, 3, 18, 3}, Rules::kKeras3),
            "The input must have exactly 3 axes in Keras 3, got (2, 3, 18, 3).");
  EXPECT_EQ(message(spec, {2, 18, std::nullopt}),
            "The channel axis of the input must be known, got (2, 18, None).");
  EXPECT_EQ(message(spec, {2, 18, 0}), "The input must have from 1 to 2147483647 channels, got (2, 18, 0).");
  EXPECT_EQ(message(spec, {2, 18, 4}),
            "The number of input channels must be divisible by `groups`, got 4 channels and groups=3.");
  EXPECT_EQ(message(spec, {2, -1, 3}),
            "Each axis of the input must be from 0 to 1099511627776, got (2, -1, 3).");
  EXPECT_EQ(make_problem(spec).error().message,
            "The layer has no `input_shape`, so the number of channels is unknown.");
}

TEST(MakeProblem, HandMadeSpecsAreChecked) {
  const Shape shape{1, 100, 4};
  LayerSpec good{.filters = 4, .kernel_size = 3};
  ASSERT_TRUE(make_problem(good, shape).has_value());
  auto with = [&](auto change, Rules rules = Rules::kCommon) {
    LayerSpec spec = good;
    change(spec);
    return message(spec, shape, rules);
  };
  EXPECT_EQ(message(LayerSpec{}, shape), "`filters` must be an integer from 1 to 2147483647, got 0.");
  EXPECT_EQ(with([](LayerSpec& s) { s.strides = -1; }),
            "`strides` must be an integer from 1 to 2147483647, got -1.");
  EXPECT_EQ(with([](LayerSpec& s) { s.groups = 0; }),
            "`groups` must be an integer from 1 to 2147483647, got 0.");
  EXPECT_EQ(with([](LayerSpec& s) { s.pad_left = 1; }),
            "`padding` must be explicit to have 1 and 0 steps, but is valid, same or causal.");
  EXPECT_EQ(with([](LayerSpec& s) { s.kernel_initializer = {"Xavier"}; }),
            "`kernel_initializer`: unknown initializer 'Xavier'. Xavier's are 'glorot_uniform' and "
            "'glorot_normal' here.");
  EXPECT_EQ(with([](LayerSpec& s) {
              s.kernel_regularizer = Regularizer{"L2", {{"l3", 0.5}}};
            }),
            "`kernel_regularizer`: L2 has no parameter `l3`.");
  EXPECT_EQ(with([](LayerSpec& s) {
              s.kernel_regularizer = Regularizer{"L2", {{"l2", "much"}}};
            }),
            "`kernel_regularizer`: l2 of L2 cannot be 'much'.");
  EXPECT_EQ(with([](LayerSpec& s) { s.activation = make_relu(std::numeric_limits<float>::quiet_NaN()); }),
            "`activation` 'relu' has the parameter nan, which must be a finite number.");
  EXPECT_EQ(with([](LayerSpec& s) { s.activation = {ActivationKind::kMish}, s.dtype = "float16"; }),
            "`dtype` 'float16' is not supported; layers compute in float32.");
  EXPECT_EQ(with(
                [](LayerSpec& s) {
                  s.activation = {ActivationKind::kCelu, {1}};
                },
                Rules::kKeras2),
            "`activation` 'celu' is no activation of Keras 2.");
}

TEST(MakeProblem, HugeSizesGiveASentence) {
  const int64_t max = kMaxSize;
  const LayerSpec wide{.filters = max, .kernel_size = 3};
  EXPECT_EQ(
      message(wide, {1, 10, 1024}),
      "The layer is too large: kernel_size * channels / groups * filters must stay below 1099511627776, got "
      "kernel_size=3, strides=1, dilation_rate=1, filters=2147483647 and 1024 channels.");
  EXPECT_TRUE(make_problem(wide, {1, 10, 100}).has_value());
  for (const LayerSpec& spec :
       {LayerSpec{.filters = max, .kernel_size = max, .strides = max, .dilation_rate = max},
        LayerSpec{.filters = 1, .kernel_size = max, .padding = Padding::kCausal, .dilation_rate = max},
        LayerSpec{.filters = 1, .kernel_size = 1, .strides = max},
        LayerSpec{.filters = 1, .kernel_size = 1, .padding = Padding::kExplicit, .pad_left = max}}) {
    EXPECT_EQ(message(spec, {1, std::nullopt, max}, Rules::kAny).substr(0, 23), "The layer is too large:");
  }
  LayerSpec spec{.filters = std::numeric_limits<int64_t>::max(), .kernel_size = 1};
  EXPECT_EQ(message(spec, {1, 1, 1}),
            "`filters` must be an integer from 1 to 2147483647, got 9223372036854775807.");
}

TEST(CheckWeights, NamesExpectedAndFound) {
  const Problem problem = make_problem({.filters = 4, .kernel_size = 3, .groups = 2}, {2, 9, 6}).value();
  const int64_t kernel[] = {3, 3, 4}, turned[] = {3, 4, 3}, bias[] = {4}, long_bias[] = {5};
  EXPECT_TRUE(check_weights(problem, kernel, bias).has_value());
  EXPECT_EQ(
      check_weights(problem, turned, bias).error().message,
      "The kernel must have the shape (3, 3, 4) = (kernel_size, channels / groups, filters), got (3, 4, 3).");
  EXPECT_EQ(check_weights(problem, kernel, long_bias).error().message,
            "The bias must have the shape (4), got (5).");
  EXPECT_EQ(check_weights(problem, kernel, std::nullopt).error().message,
            "The bias of shape (4) is missing; the layer has use_bias=True.");
  Problem no_bias = problem;
  no_bias.has_bias = false;
  EXPECT_TRUE(check_weights(no_bias, kernel, std::nullopt).has_value());
  EXPECT_EQ(check_weights(no_bias, kernel, bias).error().message,
            "The layer has use_bias=False, got a bias of shape (4).");
}

TEST(CheckWeights, NamesWeightsOfALayer) {
  const LayerSpec spec = parse("SeparableConv1D(4, 3, depth_multiplier=2)");
  using Shapes = std::vector<std::vector<int64_t>>;
  const Shapes good{{3, 5, 2}, {1, 10, 4}, {4}}, turned{{3, 5, 2}, {1, 4, 10}, {4}}, short_one{{3, 5, 2}};
  EXPECT_TRUE(check_weights(spec, 5, good).has_value());
  EXPECT_EQ(
      check_weights(spec, 5, turned).error().message,
      "The weight `pointwise_kernel` of SeparableConv1D must have the shape (1, 10, 4), got (1, 4, 10).");
  EXPECT_EQ(
      check_weights(spec, 5, short_one).error().message,
      "SeparableConv1D with use_bias=True has 3 weights (depthwise_kernel, pointwise_kernel, bias), got 1.");
  const Problem problem = make_problem(parse("Conv1DTranspose(4, 3)"), {2, 9, 6}).value();
  const int64_t kernel[] = {3, 4, 6}, conv_kernel[] = {3, 6, 4}, bias[] = {4};
  EXPECT_TRUE(check_weights(problem, kernel, bias).has_value());
  EXPECT_EQ(check_weights(problem, conv_kernel, bias).error().message,
            "The kernel must have the shape (3, 4, 6) = (kernel_size, filters, channels), got (3, 6, 4).");
}

TEST(OutputShape, RefusesOtherChannels) {
  const Problem problem = make_problem({.filters = 4, .kernel_size = 3}, {2, 9, 3}).value();
  EXPECT_EQ(output_shape(problem, {2, 9, 4}).error().message,
            "Axis 2 of the input must be 3 channels, got (2, 9, 4).");
  EXPECT_EQ(output_shape(problem, {1, 2, 3}).value(), (Shape{1, 0, 4}));
}

}  // namespace
}  // namespace convsmith
