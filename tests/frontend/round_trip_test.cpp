// Random specs survive printing and parsing; random text never does harm.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <limits>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/keras/parse_value.hpp"

namespace convsmith {
namespace {

template <class T>
T pick(std::initializer_list<T> choices) {
  return *rc::gen::elementOf(std::vector<T>(choices));
}

Activation arbitrary_activation() {
  const auto kind =
      static_cast<ActivationKind>(*rc::gen::inRange(0, static_cast<int>(ActivationKind::kGlu) + 1));
  if (!is_elementwise(kind)) return {kind, {-1}};
  Activation activation{kind};
  for (float& param : activation.params)
    param = *rc::gen::map(rc::gen::inRange(-1000, 1000), [](int n) { return static_cast<float>(n) / 7.0F; });
  if (*rc::gen::arbitrary<bool>()) activation.params[1] = std::numeric_limits<float>::infinity();
  if (kind != ActivationKind::kRelu && activation.params[1] > 1e30F) activation.params[1] = 0.0F;
  return canonical_activation(activation);
}

// The sizes of a layer: what its kind does not have keeps its default.
LayerSpec arbitrary_sizes() {
  LayerSpec spec;
  spec.kind = pick({LayerKind::kConv1D, LayerKind::kConv1DTranspose, LayerKind::kDepthwiseConv1D,
                    LayerKind::kSeparableConv1D, LayerKind::kDense});
  const bool depthwise = spec.kind == LayerKind::kDepthwiseConv1D;
  if (spec.kind == LayerKind::kConv1D) spec.groups = *rc::gen::inRange<int64_t>(1, 4);
  if (!depthwise) spec.filters = spec.groups * *rc::gen::inRange<int64_t>(1, 100);
  if (spec.kind == LayerKind::kDense) return spec;
  spec.kernel_size = *rc::gen::inRange<int64_t>(1, 70);
  spec.strides = *rc::gen::inRange<int64_t>(1, 5);
  spec.dilation_rate = *rc::gen::inRange<int64_t>(1, 5);
  spec.padding = pick({Padding::kValid, Padding::kSame, Padding::kCausal, Padding::kExplicit});
  if (spec.kind == LayerKind::kConv1DTranspose) {
    if (spec.padding == Padding::kCausal) spec.padding = Padding::kSame;
    if (*rc::gen::arbitrary<bool>()) spec.output_padding = *rc::gen::inRange<int64_t>(0, 6);
  }
  if (spec.padding == Padding::kExplicit) {
    spec.pad_left = *rc::gen::inRange<int64_t>(0, 9);
    spec.pad_right = *rc::gen::inRange<int64_t>(0, 9);
  }
  if (depthwise || spec.kind == LayerKind::kSeparableConv1D)
    spec.depth_multiplier = *rc::gen::inRange<int64_t>(1, 5);
  spec.data_format = pick({DataFormat::kChannelsLast, DataFormat::kChannelsFirst});
  return spec;
}

LayerSpec arbitrary_spec() {
  LayerSpec spec = arbitrary_sizes();
  spec.activation = arbitrary_activation();
  spec.use_bias = *rc::gen::arbitrary<bool>();
  const double number = *rc::gen::inRange(0, 1000) / 999.0;
  spec.kernel_initializer = pick<Initializer>(
      {{"GlorotUniform"},
       {"HeNormal", {{"seed", int64_t{7}}}},
       {"RandomUniform", {{"minval", -number}, {"maxval", number}}},
       {"VarianceScaling", {{"scale", number}, {"mode", "fan_out"}, {"distribution", "uniform"}}}});
  spec.bias_initializer = pick<Initializer>({{"Zeros"}, {"Ones"}, {"Constant", {{"value", number}}}});
  using Maybe = std::optional<KerasObject>;
  auto regularizer = [&] {
    return pick<Maybe>({std::nullopt, Regularizer{"L1", {{"l1", number}}}, Regularizer{"L2", {{"l2", 0.01}}},
                        Regularizer{"L1L2", {{"l1", number}, {"l2", 0.0}}}});
  };
  spec.kernel_regularizer = regularizer();
  spec.bias_regularizer = regularizer();
  spec.activity_regularizer = regularizer();
  const std::vector<int64_t> axes{0, 1};
  spec.kernel_constraint = pick<Maybe>(
      {std::nullopt, Constraint{"NonNeg"}, Constraint{"MaxNorm", {{"max_value", number}, {"axis", axes}}}});
  if (spec.kind == LayerKind::kSeparableConv1D) {
    spec.pointwise_initializer = pick<Initializer>({{"GlorotUniform"}, {"HeNormal", {{"seed", int64_t{7}}}}});
    spec.pointwise_regularizer = regularizer();
    spec.pointwise_constraint = pick<Maybe>({std::nullopt, Constraint{"NonNeg"}});
  }
  if (*rc::gen::arbitrary<bool>()) spec.input_shape = {std::nullopt, spec.groups * 2};
  if (*rc::gen::arbitrary<bool>()) spec.batch_size = *rc::gen::inRange<int64_t>(0, 9);
  spec.name = *rc::gen::arbitrary<std::string>();
  spec.dialect = pick({Dialect::kCall, Dialect::kKeras2, Dialect::kKeras3});
  return spec;
}

RC_GTEST_PROP(RoundTrip, SpecsSurviveTheirText, ()) {
  const LayerSpec spec = arbitrary_spec();
  const std::string text = to_call_text(spec);
  const Result<ParsedLayer> layer = parse_layer(text, Rules::kAny);
  if (!layer) RC_FAIL(text + "\n" + layer.error().message);
  if (layer->spec != spec) RC_FAIL(text + "\n" + to_call_text(layer->spec));
  RC_ASSERT(hash_layer_spec(layer->spec) == hash_layer_spec(spec));
  RC_ASSERT(to_call_text(layer->spec) == text);
}

TEST(RoundTripText, IsCanonical) {
  LayerSpec spec{.filters = 32, .kernel_size = 3};
  EXPECT_EQ(to_call_text(spec), "Conv1D(32, 3)");
  spec.activation = make_relu();
  spec.input_shape = {10, 128};
  EXPECT_EQ(to_call_text(spec), "Conv1D(32, 3, activation='relu', input_shape=(10, 128))");
  spec.activation = make_relu(0.1F, 6);
  EXPECT_EQ(to_call_text(spec),
            "Conv1D(32, 3, activation=lambda x: keras.activations.relu(x, alpha=0.1, max_value=6.0), "
            "input_shape=(10, 128))");
  spec = {.filters = 1, .kernel_size = 1, .activation = {ActivationKind::kHardSigmoidKeras3}, .name = "it's"};
  EXPECT_EQ(to_call_text(spec), "Conv1D(1, 1, activation=keras3.activations.hard_sigmoid, name='it\\'s')");
  spec.dialect = Dialect::kKeras3;
  EXPECT_EQ(to_call_text(spec), "keras3.layers.Conv1D(1, 1, activation='hard_sigmoid', name='it\\'s')");
}

TEST(RoundTripText, IsCanonicalForEveryKind) {
  LayerSpec spec{.kind = LayerKind::kConv1DTranspose,
                 .filters = 4,
                 .kernel_size = 3,
                 .strides = 2,
                 .padding = Padding::kSame,
                 .output_padding = 1,
                 .activation = {ActivationKind::kSoftmax, {-1}}};
  EXPECT_EQ(to_call_text(spec),
            "Conv1DTranspose(4, 3, strides=2, padding='same', output_padding=1, activation='softmax')");
  spec = {.kind = LayerKind::kDepthwiseConv1D,
          .kernel_size = 3,
          .depth_multiplier = 2,
          .kernel_initializer = {"Ones"}};
  EXPECT_EQ(to_call_text(spec), "DepthwiseConv1D(3, depth_multiplier=2, depthwise_initializer='Ones')");
  spec.kind = LayerKind::kSeparableConv1D;
  spec.filters = 4;
  spec.pointwise_initializer = {"Zeros"};
  EXPECT_EQ(to_call_text(spec),
            "SeparableConv1D(4, 3, depth_multiplier=2, depthwise_initializer='Ones', "
            "pointwise_initializer='Zeros')");
  spec = {.kind = LayerKind::kDense, .filters = 4, .input_shape = {7}, .dialect = Dialect::kKeras3};
  EXPECT_EQ(to_call_text(spec), "keras3.layers.Dense(4, input_shape=(7,))");
}

TEST(RoundTripText, NamesOfKinds) {
  for (const LayerKind kind : {LayerKind::kConv1D, LayerKind::kConv1DTranspose, LayerKind::kDepthwiseConv1D,
                               LayerKind::kSeparableConv1D, LayerKind::kDense}) {
    const std::string text = R"({"class_name": ")" + std::string(class_name_of(kind)) +
                             R"(", "config": {"filters": 1, "units": 1, "kernel_size": 1}})";
    EXPECT_EQ(parse_layer(text).value().spec.kind, kind);
  }
  EXPECT_EQ(default_name_of(LayerKind::kConv1DTranspose), "conv1d_transpose");
  EXPECT_EQ(default_name_of(LayerKind::kDense), "dense");
}

