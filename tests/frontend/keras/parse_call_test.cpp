// Call text: what users type, what it means, and what the errors say.
#include "frontend/keras/parse_call.hpp"

#include <gtest/gtest.h>

#include <limits>

#include "convsmith/activation.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/keras/parse_value.hpp"

namespace convsmith {
namespace {

LayerSpec parse(std::string_view text, Rules rules = Rules::kCommon) {
  Result<ParsedLayer> layer = parse_layer(text, rules);
  EXPECT_TRUE(layer.has_value()) << text << "\n" << (layer ? "" : layer.error().message);
  return layer ? layer->spec : LayerSpec{};
}

std::string message(std::string_view text, Rules rules = Rules::kCommon) {
  Result<ParsedLayer> layer = parse_layer(text, rules);
  EXPECT_FALSE(layer.has_value()) << text;
  return layer ? "" : layer.error().message;
}

Activation activation(std::string_view value, Rules rules = Rules::kCommon) {
  return parse("Conv1D(4, 3, activation=" + std::string(value) + ")", rules).activation;
}

TEST(ParseCall, DocumentationExample) {
  const LayerSpec spec = parse("Conv1D(32, 3, activation='relu', input_shape=(10, 128))");
  EXPECT_EQ(spec, (LayerSpec{
                      .filters = 32, .kernel_size = 3, .activation = make_relu(), .input_shape = {10, 128}}));
  const Problem problem = make_problem(spec).value();
  EXPECT_EQ(problem.channels, 128);
  EXPECT_EQ(output_shape(problem, {4, 10, 128}).value(), (Shape{4, 8, 32}));
}

TEST(ParseCall, EveryArgument) {
  const LayerSpec spec = parse(
      "tf.keras.layers.Conv1D(8, (5,), strides=[2], padding=\"SAME\", data_format='Channels_First', "
      "dilation_rate=1,\n"
      "  groups=2, activation=tf.nn.tanh, use_bias=False, kernel_initializer='he_normal',  # comment\n"
      "  bias_initializer=keras.initializers.Constant(0.5), "
      "kernel_regularizer=keras.regularizers.l1_l2(l1=0.01, l2=0.02),\n"
      "  bias_regularizer='l2', activity_regularizer=None, kernel_constraint=MaxNorm(3, axis=[0, 1]),\n"
      "  bias_constraint='non_neg', name='stem', batch_input_shape=(4, 128, None), dtype=tf.float32, "
      "trainable=False,)");
  const LayerSpec expected{
      .filters = 8,
      .kernel_size = 5,
      .strides = 2,
      .padding = Padding::kSame,
      .data_format = DataFormat::kChannelsFirst,
      .groups = 2,
      .activation = {ActivationKind::kTanh},
      .use_bias = false,
      .kernel_initializer = {"HeNormal"},
      .bias_initializer = {"Constant", {{"value", 0.5}}},
      .kernel_regularizer = Regularizer{"L1L2", {{"l1", 0.01}, {"l2", 0.02}}},
      .bias_regularizer = Regularizer{"L2", {{"l2", 0.01}}},
      .kernel_constraint = Constraint{"MaxNorm", {{"max_value", 3.0}, {"axis", std::vector<int64_t>{0, 1}}}},
      .bias_constraint = Constraint{"NonNeg"},
      .input_shape = {128, std::nullopt},
      .batch_size = 4,
      .name = "stem"};
  EXPECT_EQ(spec, expected);
  EXPECT_EQ(spec, parse(to_call_text(spec)));
}

TEST(ParseCall, ManyWritings) {
  const LayerSpec expected{.filters = 4, .kernel_size = 3};
  for (const char* text :
       {"Conv1D(4, 3)", " Conv1D ( filters = 4 , kernel_size = [ 3 ] , ) ", "Convolution1D(4, kernel_size=3)",
        "keras.layers.Conv1D(4, 3)", "tf.compat.v1.keras.layers.Conv1D(4, 3)", "layers.Conv1D(4, (3))",
        "x = layers.Conv1D(4, 3)(x)", "model.add(Conv1D(4, 3))", "# a layer\nConv1D(\n  4, 3)  # end",
        "Conv1D(4, 3, 1, 'valid', None, 1, 1, None, True, 'glorot_uniform', 'zeros', None, None, None, None, "
        "None)",
        "Conv1D(0x4, +3);", "Conv1D(4, 3, groups=None)", "Conv1D(4, 3, activation='linear', use_bias=1)"}) {
    EXPECT_EQ(parse(text), expected) << text;
  }
  EXPECT_EQ(parse("tf_keras.layers.Conv1D(4, 3)").dialect, Dialect::kKeras2);
  EXPECT_EQ(parse("keras3.layers.Conv1D(4, 3)").dialect, Dialect::kKeras3);
  EXPECT_EQ(parse("Conv1D(4, 3)", Rules::kKeras3).dialect, Dialect::kKeras3);
  EXPECT_EQ(parse("Conv1D(4, 3, input_dim=7, data_format='channels_first')").input_shape,
            (Shape{7, std::nullopt}));
}

TEST(ParseCall, EveryArgumentByPosition) {
  const Initializer ones{"Ones"}, zeros{"Zeros"};
  const Regularizer l1{"L1", {{"l1", 0.01}}}, l2{"L2", {{"l2", 0.01}}};
  const Constraint non_neg{"NonNeg"}, unit_norm{"UnitNorm", {{"axis", std::vector<int64_t>{0}}}};
  const LayerSpec base{.activation = make_relu(),
                       .use_bias = false,
                       .kernel_initializer = ones,
                       .bias_initializer = ones,
                       .kernel_regularizer = l1,
                       .bias_regularizer = l2,
                       .activity_regularizer = l1,
                       .kernel_constraint = non_neg,
                       .bias_constraint = unit_norm};
  LayerSpec transposed = base;
  transposed.kind = LayerKind::kConv1DTranspose;
  transposed.filters = 4;
  transposed.kernel_size = 3;
  transposed.strides = 2;
  transposed.padding = Padding::kSame;
  transposed.output_padding = 1;
  transposed.data_format = DataFormat::kChannelsFirst;
  EXPECT_EQ(
      parse("Convolution1DTranspose(4, 3, 2, 'same', 1, 'channels_first', 1, 'relu', False, 'ones', 'ones', "
            "'l1', 'l2', 'l1', 'non_neg', 'unit_norm')"),
      transposed);
  LayerSpec depthwise = base;
  depthwise.kind = LayerKind::kDepthwiseConv1D;
  depthwise.kernel_size = 3;
  depthwise.padding = Padding::kSame;
  depthwise.depth_multiplier = 5;
  depthwise.data_format = DataFormat::kChannelsFirst;
  depthwise.dilation_rate = 2;
  EXPECT_EQ(
      parse("DepthwiseConv1D(3, 1, 'same', 5, 'channels_first', 2, 'relu', False, 'ones', 'ones', 'l1', "
            "'l2', 'l1', 'non_neg', 'unit_norm')"),
      depthwise);
  LayerSpec separable = depthwise;
  separable.kind = LayerKind::kSeparableConv1D;
  separable.filters = 4;
  separable.pointwise_initializer = zeros;
  separable.pointwise_regularizer = l2;
  separable.pointwise_constraint = unit_norm;
  EXPECT_EQ(parse("SeparableConvolution1D(4, 3, 1, 'same', 'channels_first', 2, 5, 'relu', False, 'ones', "
                  "'zeros', 'ones', 'l1', 'l2', 'l2', 'l1', 'non_neg', 'unit_norm', 'unit_norm')"),
            separable);
  LayerSpec dense = base;
  dense.kind = LayerKind::kDense;
  dense.filters = 4;
  EXPECT_EQ(parse("Dense(4, 'relu', False, 'ones', 'ones', 'l1', 'l2', 'l1', 'non_neg', 'unit_norm')"),
            dense);
  EXPECT_EQ(parse("Dense(4, input_dim=7)").input_shape, Shape{7});
  EXPECT_EQ(parse("Dense(4, kernel_initializer='identity')").kernel_initializer.class_name, "Identity");
}

TEST(ParseCall, Activations) {
  using Act = ActivationKind;
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(activation("None"), Activation{});
  EXPECT_EQ(activation("'relu6'"), make_relu(0, 6));
  EXPECT_EQ(activation("'leaky_relu'"), make_relu(0.2F));
  EXPECT_EQ(activation("'LeakyReLU'"), make_relu(0.3F));
  EXPECT_EQ(activation("tf.keras.activations.relu"), make_relu());
  EXPECT_EQ(activation("keras.layers.LeakyReLU(alpha=0.1)"), make_relu(0.1F));
  EXPECT_EQ(activation("keras.layers.LeakyReLU(negative_slope=0.1, name='a')"), make_relu(0.1F));
  EXPECT_EQ(activation("ReLU(max_value=6)"), make_relu(0, 6));
  EXPECT_EQ(activation("ReLU(2, 0.25, 0.5)"), make_relu(0.25F, 2, 0.5F));
  EXPECT_EQ(activation("ReLU(max_value=None)"), make_relu(0, inf));
  EXPECT_EQ(activation("ELU()"), (Activation{Act::kElu, {1}}));
  EXPECT_EQ(activation("ThresholdedReLU(theta=0.5)"), (Activation{Act::kThreshold, {0.5F, 0}}));
  EXPECT_EQ(activation("Activation('swish')"), Activation{Act::kSilu});
  EXPECT_EQ(activation("lambda x: tf.nn.leaky_relu(x, alpha=0.1)"), make_relu(0.1F));
  EXPECT_EQ(activation("functools.partial(tf.nn.gelu, approximate=True)"), Activation{Act::kGeluTanh});
  EXPECT_EQ(activation("lambda v: threshold(v, 0.5, default_value=-1)"),
            (Activation{Act::kThreshold, {0.5F, -1}}));
  EXPECT_EQ(activation("'squareplus'"), (Activation{Act::kSquareplus, {4}}));
  EXPECT_EQ(activation("{'class_name': 'function', 'config': 'tanh'}"), Activation{Act::kTanh});
  EXPECT_EQ(activation("'softmax'"), (Activation{Act::kSoftmax, {-1}}));
  EXPECT_EQ(activation("'Softmax'"), (Activation{Act::kSoftmax, {-1}}));
  EXPECT_EQ(activation("keras.layers.Softmax(axis=[-1])"), (Activation{Act::kSoftmax, {-1}}));
  EXPECT_EQ(activation("tf.nn.log_softmax"), (Activation{Act::kLogSoftmax, {-1}}));
  EXPECT_EQ(activation("lambda x: keras.activations.sparsemax(x, axis=-1)"),
            (Activation{Act::kSparsemax, {-1}}));
  EXPECT_EQ(activation("'glu'"), (Activation{Act::kGlu, {-1}}));
}

TEST(ParseCall, HardSigmoidFollowsTheGeneration) {
  using Act = ActivationKind;
  EXPECT_EQ(activation("'hard_sigmoid'").kind, Act::kHardSigmoidKeras2);
  EXPECT_EQ(activation("'hard_sigmoid'", Rules::kKeras2).kind, Act::kHardSigmoidKeras2);
  EXPECT_EQ(activation("'hard_sigmoid'", Rules::kKeras3).kind, Act::kHardSigmoidKeras3);
  EXPECT_EQ(activation("keras3.activations.hard_sigmoid").kind, Act::kHardSigmoidKeras3);
  EXPECT_EQ(parse("keras3.layers.Conv1D(1, 1, activation='hard_sigmoid')").activation.kind,
            Act::kHardSigmoidKeras3);
}

TEST(ParseCall, Notes) {
  auto notes = [](std::string_view text, Rules rules = Rules::kCommon) {
    return parse_layer(text, rules)->notes;
  };
  EXPECT_TRUE(notes("Conv1D(4, 3, activation='relu')").empty());
  EXPECT_EQ(notes("Conv1D(4, 3)(x)"), std::vector<std::string>{"The call behind the layer was ignored."});
  EXPECT_EQ(notes("Conv1D(4, 3, activation='hard_sigmoid')").size(), 1U);
  EXPECT_TRUE(notes("Conv1D(4, 3, activation='hard_sigmoid')", Rules::kKeras2).empty());
  EXPECT_TRUE(notes("Conv1D(4, 3, activation='hard_sigmoid')", Rules::kKeras3).empty());
  EXPECT_EQ(notes("Conv1D(4, 3, kernel_regularizer='l1_l2')").size(), 2U);
  EXPECT_EQ(notes("Conv1D(4, 3, bias_initializer=None)"),
            std::vector<std::string>{"`bias_initializer` is None, which means glorot_uniform in Keras."});
  EXPECT_EQ(notes("Conv1D(4, True)").size(), 1U);
  EXPECT_EQ(notes("Conv1DTranspose(4, 3, groups=2)"),
            std::vector<std::string>{"`groups` is 2, which Conv1DTranspose of Keras 2 ignores."});
  EXPECT_EQ(notes("SeparableConv1D(4, 3, kernel_initializer='ones')"),
            std::vector<std::string>{"`kernel_initializer` is not used by SeparableConv1D."});
  EXPECT_EQ(notes("Dense(4.5)", Rules::kKeras2),
            std::vector<std::string>{"`units` is 4.5, which Keras 2 truncates to 4."});
  EXPECT_EQ(notes("Conv1D(4.7, 3)", Rules::kKeras2).size(), 1U);
  EXPECT_EQ(notes("Conv1D(4, 3, kernel_regularizer='l3')", Rules::kKeras2).size(), 1U);
}

TEST(ParseCall, RegularizerDefaultsFollowTheGeneration) {
  auto l1 = [](std::string_view text) {
    return std::get<double>(parse(text).kernel_regularizer->params[0].second);
  };
  EXPECT_EQ(l1("Conv1D(4, 3, kernel_regularizer='l1_l2')"), 0.01);
  EXPECT_EQ(l1("Conv1D(4, 3, kernel_regularizer=l1_l2())"), 0.01);
  EXPECT_EQ(l1("Conv1D(4, 3, kernel_regularizer='L1L2')"), 0.0);
  EXPECT_EQ(l1("keras3.layers.Conv1D(4, 3, kernel_regularizer=keras.regularizers.l1_l2())"), 0.0);
  EXPECT_EQ(l1("Conv1D(4, 3, kernel_regularizer=keras.regularizers.l1(l=0.5))"), 0.5);
}

struct Mistake {
  const char* text;
  const char* message;
  Rules rules = Rules::kCommon;
};

TEST(ParseCall, Messages) {
  const Mistake mistakes[] = {
      {"", "The layer text is empty; expected, for example, Conv1D(32, 3)."},
      {"Conv1D(32, 3", "The text ends before the ')' of the bracket that opens at column 7."},
      {"Conv1D(32 3)", "Expected ',' or ')' at column 11."},
      {"Conv1D(32,\n  $)", "Expected a value at line 2, column 3."},
      {"Conv1D(32, 'x)", "The closing quote is missing for the string that opens at column 12."},
      {"Conv1D(32, 3) + 1", "Unexpected text after the end of the layer at column 15."},
      {"Conv1D(filters=1, 3)", "A positional argument follows a keyword argument at column 19."},
      {"Conv1D(*a)", "Unpacking with '*' is not supported; write the arguments out at column 8."},
      {"Conv1D(1e999, 3)", "The number 1e999 is out of range at column 8."},
      {"Conv1D(12ab, 3)", "Malformed number at column 8."},
      {"Conv1D(4)", "The argument `kernel_size` of Conv1D is missing at column 1."},
      {"Conv1D(4, 3, filters=5)", "The argument `filters` is given twice, the second time at column 22."},
      {"Conv1D(4, 3, nonsense=1)", "Conv1D has no argument `nonsense`, which is given at column 23."},
      {"Conv1D(4, 3, batch_size=1)",
       "Conv1D of Keras 3 has no argument `batch_size`, which is given at column 25.", Rules::kKeras3},
      {"Conv1D(0, 3)", "`filters` must be an integer from 1 to 2147483647, got 0 at column 8."},
      {"Conv1D(2147483648, 3)",
       "`filters` must be an integer from 1 to 2147483647, got 2147483648 at column 8."},
      {"Conv1D(99999999999999999999, 3)",
       "`filters` must be at most 2147483647, got 99999999999999999999 at column 8."},
      {"Conv1D(4.0, 3)", "`filters` must be an integer, got 4.0 at column 8."},
      {"Conv1D(4, (3, 3))",
       "`kernel_size` must be one integer or a tuple of one integer, got (3, 3) at column 11."},
      {"Conv1D(4, '3')", "`kernel_size` must be an integer, got '3' at column 11."},
      {"Conv1D(4, 3, groups=0)", "`groups` must be an integer from 1 to 2147483647, got 0 at column 21."},
      {"Conv1D(5, 3, groups=2)", "`filters` must be divisible by `groups`, got filters=5 and groups=2."},
      {"Conv1D(5, 3, padding='full')",
       "`padding` must be 'valid', 'same' or 'causal', got 'full' at column 22."},
      {"Conv1D(5, 3, padding=(1, 2))",
       "`padding` must be 'valid', 'same' or 'causal'; a tuple is accepted under the rules 'any' only, got "
       "(1, 2) "
       "at column 22."},
      {"Conv1D(5, 3, data_format='NWC')",
       "`data_format` must be 'channels_last' or 'channels_first', got 'NWC' at column 26."},
      {"Conv1D(5, 3, strides=2, dilation_rate=2)",
       "`strides` > 1 is not supported together with `dilation_rate` > 1, got strides=2 and dilation_rate=2; "
       "the "
       "rules 'any' compute it."},
      {"Conv1D(5, 3, activation='relU')", "Unknown activation 'relU' at column 25. Did you mean 'relu'?"},
      {"Conv1D(5, 3, activation='celu')",
       "'celu' is no activation of Keras 2; only Keras 3 knows it at column 25.", Rules::kKeras2},
      {"Conv1D(5, 3, activation=Softmax(axis=1))",
       "`activation` 'softmax' along axis 1 is not supported; a layer's activation must have axis=-1."},
      {"Conv1D(5, 3, activation=Softmax(axis=[1, 2]))",
       "`axis` of Softmax with several axes is not supported, got [1, 2] at column 38."},
      {"Conv1D(5, 3, activation=Softmax(axis=0.5))",
       "`axis` of Softmax must be an integer from -64 to 64, got 0.5 at column 38."},
      {"Conv1D(5, 3, activation='glu')",
       "'glu' is no activation of Keras 2; only Keras 3 knows it at column 25.", Rules::kKeras2},
      {"Conv1D(5, 3, activation=PReLU())",
       "Activation 'PReLU' is not supported here, because it has weights; it must be a layer of its own at "
       "column 25."},
      {"Conv1D(5, 3, activation=tf.nn.relu(x))",
       "Activation tf.nn.relu is called without its input; write lambda x: tf.nn.relu(x, ...) at column 25."},
      {"Conv1D(5, 3, activation=lambda x: x)",
       "Only a lambda of the form 'lambda x: f(x, ...)' is supported, unlike the one at column 25."},
      {"Conv1D(5, 3, activation=ReLU(max_value=-1))",
       "`max_value` of ReLU must not be negative, got -1 at column 40."},
      {"Conv1D(5, 3, activation=LeakyReLU(slope=1))",
       "Activation LeakyReLU has no parameter `slope` at column 41."},
      {"Conv1D(5, 3, activation='threshold')",
       "Activation 'threshold' needs its parameters `threshold` and `default_value`, as in lambda x: "
       "keras.activations.threshold(x, 0.5, 0.0) at column 25."},
      {"Conv1D(5, 3, kernel_initializer='nonsense')",
       "`kernel_initializer`: unknown initializer 'nonsense' at column 33."},
      {"Conv1D(5, 3, kernel_initializer='identity')",
       "`kernel_initializer`: the initializer Identity is for matrices, and the weights of Conv1D are none."},
      {"Conv1D(5, 3, kernel_regularizer='l3')",
       "`kernel_regularizer`: unknown regularizer 'l3' at column 33."},
      {"Conv1D(5, 3, kernel_regularizer='l1_l2')",
       "`kernel_regularizer`: 'l1_l2' is no regularizer of Keras 3 at column 33.", Rules::kKeras3},
      {"Conv1D(5, 3, kernel_constraint=MaxNorm('a'))",
       "`kernel_constraint`: max_value of MaxNorm must be a number, got 'a' at column 40."},
      {"Conv1D(5, 3, dtype='float16')",
       "`dtype` 'float16' is not supported; layers compute in float32 at column 20."},
      {"Conv1D(5, 3, weights=[1])",
       "`weights` in the layer text is not supported; load them separately at column 22."},
      {"Conv1D(5, 3, input_shape=10)",
       "`input_shape` must be a tuple of integers and None, got 10 at column 26."},
      {"Conv1D(5, 3, input_shape=(-1, 4))",
       "`input_shape` must hold integers from 0 to 1099511627776 or None, got (-1, 4) at column 26."},
      {"Conv2D(5, 3)",
       "Layer Conv2D is not supported; expected Conv1D, Conv1DTranspose, DepthwiseConv1D, SeparableConv1D or "
       "Dense at column 1."},
      {"Conv1d(5, 3)",
       "Unknown layer 'Conv1d'; expected Conv1D, Conv1DTranspose, DepthwiseConv1D, SeparableConv1D or Dense "
       "at "
       "column 1. PyTorch's Conv1d is called Conv1D here."},
      {"Conv1D", "Expected a layer such as Conv1D(32, 3), got Conv1D at column 1."},
  };
  for (const Mistake& mistake : mistakes) {
    EXPECT_EQ(message(mistake.text, mistake.rules), mistake.message) << mistake.text;
  }
}

TEST(ParseCall, MessagesOfTheOtherKinds) {
  const Mistake mistakes[] = {
      {"Dense()", "The argument `units` of Dense is missing at column 1."},
      {"Dense(4, 3)", "`activation` must be a name, a function, a layer or None, got 3 at column 10."},
      {"Dense(0)", "`units` must be an integer from 1 to 2147483647, got 0 at column 7."},
      {"Dense(4, strides=2)", "Dense has no argument `strides`, which is given at column 18."},
      {"DepthwiseConv1D()", "The argument `kernel_size` of DepthwiseConv1D is missing at column 1."},
      {"DepthwiseConv1D(3, filters=4)",
       "DepthwiseConv1D has no argument `filters`, which is given at column 28."},
      {"DepthwiseConv1D(3, padding='causal')",
       "`padding` of DepthwiseConv1D must be 'valid' or 'same', got 'causal'."},
      {"DepthwiseConv1D(3, kernel_initializer='ones')",
       "DepthwiseConv1D of Keras 3 has no argument `kernel_initializer`, which is given at column 39.",
       Rules::kKeras3},
      {"DepthwiseConv1D(3, depthwise_initializer='x')",
       "`depthwise_initializer`: unknown initializer 'x' at column 42."},
      {"DepthwiseConv1D(3, 2, 'same', 0)",
       "`depth_multiplier` must be an integer from 1 to 2147483647, got 0 at column 31."},
      {"DepthwiseConv1D(3, strides=2, dilation_rate=2)",
       "`strides` > 1 is not supported together with `dilation_rate` > 1, got strides=2 and dilation_rate=2; "
       "the rules 'any' compute it.",
       Rules::kKeras2},
      {"SeparableConv1D(4, 3, padding='causal')",
       "`padding` of SeparableConv1D of Keras 3 must be 'valid' or 'same', got 'causal'.", Rules::kKeras3},
      {"Conv1DTranspose(4, 3, padding='full')",
       "`padding` must be 'valid' or 'same', got 'full' at column 31."},
      {"Conv1DTranspose(4, 3, padding='causal')",
       "`padding` of Conv1DTranspose must be 'valid' or 'same', got 'causal'.", Rules::kAny},
      {"Conv1DTranspose(4, 3, 2, output_padding=2)",
       "`output_padding` must be an integer from 0 to 1, because it must be less than `strides`, got 2."},
      {"Conv1DTranspose(4, 3, 2, 'valid', (1, 1))",
       "`output_padding` must be one integer or a tuple of one integer, got (1, 1) at column 35."},
      {"Conv1DTranspose(4, 4, 2, 'same', 0)",
       "`output_padding` of Keras 2 must not be 0 with padding='same' and a kernel that reaches over an even "
       "number of steps, got kernel_size=4 and dilation_rate=1.",
       Rules::kKeras2},
      {"Conv1DTranspose(5, 3, groups=2)", "`groups` must divide filters=5, got 2 at column 30."},
      {"Conv1DTranspose(4, 3, groups=2)",
       "Conv1DTranspose of Keras 3 has no argument `groups`, which is given at column 30.", Rules::kKeras3},
  };
  for (const Mistake& mistake : mistakes) {
    EXPECT_EQ(message(mistake.text, mistake.rules), mistake.message) << mistake.text;
  }
}

TEST(ParseCall, UnsupportedIsToldFromWrong) {
  auto code = [](std::string_view text) { return parse_layer(text).error().code; };
  EXPECT_EQ(code("Conv1D(4, 3, activation=Softmax(axis=1))"), ErrorCode::kUnsupported);
  EXPECT_EQ(code("Conv1D(4, 3, activation=PReLU())"), ErrorCode::kUnsupported);
  EXPECT_EQ(code("Conv1D(4, 3, dtype='float64')"), ErrorCode::kUnsupported);
  EXPECT_EQ(code("LSTM(4)"), ErrorCode::kUnsupported);
  EXPECT_EQ(code("Conv1D(4, 3, activation='no')"), ErrorCode::kInvalidSpec);
  EXPECT_EQ(code("Conv9D(4, 3)"), ErrorCode::kInvalidSpec);
}

TEST(ParseCall, NestingAndLengthAreLimited) {
  const std::string deep = "Conv1D(4, " + std::string(100000, '(');
  EXPECT_EQ(message(deep), "Expressions may be nested 64 deep at most; this is too deep at column 74.");
  const std::string lists = "Conv1D(4, " + std::string(100000, '[') + "3" + std::string(100000, ']') + ")";
  EXPECT_NE(message(lists).find("nested"), std::string::npos);
  std::string lambdas = "Conv1D(4, 3, activation=";
  for (int i = 0; i < 50000; ++i) lambdas += "lambda x:";
  EXPECT_NE(message(lambdas).find("nested"), std::string::npos);
  EXPECT_EQ(message(std::string(kMaxTextBytes + 1, ' ') + "Conv1D(4, 3)"),
            "The layer text has 1048589 bytes; at most 1048576 are read.");
}

}  // namespace
}  // namespace convsmith
