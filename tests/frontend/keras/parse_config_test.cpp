// JSON: the configs of both generations, bare, wrapped and damaged.
#include "frontend/keras/parse_config.hpp"

#include <gtest/gtest.h>

#include "convsmith/activation.hpp"
#include "frontend/keras/make_problem.hpp"

namespace convsmith {
namespace {

std::string message(std::string_view text) {
  Result<ParsedLayer> layer = parse_layer(text);
  EXPECT_FALSE(layer.has_value()) << text;
  return layer ? "" : layer.error().message;
}

constexpr const char* kKeras2 = R"({"class_name": "Conv1D", "config": {"name": "conv1d", "trainable": true,
  "batch_input_shape": [null, 10, 128], "dtype": "float32", "filters": 32, "kernel_size": [3], "strides": [1],
  "padding": "valid", "data_format": "channels_last", "dilation_rate": [1], "groups": 1, "activation": "hard_sigmoid",
  "use_bias": true, "kernel_initializer": {"class_name": "GlorotUniform", "config": {"seed": null}},
  "bias_initializer": {"class_name": "Zeros", "config": {}},
  "kernel_regularizer": {"class_name": "L2", "config": {"l2": 0.01}}, "bias_regularizer": null,
  "activity_regularizer": null, "kernel_constraint": null, "bias_constraint": null}})";

constexpr const char* kKeras3 = R"({"module": "keras.layers", "class_name": "Conv1D", "registered_name": null,
  "config": {"name": "conv1d", "trainable": true,
  "dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}, "registered_name": null},
  "filters": 32, "kernel_size": [3], "activation": "hard_sigmoid",
  "kernel_regularizer": {"module": "keras.regularizers", "class_name": "L2", "config": {"l2": 0.01},
  "registered_name": null}}, "build_config": {"input_shape": [4, 10, 128]}})";

TEST(ParseConfig, BothGenerations) {
  LayerSpec expected{.filters = 32,
                     .kernel_size = 3,
                     .activation = {ActivationKind::kHardSigmoidKeras2},
                     .kernel_regularizer = Regularizer{"L2", {{"l2", 0.01}}},
                     .input_shape = {10, 128},
                     .name = "conv1d",
                     .dialect = Dialect::kKeras2};
  EXPECT_EQ(parse_layer(kKeras2).value().spec, expected);
  expected.activation = {ActivationKind::kHardSigmoidKeras3};
  expected.dialect = Dialect::kKeras3;
  expected.batch_size = 4;
  EXPECT_EQ(parse_layer(kKeras3).value().spec, expected);
  EXPECT_TRUE(parse_layer(kKeras3)->notes.empty());
  EXPECT_EQ(output_shape(make_problem(expected).value(), {4, 10, 128}).value(), (Shape{4, 8, 32}));
}

TEST(ParseConfig, DecidesTheGeneration) {
  auto dialect = [](const std::string& extra) {
    return parse_layer(R"({"filters": 1, "kernel_size": 1, )" + extra + "}").value().spec.dialect;
  };
  EXPECT_EQ(dialect(R"("module": "keras.layers")"), Dialect::kKeras2);
  EXPECT_EQ(dialect(R"("dtype": {"class_name": "Policy", "config": {"name": "float32"}})"), Dialect::kKeras2);
  EXPECT_EQ(dialect(R"("dtype": {"class_name": "DTypePolicy", "config": {"name": "float32"}})"),
            Dialect::kKeras3);
  EXPECT_EQ(dialect(R"("lora_rank": null)"), Dialect::kKeras3);
  EXPECT_EQ(
      dialect(
          R"("kernel_initializer": {"class_name": "HeNormal", "config": {"seed": 1, "input_axes": null}})"),
      Dialect::kKeras3);
}

TEST(ParseConfig, IntegersListsTuplesAndDefaults) {
  const LayerSpec expected{.filters = 2, .kernel_size = 3, .strides = 2, .dialect = Dialect::kKeras2};
  for (const char* text :
       {R"({"filters": 2, "kernel_size": 3, "strides": 2})",
        R"({"filters": 2, "kernel_size": [3], "strides": {"class_name": "__tuple__", "items": [2]}})",
        "{'filters': 2, 'kernel_size': (3,), 'strides': (2,), 'use_bias': True, 'name': None}"}) {
    EXPECT_EQ(parse_layer(text).value().spec, expected) << text;
  }
}

