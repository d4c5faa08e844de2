// Random specs survive printing and parsing; random text never does harm.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <limits>

#include "frontend/activations.hpp"
#include "frontend/make_problem.hpp"
#include "frontend/parse_layer.hpp"
#include "frontend/parse_value.hpp"

namespace convsmith {
namespace {

template <class T>
T pick(std::initializer_list<T> choices) {
  return *rc::gen::elementOf(std::vector<T>(choices));
}

Activation arbitrary_activation() {
  const auto kind =
      static_cast<ActivationKind>(*rc::gen::inRange(0, static_cast<int>(ActivationKind::kThreshold) + 1));
  Activation activation{kind};
  for (float& param : activation.params)
    param = *rc::gen::map(rc::gen::inRange(-1000, 1000), [](int n) { return static_cast<float>(n) / 7.0F; });
  if (*rc::gen::arbitrary<bool>()) activation.params[1] = std::numeric_limits<float>::infinity();
  if (kind != ActivationKind::kRelu && activation.params[1] > 1e30F) activation.params[1] = 0.0F;
  return canonical_activation(activation);
}

LayerSpec arbitrary_spec() {
  LayerSpec spec;
  spec.groups = *rc::gen::inRange<int64_t>(1, 4);
  spec.filters = spec.groups * *rc::gen::inRange<int64_t>(1, 100);
  spec.kernel_size = *rc::gen::inRange<int64_t>(1, 70);
  spec.strides = *rc::gen::inRange<int64_t>(1, 5);
  spec.dilation_rate = *rc::gen::inRange<int64_t>(1, 5);
  spec.padding = pick({Padding::kValid, Padding::kSame, Padding::kCausal, Padding::kExplicit});
  if (spec.padding == Padding::kExplicit) {
    spec.pad_left = *rc::gen::inRange<int64_t>(0, 9);
    spec.pad_right = *rc::gen::inRange<int64_t>(0, 9);
  }
  spec.data_format = pick({DataFormat::kChannelsLast, DataFormat::kChannelsFirst});
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

TEST(RoundTripText, HashTellsSpecsApart) {
  const LayerSpec spec{.filters = 32, .kernel_size = 3};
  LayerSpec other = spec;
  EXPECT_EQ(std::hash<LayerSpec>()(spec), std::hash<LayerSpec>()(other));
  std::swap(other.filters, other.kernel_size);
  EXPECT_NE(std::hash<LayerSpec>()(spec), std::hash<LayerSpec>()(other));
}

// Joins pieces of layer definitions at random: mostly wrong, often almost right.
RC_GTEST_PROP(Fuzz, ParsingEndsInASentence, ()) {
  static const std::vector<std::string> kPieces{"Conv1D(",
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
  std::string text = *rc::gen::element<std::string>("", "Conv1D(4, 3, ", "{\"filters\": 1, ");
  for (const std::string& piece : *rc::gen::container<std::vector<std::string>>(rc::gen::elementOf(kPieces)))
    text += piece;
  for (const Rules rules : {Rules::kCommon, Rules::kKeras2, Rules::kKeras3, Rules::kAny}) {
    const Result<ParsedLayer> layer = parse_layer(text, rules);
    if (!layer) {
      RC_ASSERT(layer.error().message.ends_with("."));
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
