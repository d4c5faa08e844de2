// The layer objects: Keras's documentation examples, golden losses, and what users get wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <numeric>

#include "convsmith/layers.hpp"
#include "tests/runtime/keras_object_json.hpp"

namespace convsmith::layers {
namespace {

using golden::Json;
using testing::HasSubstr;

Tensor filled(std::vector<int64_t> shape, float value) {
  size_t count = 1;
  for (const int64_t size : shape) count *= static_cast<size_t>(size);
  return {std::move(shape), std::vector<float>(count, value)};
}

// "" where a result has a value.
template <class T>
std::string message(const Result<T>& result) {
  return result ? "" : result.error().message;
}

double total(const Result<std::vector<double>>& losses) {
  return std::accumulate(losses->begin(), losses->end(), 0.0);
}

// layer = Dense(5, kernel_initializer='ones', kernel_regularizer=L1(0.01), activity_regularizer=L2(0.01))
// out = layer(ones((5, 5)) * 2)
// The kernel regularization term is 0.25, the activity regularization term (after dividing by the batch size)
// is 5.
TEST(LayerObjects, DocumentedLosses) {
  Dense layer(5, {.kernel_initializer = "ones",
                  .kernel_regularizer = regularizers::L1(0.01),
                  .activity_regularizer = regularizers::L2(0.01)});
  EXPECT_EQ(total(layer.losses()), 0.0);  // nothing is built
  const Result<Tensor> out = layer(filled({5, 5}, 2.0F));
  ASSERT_TRUE(out.has_value()) << out.error().message;
  EXPECT_EQ(*out, filled({5, 5}, 10.0F));
  const auto losses = layer.losses();
  ASSERT_EQ(losses->size(), 2U);
  EXPECT_DOUBLE_EQ((*losses)[0], 0.25);
  EXPECT_DOUBLE_EQ((*losses)[1], 5.0);
}

// def l1_reg(weight_matrix): return 0.01 * sum(abs(weight_matrix))
TEST(LayerObjects, DocumentedCustomRegularizer) {
  const auto l1_reg = [](const Tensor& weight_matrix) {
    double sum = 0.0;
    for (const float x : weight_matrix.data) sum += std::abs(x);
    return 0.01 * sum;
  };
  Dense layer(5, {.kernel_initializer = "ones",
                  .kernel_regularizer = l1_reg,
                  .bias_regularizer = l1_reg,
                  .activity_regularizer = l1_reg});
  ASSERT_TRUE(layer(filled({4, 3}, 2.0F)).has_value());
  EXPECT_THAT(layer.losses().value(), testing::ElementsAre(testing::DoubleNear(0.01 * 15, 1e-9), 0.0,
                                                           testing::DoubleNear(0.01 * 5 * 6, 1e-9)));
  EXPECT_THAT(message(layer.get_config()), HasSubstr("has a function as a regularizer"));
}

// Dense(64, kernel_regularizer=L1L2(l1=1e-5, l2=1e-4), bias_regularizer=L2(1e-4),
// activity_regularizer=L2(1e-5))
TEST(LayerObjects, DocumentedArguments) {
  Dense layer({.units = 64,
               .kernel_initializer = initializers::constant(0.5),
               .bias_initializer = "ones",
               .kernel_regularizer = regularizers::L1L2(1e-5, 1e-4),
               .bias_regularizer = regularizers::L2(1e-4),
               .activity_regularizer = regularizers::L2(1e-5)});
  ASSERT_TRUE(layer(filled({2, 8}, 1.0F)).has_value());
  const double weights = 64 * 8;
  const auto losses = layer.losses();
  ASSERT_EQ(losses->size(), 3U);
  EXPECT_DOUBLE_EQ((*losses)[0], 1e-5 * weights * 0.5 + 1e-4 * weights * 0.25);
  EXPECT_DOUBLE_EQ((*losses)[1], 1e-4 * 64);
  EXPECT_DOUBLE_EQ((*losses)[2], 1e-5 * 64 * 25);  // each output is 8 * 0.5 + 1, twice, over a batch of 2
}

// conv = Conv1D(32, 3, activation='relu', input_shape=(10, 128)): (4, 10, 128) -> (4, 8, 32)
TEST(LayerObjects, DocumentedConvolution) {
  Conv1D layer(32, 3, {.activation = "relu", .input_shape = {10, 128}});
  EXPECT_EQ(*layer.compute_output_shape({4, 10, 128}), (Shape{4, 8, 32}));
  const Result<Tensor> y = layer(filled({4, 10, 128}, 1.0F));
  ASSERT_TRUE(y.has_value()) << y.error().message;
  EXPECT_EQ(y->shape, (std::vector<int64_t>{4, 8, 32}));
  EXPECT_EQ(layer.count_params(), 3 * 128 * 32 + 32);
  EXPECT_EQ(layer.get_weights()[0].shape, (std::vector<int64_t>{3, 128, 32}));
}

TEST(LayerObjects, GoldenLayers) {
  const golden::Arrays<float> arrays("regularizers.f32");
  int cases = 0;
  for (const Json& row : golden::read_lines("regularizers.jsonl")) {
    const std::string class_name = row["layer"]["class_name"].get<std::string>();
    SCOPED_TRACE(row["id"].get<std::string>());
    Result<Layer> layer = Layer::from_config(row["layer"].dump());
    ASSERT_TRUE(layer.has_value()) << layer.error().message;
    const Tensor input = golden::to_tensor(arrays, row["tensors"]["input"]);
    ASSERT_EQ(message(layer->build({input.shape.begin(), input.shape.end()})), "");
    const Json& tensors = row["tensors"];
    std::vector<Tensor> weights;
    for (const char* name : {"kernel", "depthwise_kernel", "pointwise_kernel", "bias"}) {
      if (tensors.contains(name)) weights.push_back(golden::to_tensor(arrays, tensors[name]));
    }
    ASSERT_EQ(message(layer->set_weights(weights)), "");
    const Result<Tensor> output = (*layer)(input);
    ASSERT_TRUE(output.has_value()) << output.error().message;
    const Tensor wanted = golden::to_tensor(arrays, row["tensors"]["output"]);
    ASSERT_EQ(output->shape, wanted.shape);
    for (size_t i = 0; i < wanted.data.size(); ++i) ASSERT_NEAR(output->data[i], wanted.data[i], 1e-5);
    auto losses = layer->losses().value();
    auto keras = row["losses"].get<std::vector<double>>();
    std::sort(losses.begin(), losses.end());
    std::sort(keras.begin(), keras.end());
    ASSERT_EQ(losses.size(), keras.size());
    for (size_t i = 0; i < keras.size(); ++i) EXPECT_NEAR(losses[i], keras[i], 1e-5 * keras[i] + 1e-9);
    ++cases;
  }
  EXPECT_EQ(cases, 161);
}

TEST(LayerObjects, WeightsAndConstraints) {
  Dense layer(2, {.kernel_constraint = constraints::max_norm(1.0), .bias_constraint = "non_neg"});
  EXPECT_EQ(message(layer.set_weights({})),
            "The layer `dense` has no weights yet; build it or call it first.");
  ASSERT_EQ(message(layer.build({std::nullopt, 2})), "");
  ASSERT_EQ(message(layer.set_weights({{{2, 2}, {3, 0.5F, 4, 0}}, {{2}, {-1, 1}}})), "");
  EXPECT_EQ(layer(filled({1, 2}, 1.0F))->data, (std::vector<float>{6, 1.5F}));
  ASSERT_EQ(message(layer.apply_constraints()), "");
  EXPECT_NEAR(layer.get_weights()[0].data[0], 0.6, 1e-6);
  EXPECT_EQ(layer.get_weights()[1].data, (std::vector<float>{0, 1}));
  EXPECT_NEAR(layer(filled({1, 2}, 1.0F))->data[0], 1.4, 1e-6);  // packed anew
  EXPECT_EQ(message(layer.set_weights({{{2, 2}, {1, 2, 3, 4}}})),
            "The layer `dense` has 2 weights, but 1 are given.");
  EXPECT_EQ(message(layer.set_weights({{{4}, {1, 2, 3, 4}}, {{2}, {0, 0}}})),
            "The layer `dense` has the shape (2, 2) for weight 0, but (4) is given.");
  EXPECT_THAT(message(layer.set_weights({{{2, 2}, {1}}, {{2}, {0, 0}}})),
              HasSubstr("A tensor of shape (2, 2) has 1 elements"));
}

TEST(LayerObjects, ConfigsMakeTheSameLayer) {
  SeparableConv1D layer(8, 5,
                        {.strides = 2,
                         .padding = "same",
                         .depth_multiplier = 2,
                         .activation = "relu",
                         .depthwise_initializer = initializers::he_normal(3),
                         .pointwise_regularizer = "l2",
                         .name = "sep"});
  for (const Dialect dialect : {Dialect::kKeras2, Dialect::kKeras3}) {
    const Result<std::string> text = layer.serialize(dialect);
    ASSERT_TRUE(text.has_value()) << text.error().message;
    const Result<Layer> again = Layer::from_config(*text);
    ASSERT_TRUE(again.has_value()) << again.error().message;
    EXPECT_EQ(again->class_name(), "SeparableConv1D");
    EXPECT_EQ(again->name(), "sep");
    EXPECT_EQ(again->get_config(dialect).value(), layer.get_config(dialect).value());
  }
}

TEST(LayerObjects, Mistakes) {
  const Tensor x = filled({1, 4, 3}, 1.0F);
  EXPECT_EQ(message(Conv1D(0, 3)(x)), "`filters` must be an integer from 1 to 2147483647, got 0.");
  EXPECT_EQ(message(Conv1D(2, 3, {.activation = "rellu"})(x)),
            "Unknown activation 'rellu'. Did you mean 'relu'?");
  EXPECT_EQ(message(Conv1D(2, 3, {.kernel_initializer = "xavier"}).losses()),
            "`kernel_initializer`: unknown initializer 'xavier'. Xavier's are 'glorot_uniform' and "
            "'glorot_normal' here.");
  EXPECT_EQ(message(Dense(2, {.kernel_regularizer = Regularizer{"L3"}}).build({1, 2})),
            "`kernel_regularizer`: unknown regularizer 'L3'.");
  EXPECT_NE(message(Conv1D(2, 3)(filled({4, 3}, 1.0F))), "");
  Conv1D conv(2, 3);
  ASSERT_TRUE(conv(x).has_value());
  EXPECT_EQ(message(conv(filled({1, 4, 5}, 1.0F))),
            "The layer `conv1d` was built for inputs of shape (1, 4, 3), but the input has the shape (1, 4, "
            "5).");
  EXPECT_THAT(message(conv({{1, 4, 3}, {}})), HasSubstr("which is not the product of its sizes."));
  EXPECT_THAT(message(conv(Tensor{})), testing::EndsWith("."));
  EXPECT_EQ(message(MaxPooling1D({.pool_size = 0})(x)),
            "`pool_size` of MaxPooling1D must be an integer from 1 to 2147483647, got 0.");
  EXPECT_EQ(message(Dropout(1.5).build({1, 2})), "`rate` of Dropout must be from 0 to 1, got 1.5.");
  EXPECT_EQ(message(Activation("nope").build({1, 2})), "Unknown activation 'nope'.");
  EXPECT_EQ(message(ReLU({.threshold = -1.0}).build({1, 2})),
            "`threshold` of ReLU must be a finite number that is at least 0, got -1.");
}

TEST(LayerObjects, SeedsDecideWeights) {
  const auto weights = [](uint64_t seed) {
    Conv1D layer(4, 3);
    EXPECT_EQ(message(layer.build({1, 8, 2}, seed)), "");
    return layer.get_weights();
  };
  EXPECT_EQ(weights(1), weights(1));
  EXPECT_NE(weights(1), weights(2));
}

Sequential small_model() {
  Sequential model;
  model.add(Conv1D(4, 3, {.activation = "relu", .input_shape = {20, 2}}));
  model.add(BatchNormalization());
  model.add(ReLU({.max_value = 6.0}));
  model.add(MaxPooling1D());
  model.add(Conv1D(6, 3, {.padding = "same", .kernel_regularizer = "l2"}));
  model.add(ZeroPadding1D(1, 2));
  model.add(Cropping1D(1));
  model.add(UpSampling1D());
  model.add(GlobalAveragePooling1D());
  model.add(Dropout(0.5));
  model.add(Dense(3, {.activation = "softmax"}));
  return model;
}

TEST(SequentialModel, ShapesAndSummary) {
  Sequential model = small_model();
  ASSERT_EQ(message(model.build()), "");
  EXPECT_EQ(*model.output_shape(), (Shape{std::nullopt, 3}));
  std::string text;
  const auto rows = model.summary().value();
  for (const auto& row : rows) {
    text += row.name + " " + std::to_string(row.params) + " " +
            (row.output_shape.size() == 3 ? std::to_string(*row.output_shape[1]) + "," : "") +
            std::to_string(*row.output_shape.back()) + "\n";
  }
  EXPECT_EQ(text,
            "conv1d 28 18,4\nbatch_normalization 16 18,4\nre_lu 0 18,4\nmax_pooling1d 0 9,4\n"
            "conv1d_1 78 9,6\nzero_padding1d 0 12,6\ncropping1d 0 10,6\nup_sampling1d 0 20,6\n"
            "global_average_pooling1d 0 6\ndropout 0 6\ndense 21 3\n");
  EXPECT_EQ(model.get_weights().size(), 10U);
  EXPECT_EQ(model.losses()->size(), 1U);
}

TEST(SequentialModel, WeightsAndConfig) {
  Sequential model = small_model();
  ASSERT_EQ(message(model.build(7)), "");
  Sequential other = small_model();
  ASSERT_EQ(message(other.set_weights(model.get_weights())), "");
  EXPECT_EQ(other.get_weights(), model.get_weights());
  EXPECT_EQ(message(other.set_weights({})), "The model `sequential` has 10 weights, but 0 are given.");
  for (const Dialect dialect : {Dialect::kKeras2, Dialect::kKeras3}) {
    const Json config = Json::parse(model.get_config(dialect).value());
    EXPECT_EQ(config["name"], "sequential");
    ASSERT_EQ(config["layers"].size(), 11U);
    EXPECT_EQ(config["layers"][4]["config"]["name"], "conv1d_1");
    EXPECT_EQ(config["layers"][2]["config"]["max_value"], 6.0);
    EXPECT_EQ(config["build_input_shape"], Json::parse("[null, 20, 2]"));
  }
}

TEST(SequentialModel, Runs) {
  Sequential model({InputLayer({10, 2}), Conv1D(3, 2, {.kernel_initializer = "ones"}),
                    Dense(2, {.kernel_initializer = "ones", .activity_regularizer = "l1"})});
  const Result<Tensor> y = model(filled({4, 10, 2}, 1.0F));
  ASSERT_TRUE(y.has_value()) << y.error().message;
  EXPECT_EQ(*y, filled({4, 9, 2}, 12.0F));
  EXPECT_NEAR(total(model.losses()), 0.01 * 9 * 2 * 12, 1e-9);
}

// A compiled model and its layers called one after the other agree.
TEST(SequentialModel, AgreesWithItsLayers) {
  Sequential model = small_model();
  Tensor x = filled({2, 20, 2}, 0.0F);
  for (size_t i = 0; i < x.data.size(); ++i) x.data[i] = static_cast<float>(i % 7) - 3.0F;
  const Result<Tensor> whole = model(x);
  ASSERT_TRUE(whole.has_value()) << whole.error().message;
  Tensor step = x;
  for (Layer layer : model.layers()) {
    Result<Tensor> next = layer(step);
    ASSERT_TRUE(next.has_value()) << layer.name() << ": " << next.error().message;
    step = std::move(*next);
  }
  ASSERT_EQ(whole->shape, step.shape);
  for (size_t i = 0; i < step.data.size(); ++i) EXPECT_NEAR(whole->data[i], step.data[i], 1e-5);
}

TEST(SequentialModel, Mistakes) {
  Sequential model({Conv1D(3, 2)});
  EXPECT_EQ(message(model.build()),
            "The model `sequential` does not know its input's shape; begin it with an InputLayer or give "
            "`input_shape` to the first layer.");
  Sequential same({Dense(2, {.name = "a"}), Dense(2, {.name = "a"})});
  EXPECT_EQ(message(same.build({1, 2})),
            "Two layers of the model `sequential` are called `a`; names must differ.");
  Sequential wrong({InputLayer({10, 2}), Cropping1D(5)});
  EXPECT_EQ(message(wrong.build()),
            "In layer `cropping1d`: Cropping (5, 5) leaves no step of an input of shape (None, 10, 2).");
  Sequential reshape({InputLayer({10, 2}), Reshape({-1, 3})});
  EXPECT_EQ(
      message(reshape.build()),
      "In layer `reshape`: An input of shape (None, 10, 2) has 20 elements, which cannot be reshaped to "
      "(None, 3).");
  Sequential huge({InputLayer({int64_t{1} << 40, 2}), UpSampling1D(2147483647)});
  EXPECT_THAT(message(huge.build()), HasSubstr("has an axis longer than"));
}

}  // namespace
}  // namespace convsmith::layers
