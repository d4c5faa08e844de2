// Configs are what Keras writes, and survive reading.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "convsmith/activation.hpp"
#include "frontend/keras/layer_config.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "tests/frontend/arbitrary_spec.hpp"
#include "tests/frontend/golden.hpp"

namespace convsmith {
namespace {

using golden::Json;

// Without what is None: a key that is not there means the same.
Json without_nulls(const Json& json) {
  if (!json.is_object()) return json;
  Json out = Json::object();
  for (const auto& [key, value] : json.items()) {
    if (!value.is_null()) out[key] = without_nulls(value);
  }
  return out;
}

// Turns what Keras writes into the form that the writer chose where there are several.
Json normalized(Json config, Dialect dialect) {
  config = without_nulls(config);
  for (auto& [key, value] : config.items()) {
    if (!value.is_object()) continue;
    if (dialect == Dialect::kKeras2) value.erase("module");
    if (key == "activation") value["config"].erase("name");
  }
  return config;
}

void expect_keras_config(const Json& layer, Dialect dialect) {
  SCOPED_TRACE(layer.dump());
  const Result<ParsedLayer> parsed = parse_layer(layer.dump(), Rules::kAny);
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
  const Result<std::string> text = layer_config(parsed->spec, dialect);
  ASSERT_TRUE(text.has_value()) << text.error().message;
  const Json ours = normalized(Json::parse(*text), dialect);
  const Json keras = normalized(layer["config"], dialect);
  for (const auto& [key, value] : keras.items()) {
    // Keras 2 writes arguments of the base class that a separable layer does not use.
    if (key.starts_with("kernel_") && !ours.contains(key)) continue;
    ASSERT_TRUE(ours.contains(key)) << key;
    EXPECT_EQ(Json::diff(Json(ours[key]), value), Json::array()) << key;
  }
  for (const auto& [key, value] : ours.items()) EXPECT_TRUE(keras.contains(key)) << key;
}

TEST(LayerConfig, IsWhatKerasWrites) {
  int cases = 0;
  for (const std::string name : {"conv1d.jsonl", "conv1d_transpose.jsonl", "depthwise_conv1d.jsonl",
                                 "separable_conv1d.jsonl", "dense.jsonl"}) {
    for (const Json& row : golden::read_lines(name)) {
      if (!row.contains("layer") || !row["layer"].contains("config")) continue;
      const bool keras3 = row["dialect"] == "keras3";
      expect_keras_config(row["layer"], keras3 ? Dialect::kKeras3 : Dialect::kKeras2);
      if (testing::Test::HasFailure()) return;
      ++cases;
    }
  }
  EXPECT_GT(cases, 850);
}

RC_GTEST_PROP(LayerConfig, SurvivesReading, ()) {
  const LayerSpec spec =
      any_spec(any_of({LayerKind::kConv1D, LayerKind::kConv1DTranspose, LayerKind::kDepthwiseConv1D,
                       LayerKind::kSeparableConv1D, LayerKind::kDense}));
  const Result<std::string> text = layer_object(spec, spec.dialect);
  if (!text) {  // lambdas, the other generation's activations
    RC_ASSERT(text.error().message.ends_with("."));
    RC_TAG("refused");
    return;
  }
  RC_TAG("written");
  const Result<ParsedLayer> layer = parse_layer(*text, Rules::kAny);
  if (!layer) RC_FAIL(*text + "\n" + layer.error().message);
  if (layer->spec != spec) RC_FAIL(*text + "\n" + to_call_text(layer->spec) + "\n" + to_call_text(spec));
}

TEST(LayerConfig, Text) {
  const LayerSpec spec{.filters = 4,
                       .kernel_size = 3,
                       .activation = make_relu(0.1F),
                       .kernel_regularizer = Regularizer{"L2", {{"l2", 0.01}}},
                       .input_shape = {10, 128},
                       .name = "first"};
  EXPECT_EQ(
      layer_object(spec, Dialect::kKeras2).value(),
      R"({"class_name":"Conv1D","config":{"name":"first","trainable":true,"batch_input_shape":[null,10,)"
      R"(128],"dtype":"float32","filters":4,"kernel_size":[3],"strides":[1],"padding":"valid",)"
      R"("data_format":"channels_last","dilation_rate":[1],"groups":1,"activation":{"class_name":)"
      R"("LeakyReLU","config":{"name":"leaky_re_lu","trainable":true,"dtype":"float32","alpha":0.1}},)"
      R"("use_bias":true,"kernel_initializer":{"class_name":"GlorotUniform","config":{}},)"
      R"("bias_initializer":{"class_name":"Zeros","config":{}},"kernel_regularizer":{"class_name":"L2",)"
      R"("config":{"l2":0.01}},"bias_regularizer":null,"activity_regularizer":null,)"
      R"("kernel_constraint":null,"bias_constraint":null}})");
  const Json keras3 = Json::parse(layer_object(spec, Dialect::kKeras3).value());
  EXPECT_EQ(keras3["module"], "keras.layers");
  EXPECT_EQ(keras3["build_config"]["input_shape"], Json::parse("[null, 10, 128]"));
  EXPECT_EQ(keras3["config"]["activation"]["config"]["negative_slope"], 0.1);
}

TEST(LayerConfig, RefusesWhatKerasCannotSay) {
  LayerSpec spec{.filters = 4, .kernel_size = 3, .activation = {ActivationKind::kGeluTanh}};
  EXPECT_EQ(layer_config(spec, Dialect::kKeras3).error().message,
            "`activation` is lambda x: keras.activations.gelu(x, approximate=True), for which Keras has no "
            "config.");
  spec.activation = {ActivationKind::kHardTanh};
  EXPECT_EQ(layer_config(spec, Dialect::kKeras2).error().message,
            "`activation` 'hard_tanh' is no activation of Keras 2.");
  spec = {.filters = 4, .kernel_size = 3, .padding = Padding::kExplicit, .pad_left = 1};
  EXPECT_EQ(layer_config(spec, Dialect::kKeras2).error().message,
            "`padding` is (1, 0), for which Keras has no config.");
  spec = {.filters = 4, .kernel_size = 3, .bias_initializer = {"Xavier"}};
  EXPECT_EQ(layer_config(spec, Dialect::kKeras2).error().message,
            "`bias_initializer`: unknown initializer 'Xavier'. Xavier's are 'glorot_uniform' and "
            "'glorot_normal' here.");
}

TEST(LayerConfig, SnakeCase) {
  const std::pair<const char*, const char*> names[] = {{"Conv1DTranspose", "conv1d_transpose"},
                                                       {"ReLU", "re_lu"},
                                                       {"PReLU", "p_re_lu"},
                                                       {"LeakyReLU", "leaky_re_lu"},
                                                       {"MaxPooling1D", "max_pooling1d"},
                                                       {"Dense", "dense"}};
  for (const auto& [class_name, name] : names) EXPECT_EQ(to_snake_case(class_name), name);
}

}  // namespace
}  // namespace convsmith