TEST(RoundTripText, HashTellsSpecsApart) {
  const LayerSpec spec{.filters = 32, .kernel_size = 3};
  LayerSpec other = spec;
  EXPECT_EQ(std::hash<LayerSpec>()(spec), std::hash<LayerSpec>()(other));
  std::swap(other.filters, other.kernel_size);
  EXPECT_NE(std::hash<LayerSpec>()(spec), std::hash<LayerSpec>()(other));
  const auto differs = [&spec](auto change) {
    LayerSpec changed = spec;
    change(changed);
    return std::hash<LayerSpec>()(spec) != std::hash<LayerSpec>()(changed);
  };
  EXPECT_TRUE(differs([](LayerSpec& s) { s.kind = LayerKind::kConv1DTranspose; }));
  EXPECT_TRUE(differs([](LayerSpec& s) { s.output_padding = 0; }));
  EXPECT_TRUE(differs([](LayerSpec& s) { s.depth_multiplier = 2; }));
  EXPECT_TRUE(differs([](LayerSpec& s) { s.pointwise_initializer = {"Ones"}; }));
  EXPECT_TRUE(differs([](LayerSpec& s) { s.pointwise_regularizer = Regularizer{"L2"}; }));
  EXPECT_TRUE(differs([](LayerSpec& s) { s.pointwise_constraint = Constraint{"NonNeg"}; }));
}

