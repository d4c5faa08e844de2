// Lengths that a layer or model does not take: the sentence names the layer and what would fit, in the C++
// and C interfaces and in layer objects.
#include "runtime/why_refused.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "convsmith/convsmith.h"
#include "runtime/objects/run_model.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/model_maker.hpp"
#include "tests/support/unet_json.hpp"

namespace convsmith {
namespace {

using test::integers;
using test::ModelMaker;
using ::testing::HasSubstr;

ModelSpec pooled(int64_t stride) {
  ModelMaker m(integers(1));
  const int in = m.input({std::nullopt, 1});
  int x = m.add("down", "AveragePooling1D", PoolOp{.average = true, .pool_size = stride, .strides = stride},
                {in}, {});
  x = m.add("up", "UpSampling1D", UpSamplingOp{stride}, {x}, {});
  return m.finish({m.merge("skip", {in, x}, MergeKind::kAdd)});
}

TEST(WhyRefused, AModelNamesTheLayerAndTheNearestLengths) {
  for (const int64_t stride : {2, 5, 9}) {
    const auto model = compile(Model(std::make_shared<const ModelSpec>(pooled(stride))));
    ASSERT_TRUE(model) << model.error().message;
    const int64_t good = 20 * stride;
    const int64_t bad = good + 1;
    EXPECT_TRUE(model->check(1, {&good, 1}));
    const Result<void> refused = model->check(1, {&bad, 1});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message, HasSubstr("Layer 'skip'"));
    EXPECT_THAT(refused.error().message, HasSubstr("the nearest that fit are " + std::to_string(good) +
                                                   " and " + std::to_string(good + stride)));
    std::vector<float> x(static_cast<size_t>(bad));
    std::vector<float> y(x.size());
    EXPECT_EQ(model->run(x.data(), y.data(), 1, bad), RunStatus::kWrongSteps);
    EXPECT_EQ(why_refused(*model, RunStatus::kWrongSteps, 1, {&bad, 1}), refused.error().message);
    const auto output = run_model(pooled(stride), {{1, bad, 1}, x}, Denormals::kKeep);
    ASSERT_FALSE(output);
    EXPECT_EQ(output.error().message, refused.error().message);
    const int64_t negative = -1;
    EXPECT_FALSE(model->check(1, {&negative, 1}));
    EXPECT_FALSE(model->check(1, {}));
  }
}

TEST(WhyRefused, ALayerSaysHowManyStepsItNeeds) {
  const char* const texts[] = {"Conv1D(1, 9, input_shape=(None, 1))",
                               "Conv1D(1, 3, dilation_rate=10, input_shape=(None, 1))",
                               "Conv1D(1, 30, strides=4, input_shape=(None, 1))"};
  const int needed[] = {9, 21, 30};
  for (size_t i = 0; i < std::size(texts); ++i) {
    convsmith_model* layer = nullptr;
    ASSERT_EQ(convsmith_compile(texts[i], nullptr, &layer), CONVSMITH_OK) << convsmith_last_error();
    const std::vector<float> kernel(30, 1.0F);
    const float bias = 0;
    const float* arrays[] = {kernel.data(), &bias};
    const size_t sizes[] = {static_cast<size_t>(convsmith_weight_dims(layer, 0)[0]), 1};
    convsmith_weights* weights = nullptr;
    ASSERT_EQ(convsmith_pack(layer, arrays, sizes, 2, &weights), CONVSMITH_OK) << convsmith_last_error();
    std::vector<float> x(64);
    std::vector<float> y(64);
    EXPECT_EQ(convsmith_run(layer, weights, x.data(), y.data(), 1, needed[i] - 1, nullptr),
              CONVSMITH_EMPTY_OUTPUT);
    EXPECT_THAT(convsmith_last_error(),
                HasSubstr("needs at least " + std::to_string(needed[i]) + " input steps"));
    EXPECT_EQ(convsmith_run(layer, weights, x.data(), y.data(), 1, needed[i], nullptr), CONVSMITH_OK);
    convsmith_weights_destroy(weights);
    convsmith_model_destroy(layer);
  }
}

TEST(WhyRefused, TheCInterfaceSaysItOfModels) {
  const cli_test::TemporaryFolder folder;
  convsmith_model* model = nullptr;
  const convsmith_status loaded =
      convsmith_load_model(folder.write("unet.json", test::unet_json(6)).c_str(), nullptr, nullptr, &model);
  if (loaded == CONVSMITH_UNAVAILABLE) GTEST_SKIP() << "built without models";
  ASSERT_EQ(loaded, CONVSMITH_OK) << convsmith_last_error();
  std::vector<float> x(200);
  std::vector<float> y(200);
  EXPECT_EQ(convsmith_run(model, nullptr, x.data(), y.data(), 1, 50, nullptr), CONVSMITH_WRONG_STEPS);
  EXPECT_THAT(convsmith_last_error(), HasSubstr("Layer 'skip'"));
  EXPECT_THAT(convsmith_last_error(), HasSubstr("the nearest that fit are 48 and 54"));
  EXPECT_EQ(convsmith_run(model, nullptr, x.data(), y.data(), 1, 54, nullptr), CONVSMITH_OK);
  convsmith_model_destroy(model);
}

}  // namespace
}  // namespace convsmith
