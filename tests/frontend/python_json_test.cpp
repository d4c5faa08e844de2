// JSON as Python's json module writes and reads it.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "convsmith/activation.hpp"
#include "frontend/keras/json_value.hpp"
#include "frontend/keras/keras_objects.hpp"
#include "frontend/keras/layer_config.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/models/load_model.hpp"
#include "tests/frontend/models/json_models.hpp"

namespace convsmith {
namespace {

using namespace json_models;
using Kind = Value::Kind;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

Value read(std::string_view text) {
  auto value = read_json(text);
  EXPECT_TRUE(value) << text << ": " << value.error().error.message;
  return value ? *value : Value();
}

TEST(PythonJson, NumbersThatAreNotFinite) {
  EXPECT_EQ(read("Infinity").number, kInfinity);
  EXPECT_EQ(read("[-Infinity]").items[0].value.number, -kInfinity);
  EXPECT_TRUE(std::isnan(read(R"({"a": NaN})").find("a")->number));
  EXPECT_EQ(read("1E400").number, kInfinity);
  EXPECT_EQ(read("-1e400").number, -kInfinity);
  EXPECT_EQ(read("1e-400").number, 0);
  EXPECT_EQ(read("2.5e-3").number, 0.0025);
  EXPECT_EQ(read("-0.0").kind, Kind::kFloat);
}

TEST(PythonJson, IntegersOfAnyLength) {
  EXPECT_EQ(read("-9223372036854775808").integer, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(read("9223372036854775808").text, "9223372036854775808");
  const std::string digits(1000, '7');
  EXPECT_EQ(read(digits).kind, Kind::kBigInt);
  EXPECT_EQ(read("-" + digits).text, "-" + digits);
}

TEST(PythonJson, Characters) {
  EXPECT_EQ(read(R"("\u0041\n\"\/\u00e9\u20ac")").text, "A\n\"/\xC3\xA9\xE2\x82\xAC");
  EXPECT_EQ(read(R"("\ud83d\ude00")").text, "\xF0\x9F\x98\x80");
  // Half a pair is a character in Python, and none in any file: the mark for such.
  EXPECT_EQ(read(R"("a\ud83d")").text, "a\xEF\xBF\xBD");
  EXPECT_EQ(read(R"("\ud83d\u0041")").text,
            "\xEF\xBF\xBD"
            "A");
  EXPECT_EQ(read(R"("\ude00")").text, "\xEF\xBF\xBD");
  EXPECT_EQ(read("\xEF\xBB\xBF {\"a\": 1}").find("a")->integer, 1);
}

TEST(PythonJson, OfEqualKeysTheLastCounts) {
  EXPECT_EQ(read(R"({"a": 1, "b": 2, "a": 3})").find("a")->integer, 3);
}

TEST(PythonJson, WhatPythonRefusesIsRefused) {
  for (const char* text :
       {"",          "{",    "[1,]",     "{\"a\":1,}", "01",  "1.",        ".5",           "+1",
        "+Infinity", "-NaN", "infinity", "nan",        "tru", "\"\\x41\"", "\"a\nb\"",     "\"\\u12g4\"",
        "\"\\u12\"", "'a'",  "[1 2]",    "{1: 2}",     "1 2", "\"\xFF\"",  "\"\xC0\x80\"", "\"\xED\xA0\x80\"",
        "nul",       "-",    "1e",       "\"abc"})
    EXPECT_FALSE(read_json(text)) << text;
}

Activation activation_of(const std::string& layer) {
  const auto model = parse_model_json(with_input(layer));
  EXPECT_TRUE(model) << model.error().message;
  return model ? std::get<ActivationOp>(model->spec.layers[1].op).activation : Activation{};
}

TEST(PythonJson, InfiniteLimitsAreNone) {
  const Activation relu = make_relu(0, kInfinity, 0);
  for (const char* limit : {"Infinity", "1E400", "null"}) {
    EXPECT_EQ(
        activation_of(fmt::format(
            R"({{"class_name":"ReLU","config":{{"name":"r","max_value":{},"threshold":0.0}}}})", limit)),
        relu)
        << limit;
  }
  const Result<ParsedLayer> layer = parse_layer(
      R"({"class_name":"Conv1D","config":{"filters":2,"kernel_size":3,
          "kernel_constraint":{"class_name":"MaxNorm","config":{"max_value":Infinity,"axis":0}},
          "activation":{"class_name":"ReLU","config":{"max_value":Infinity}}}})");
  ASSERT_TRUE(layer) << layer.error().message;
  EXPECT_EQ(layer->spec.activation, make_relu());
}

// Keras takes any limits for constraints, and no infinite penalties.
TEST(PythonJson, InfiniteConstraintsSurviveWriting) {
  struct {
    const char* text;
    const char* json;
  } const cases[] = {
      {"MaxNorm(float('inf'))", R"("max_value":Infinity)"},
      {"MaxNorm(max_value=-Infinity, axis=1)", R"("max_value":-Infinity)"},
      {"MinMaxNorm(-np.inf, math.inf)", R"("min_value":-Infinity,"max_value":Infinity,"rate":1.0)"},
  };
  for (const auto& c : cases) {
    const Result<ParsedLayer> layer =
        parse_layer(fmt::format("Conv1D(2, 3, kernel_constraint={}, name='x')", c.text));
    ASSERT_TRUE(layer) << c.text << layer.error().message;
    for (const Dialect dialect : {Dialect::kKeras2, Dialect::kKeras3}) {
      const std::string json = layer_object(layer->spec, dialect).value();
      EXPECT_THAT(json, testing::HasSubstr(c.json));
      const Result<ParsedLayer> again = parse_layer(json);
      ASSERT_TRUE(again) << json << again.error().message;
      EXPECT_EQ(again->spec.kernel_constraint, layer->spec.kernel_constraint) << json;
    }
    const std::string text = keras_object_text(*layer->spec.kernel_constraint, ObjectRole::kConstraint);
    EXPECT_THAT(text, testing::HasSubstr("=float('"));
    const Result<ParsedLayer> again = parse_layer("Conv1D(2, 3, kernel_constraint=" + text + ")");
    ASSERT_TRUE(again) << text << again.error().message;
    EXPECT_EQ(again->spec.kernel_constraint, layer->spec.kernel_constraint) << text;
    const std::string config = layer_config(layer->spec, Dialect::kKeras3).value();
    const std::string whole = sequential_config(
        "\"layers\":[]", {wrap_layer_config("Conv1D", config, Dialect::kKeras3)}, {}, Dialect::kKeras3);
    const Value value = read(whole);
    EXPECT_EQ(value.find("layers")->items.size(), 1U) << whole;
    EXPECT_THAT(whole, testing::HasSubstr(c.json));
  }
  for (const char* refused : {"kernel_constraint=MaxNorm(float('nan'))", "kernel_regularizer=L1(inf)",
                              "bias_regularizer=L2(-inf)", "kernel_initializer=Constant(inf)"}) {
    EXPECT_THAT(parse_layer(fmt::format("Conv1D(2, 3, {})", refused)).error().message,
                testing::HasSubstr("must be finite"));
  }
}

TEST(PythonJson, PrintedDictionariesHaveThemToo) {
  for (const char* limit : {"inf", "float('inf')", "np.inf", "math.inf"}) {
    const Result<ParsedLayer> layer =
        parse_layer(fmt::format("{{'filters': 2, 'kernel_size': 3, 'activation': {{'class_name': 'ReLU', "
                                "'config': {{'max_value': {}}}}}}}",
                                limit));
    ASSERT_TRUE(layer) << limit << layer.error().message;
    EXPECT_EQ(layer->spec.activation, make_relu()) << limit;
  }
  EXPECT_EQ(parse_layer("Conv1D(2, 3, activation=keras.layers.ReLU(max_value=np.inf))")->spec.activation,
            make_relu());
  EXPECT_EQ(parse_layer("Conv1D(2, 3, activation=-inf)").error().message,
            "`activation` must be a name, a function, a layer or None, got -inf at column 25.");
}

}  // namespace
}  // namespace convsmith