// Joins pieces of layer definitions at random: mostly wrong, often almost right.
RC_GTEST_PROP(Fuzz, ParsingEndsInASentence, ()) {
  static const std::vector<std::string> kPieces{"Conv1D(",
                                                "Conv1DTranspose(",
                                                "SeparableConv1D(",
                                                "Dense(",
                                                "output_padding",
                                                "\"units\"",
                                                "\"depth_multiplier\"",
                                                "'softmax'",
                                                "4, 3",
                                                "(",
                                                ")",
                                                "[",
                                                "]",
                                                "{",
                                                "}",
                                                ",",
                                                "=",
                                                ":",
                                                "'",
                                                "\"",
                                                "\\",
                                                "#",
                                                "\n",
                                                "lambda x: ",
                                                "x",
                                                "partial(",
                                                "activation",
                                                "padding",
                                                "'same'",
                                                "None",
                                                "True",
                                                "-1",
                                                "1e9",
                                                ".5",
                                                "0x",
                                                "_",
                                                "keras.layers.",
                                                "LeakyReLU(0.1)",
                                                "input_shape",
                                                "filters",
                                                "\"class_name\"",
                                                "\"config\"",
                                                "\"Conv1D\"",
                                                "null",
                                                "\\u00",
                                                "\xff",
                                                "99999999999999999999",
                                                "l1_l2(",
                                                "dtype",
                                                "kernel_size",
                                                "groups"};
  std::string text =
      *rc::gen::element<std::string>("", "Conv1D(4, 3, ", "DepthwiseConv1D(3, ", "{\"filters\": 1, ");
  for (const std::string& piece : *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(kPieces)))
    text += piece;
  for (const Rules rules : {Rules::kCommon, Rules::kKeras2, Rules::kKeras3, Rules::kAny}) {
    const Result<ParsedLayer> layer = parse_layer(text, rules);
    if (!layer) {
      const std::string& message = layer.error().message;
      RC_ASSERT(message.ends_with(".") || message.ends_with("?"));  // "Did you mean 'ReLU'?"
    } else {
      const Result<ParsedLayer> again = parse_layer(to_call_text(layer->spec), Rules::kAny);
      RC_ASSERT(again.has_value() || layer->spec.groups == 0);
    }
  }
}

RC_GTEST_PROP(Fuzz, StringsSurviveQuoting, (const std::string& text)) {
  const Result<Statement> back = parse_statement(quote(text));
  RC_ASSERT(back.has_value());
  RC_ASSERT(back->value.text == text);
}

TEST(ParseValue, Literals) {
  auto show = [](std::string_view text) {
    const Result<Statement> statement = parse_statement(text);
    return statement ? describe(statement->value) : statement.error().message;
  };
  EXPECT_EQ(show("(1,)"), "(1,)");
  EXPECT_EQ(show("(1)"), "1");
  EXPECT_EQ(show("()"), "()");
  EXPECT_EQ(show("[1, -2.5, 1_000, 0x1F, 1e3, .5, 1.]"), "[1, -2.5, 1000, 31, 1000.0, 0.5, 1.0]");
  EXPECT_EQ(show("{'a': None, \"b\": [True]}"), "{'a': None, 'b': [True]}");
  EXPECT_EQ(show("a.b_c.d(1, x=2,)"), "a.b_c.d(1, x=2)");
  EXPECT_EQ(show("'\\x41\\u00e9\\n\\q'"), "'Aé\\x0a\\\\q'");
  EXPECT_EQ(show("r'\\n'"), "'\\\\n'");
  EXPECT_EQ(show("-9223372036854775807"), "-9223372036854775807");
  EXPECT_EQ(show("f'a'"), "Only plain strings are supported, without a prefix at column 1.");
  EXPECT_EQ(show("'''a'''"), "Strings in triple quotes are not supported at column 1.");
  EXPECT_EQ(show("'é' 1"), "Unexpected text after the end of the layer at column 5.");
  EXPECT_EQ(show("'\\ud800'"), "No such character in the escape at column 2.");
  EXPECT_EQ(show("{1: 2}"), "Expected a string as the key of a dictionary at column 2.");
  EXPECT_EQ(show("{'a' 2}"), "Expected ':' after the key of a dictionary at column 6.");
  EXPECT_EQ(show("'" + std::string(200, 'x') + "'").size(), 80U);
}

}  // namespace
}  // namespace convsmith