TEST(ParseConfig, BareConfigsShowTheirLayer) {
  auto kind = [](const char* text) { return parse_layer(text).value().spec.kind; };
  EXPECT_EQ(kind(R"({"filters": 2, "kernel_size": 3})"), LayerKind::kConv1D);
  EXPECT_EQ(kind(R"({"filters": 2, "kernel_size": 3, "output_padding": null})"), LayerKind::kConv1DTranspose);
  EXPECT_EQ(kind(R"({"filters": 2, "kernel_size": 3, "name": "conv1d_transpose_7"})"),
            LayerKind::kConv1DTranspose);
  EXPECT_EQ(kind(R"({"kernel_size": 3, "depth_multiplier": 1})"), LayerKind::kDepthwiseConv1D);
  EXPECT_EQ(kind(R"({"filters": 2, "kernel_size": 3, "depth_multiplier": 1})"), LayerKind::kSeparableConv1D);
  EXPECT_EQ(kind(R"({"units": 2})"), LayerKind::kDense);
}

TEST(ParseConfig, GroupsOfOtherKinds) {
  auto transposed = [](int groups, Rules rules) {
    return parse_layer(
        R"({"class_name": "Conv1DTranspose", "config": {"filters": 4, "kernel_size": 3, "groups": )" +
            std::to_string(groups) + "}}",
        rules);
  };
  for (const Rules rules : {Rules::kCommon, Rules::kKeras2, Rules::kKeras3}) {
    EXPECT_EQ(transposed(1, rules).value().notes, std::vector<std::string>());
  }
  EXPECT_EQ(transposed(2, Rules::kCommon)->notes.size(), 1U);
  EXPECT_EQ(transposed(2, Rules::kKeras3).error().message, "`groups` must be 1 in Conv1DTranspose, got 2.");
}

TEST(ParseConfig, UnknownKeysAreNotes) {
  const ParsedLayer layer = parse_layer(R"({"filters": 2, "kernel_size": 3, "novelty": {"a": [1]}})").value();
  EXPECT_EQ(layer.notes, std::vector<std::string>{"The key 'novelty' is not known and was ignored."});
}

TEST(ParseConfig, ActivationObjects) {
  auto activation = [](const std::string& text) {
    return parse_layer(R"({"filters": 2, "kernel_size": 3, "activation": )" + text + "}")
        .value()
        .spec.activation;
  };
  EXPECT_EQ(activation(R"({"class_name": "LeakyReLU", "config": {"name": "a", "alpha": 0.25}})"),
            make_relu(0.25F));
  EXPECT_EQ(activation(R"({"class_name": "LeakyReLU", "config": {"negative_slope": 0.25}})"),
            make_relu(0.25F));
  EXPECT_EQ(activation(R"({"class_name": "ReLU", "config": {"max_value": null, "threshold": 1}})"),
            make_relu(0, std::numeric_limits<float>::infinity(), 1));
  EXPECT_EQ(activation(R"({"module": "builtins", "class_name": "function", "config": "silu"})"),
            Activation{ActivationKind::kSilu});
  EXPECT_EQ(activation(R"({"class_name": "Activation", "config": {"activation": "tanh"}})"),
            Activation{ActivationKind::kTanh});
}

TEST(ParseConfig, Messages) {
  EXPECT_EQ(
      message(R"({"class_name": "LSTM", "config": {}})"),
      "Layer LSTM is not supported; expected Conv1D, Conv1DTranspose, DepthwiseConv1D, SeparableConv1D or "
      "Dense.");
  EXPECT_EQ(
      message(R"({"class_name": "Mine", "config": {}})"),
      "Unknown layer 'Mine'; expected Conv1D, Conv1DTranspose, DepthwiseConv1D, SeparableConv1D or Dense.");
  EXPECT_EQ(message(R"({"class_name": "Conv1D"})"),
            "A layer object must have the string `class_name` and the object `config`.");
  EXPECT_EQ(message("{}"), "The argument `filters` of Conv1D is missing.");
  EXPECT_EQ(message(R"({"filters": 2, "kernel_size": })"), "The JSON text is malformed at column 31.");
  EXPECT_EQ(message("{\"filters\": 2,\n \"kernel_size\" 3}"),
            "The JSON text is malformed at line 2, column 16.");
  EXPECT_EQ(message(R"({"filters": 2.0, "kernel_size": 3})"), "`filters` must be an integer, got 2.0.");
  EXPECT_EQ(message(R"({"filters": 18446744073709551615, "kernel_size": 3})"),
            "`filters` must be at most 2147483647, got 18446744073709551615.");
  EXPECT_EQ(
      message(R"({"filters": 2, "kernel_size": 3, "dtype": "complex64"})"),
      "`dtype` 'complex64' is not supported; layers compute in float32, and files of float16, bfloat16 and "
      "float64 are converted to it.");
  EXPECT_EQ(message(R"({"filters": 2, "kernel_size": 3, "activation": {"class_name": "Odd", "config": {}}})"),
            "Unknown activation 'Odd'.");
  EXPECT_EQ(message(R"({"filters": )" + std::string(200000, '[')), "JSON may be nested 64 deep at most.");
}

}  // namespace
}  // namespace convsmith
