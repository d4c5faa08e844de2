// The C functions: the bits of the C++ interface, options, models, threads.
#include "convsmith/convsmith.h"

#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <thread>
#include <vector>

#include "convsmith/model.hpp"
#include "tests/support/c_api.hpp"
#include "tests/support/places.hpp"

namespace convsmith::test {
namespace {

class CApiLayers : public testing::TestWithParam<const char*> {};

TEST_P(CApiLayers, GiveTheBitsOfCpp) {
  const int64_t batch = 3;
  const int64_t steps = 6001;  // enough work to be cut into several tasks
  const auto cpp = compile(GetParam());
  ASSERT_TRUE(cpp) << cpp.error().message;
  const OwnModel model = compile_c(GetParam());
  ASSERT_EQ(convsmith_output_steps(model.get(), &steps, 0), cpp->output_steps(steps));
  ASSERT_EQ(convsmith_input_floats(model.get(), 0, batch, &steps), batch * steps * cpp->channels());
  const int64_t out_floats = convsmith_output_floats(model.get(), 0, batch, &steps);
  ASSERT_EQ(out_floats, batch * cpp->output_steps(steps) * cpp->filters());
  EXPECT_EQ(convsmith_workspace_bytes(model.get(), batch, &steps, 2),
            static_cast<int64_t>(cpp->workspace_bytes(batch, steps, 2)));
  EXPECT_EQ(convsmith_describe(model.get()), to_call_text(cpp->spec()));
  for (size_t i = 0; i < cpp->weight_shapes().size(); ++i)
    EXPECT_EQ(convsmith_weight_name(model.get(), i), cpp->weight_shapes()[i].name);

  const auto arrays = weight_arrays(model.get());
  const auto input = numbers(static_cast<size_t>(batch * steps * cpp->channels()), 5);
  std::vector<float> expected(static_cast<size_t>(out_floats), -1.0F);
  const std::vector<std::span<const float>> spans(arrays.begin(), arrays.end());
  ASSERT_EQ(cpp->run(*cpp->pack(spans), input.data(), expected.data(), batch, steps), RunStatus::kOk);

  const OwnWeights weights = pack_c(model.get(), arrays);
  convsmith_thread_pool* made = nullptr;
  ASSERT_EQ(convsmith_thread_pool_create(2, &made), CONVSMITH_OK);
  const OwnPool pool(made);
  int calls = 0;
  const convsmith_parallel_for reverse{run_in_reverse, &calls, 3};
  std::vector<double> workspace(
      static_cast<size_t>(convsmith_workspace_bytes(model.get(), batch, &steps, 3)) / sizeof(double) + 1);
  for (const convsmith_parallel_for* parallel : {static_cast<const convsmith_parallel_for*>(nullptr),
                                                 convsmith_thread_pool_parallel_for(pool.get()), &reverse}) {
    for (void* memory : {static_cast<void*>(nullptr), static_cast<void*>(workspace.data())}) {
      const convsmith_run_options options{sizeof(options), memory, parallel, CONVSMITH_DENORMALS_KEEP};
      std::vector<float> output(static_cast<size_t>(out_floats), -2.0F);
      ASSERT_EQ(
          convsmith_run(model.get(), weights.get(), input.data(), output.data(), batch, steps, &options),
          CONVSMITH_OK)
          << convsmith_last_error();
      ASSERT_EQ(bits(output), bits(expected));
    }
  }
  EXPECT_GT(calls, 0);
}

INSTANTIATE_TEST_SUITE_P(
    , CApiLayers,
    testing::Values("Conv1D(8, 3, activation='tanh', padding='same', input_shape=(None, 4))",
                    "Conv1D(8, 3, use_bias=False, data_format='channels_first', input_shape=(4, None))",
                    "SeparableConv1D(6, 5, activation='softmax', input_shape=(None, 4))",
                    "Conv1DTranspose(5, 4, strides=2, input_shape=(None, 3))",
                    "Dense(7, activation='relu', input_shape=(None, 9))"));

TEST(CApi, TakesOptionsAndJson) {
  const int64_t shape[] = {-1, -1, 2};
  auto options = sized<convsmith_compile_options>();
  options.backend = CONVSMITH_BACKEND_INTERP;
  options.isa = CONVSMITH_ISA_BASELINE;
  options.input_rank = 3;
  options.input_shape = shape;
  const OwnModel model = compile_c(
      R"({"class_name": "Conv1D", "config": {"name": "c", "filters": 3, "kernel_size": [2]}})", &options);
  auto info = sized<convsmith_info>();
  ASSERT_EQ(convsmith_get_info(model.get(), &info), CONVSMITH_OK);
  EXPECT_EQ(info.struct_size, sizeof(info));
  EXPECT_EQ(info.kind, CONVSMITH_KIND_LAYER);
  EXPECT_EQ(info.backend, CONVSMITH_BACKEND_INTERP);
  EXPECT_EQ(info.isa, CONVSMITH_ISA_BASELINE);
  EXPECT_EQ(info.inputs, 1);
  EXPECT_EQ(info.outputs, 1);
  EXPECT_EQ(info.weights, 2);
  EXPECT_EQ(info.code_bytes, 0U);
  const std::vector<int64_t> dims(convsmith_weight_dims(model.get(), 0),
                                  convsmith_weight_dims(model.get(), 0) + 3);
  EXPECT_EQ(dims, (std::vector<int64_t>{2, 2, 3}));
  EXPECT_EQ(convsmith_weight_rank(model.get(), 1), 1);

  options.rules = CONVSMITH_RULES_KERAS3;
  options.schedule = "nonsense";
  convsmith_model* none = model.get();
  EXPECT_EQ(convsmith_compile(kLayer, &options, &none), CONVSMITH_INVALID_SPEC);
  EXPECT_EQ(none, nullptr);
}

TEST(CApi, TellsItsVersion) {
  EXPECT_STREQ(convsmith_version(), CONVSMITH_VERSION);
  EXPECT_EQ(convsmith_abi_version(), CONVSMITH_ABI_VERSION);
  int major = 0;
  int minor = 0;
  int patch = 0;
  ASSERT_EQ(std::sscanf(convsmith_version(), "%d.%d.%d", &major, &minor, &patch), 3);
  EXPECT_EQ(convsmith_version_number(), major * 10000 + minor * 100 + patch);
}

std::string data_file(const std::string& name) {
  return places::test_data("models/" + name);
}

TEST(CApiModels, RunsTwoInputsAndTwoOutputs) {
  const std::string path = data_file("two_in_two_out_k3/model.keras");
  const auto loaded = load_model({path});
  if (!loaded && loaded.error().code == ErrorCode::kUnavailable) GTEST_SKIP() << loaded.error().message;
  ASSERT_TRUE(loaded) << loaded.error().message;
  const auto cpp = compile(*loaded);
  ASSERT_TRUE(cpp);
  convsmith_model* made = nullptr;
  ASSERT_EQ(convsmith_load_model(path.c_str(), nullptr, nullptr, &made), CONVSMITH_OK)
      << convsmith_last_error();
  const OwnModel model(made);

  const int64_t steps[] = {9, 9};
  std::vector<std::vector<float>> inputs;
  std::vector<std::vector<float>> expected;
  std::vector<std::vector<float>> outputs;
  for (size_t i = 0; i < 2; ++i) {
    inputs.push_back(numbers(static_cast<size_t>(convsmith_input_floats(made, i, 2, steps)), 3));
    expected.emplace_back(static_cast<size_t>(convsmith_output_floats(made, i, 2, steps)), -1.0F);
    outputs.emplace_back(expected.back().size(), -2.0F);
  }
  const auto shapes = cpp->output_shapes(2, steps);
  EXPECT_EQ(expected[0].size(), static_cast<size_t>(shapes[0][0] * shapes[0][1] * shapes[0][2]));
  EXPECT_EQ(convsmith_output_steps(made, steps, 0), shapes[0][1]);
  EXPECT_EQ(convsmith_output_steps(made, steps, 1), 1);  // without a steps axis
  const float* in[] = {inputs[0].data(), inputs[1].data()};
  float* want[] = {expected[0].data(), expected[1].data()};
  float* out[] = {outputs[0].data(), outputs[1].data()};
  ASSERT_EQ(cpp->run(in, want, 2, steps), RunStatus::kOk);
  ASSERT_EQ(convsmith_run_many(made, nullptr, in, 2, out, 2, 2, steps, nullptr), CONVSMITH_OK);
  EXPECT_EQ(bits(outputs[0]), bits(expected[0]));
  EXPECT_EQ(bits(outputs[1]), bits(expected[1]));
  EXPECT_EQ(convsmith_describe(made), cpp->plan());

  EXPECT_EQ(convsmith_run(made, nullptr, in[0], out[0], 2, 9, nullptr), CONVSMITH_BAD_SIZE);
  EXPECT_STREQ(convsmith_last_error(), "The model has 2 inputs and 2 outputs; the call has 1 and 1.");
  const int64_t unequal[] = {9, 8};
  EXPECT_EQ(convsmith_run_many(made, nullptr, in, 2, out, 2, 2, unequal, nullptr), CONVSMITH_WRONG_STEPS);
  const float* missing[] = {inputs[0].data(), nullptr};
  EXPECT_EQ(convsmith_run_many(made, nullptr, missing, 2, out, 2, 2, steps, nullptr), CONVSMITH_NULL_POINTER);
  EXPECT_EQ(convsmith_run_many(made, nullptr, in, 1, out, 2, 2, steps, nullptr), CONVSMITH_BAD_SIZE);
  EXPECT_EQ(convsmith_run_many(made, nullptr, nullptr, 2, out, 2, 2, steps, nullptr), CONVSMITH_NULL_POINTER);
  EXPECT_EQ(convsmith_run_many(made, nullptr, in, 2, nullptr, 2, 2, steps, nullptr), CONVSMITH_NULL_POINTER);
  EXPECT_EQ(convsmith_run_many(made, nullptr, in, 2, out, 2, 2, nullptr, nullptr), CONVSMITH_NULL_POINTER);
  const OwnModel layer = compile_c(kLayer);
  const OwnWeights weights = pack_c(layer.get(), weight_arrays(layer.get()));
  EXPECT_EQ(convsmith_run_many(made, weights.get(), in, 2, out, 2, 2, steps, nullptr),
            CONVSMITH_WRONG_WEIGHTS);
  EXPECT_EQ(convsmith_output_steps(made, steps, 2), -1);
  EXPECT_STREQ(convsmith_last_error(), "output is 2; the model has 2 of them.");
  EXPECT_EQ(convsmith_input_floats(made, 2, 1, steps), -1);
  EXPECT_EQ(convsmith_output_floats(made, 2, 1, steps), -1);
}

TEST(CApi, WeightsOutliveTheirModelAndFitTheNextOne) {
  OwnModel model = compile_c(kLayer);
  const OwnWeights weights = pack_c(model.get(), weight_arrays(model.get()));
  model = compile_c(kLayer);
  std::vector<float> x(8, 1.0F);
  std::vector<float> y(9, -1.0F);
  EXPECT_EQ(convsmith_run(model.get(), weights.get(), x.data(), y.data(), 1, 4, nullptr), CONVSMITH_OK);
  EXPECT_NE(y[8], -1.0F);
}

TEST(CApi, ServesManyThreads) {
  const OwnModel shared = compile_c(kLayer);
  const auto arrays = weight_arrays(shared.get());
  const OwnWeights weights = pack_c(shared.get(), arrays);
  const auto x = numbers(2 * 50, 8);
  std::vector<float> expected(3 * 49);
  ASSERT_EQ(convsmith_run(shared.get(), weights.get(), x.data(), expected.data(), 1, 50, nullptr),
            CONVSMITH_OK);
  std::atomic<int> wrong = 0;
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 20; ++i) {
        const OwnModel own = compile_c(kLayer);
        const OwnWeights packed = pack_c(own.get(), arrays);
        std::vector<float> y(expected.size());
        const bool mine = (i + t) % 2 == 0;
        if (convsmith_run(mine ? own.get() : shared.get(), mine ? packed.get() : weights.get(), x.data(),
                          y.data(), 1, 50, nullptr) != CONVSMITH_OK ||
            bits(y) != bits(expected))
          ++wrong;
        const std::string bad = "Conv1D(" + std::to_string(-t - 1) + ", 1, input_shape=(None, 2))";
        convsmith_model* none = nullptr;
        convsmith_compile(bad.c_str(), nullptr, &none);
        if (std::string(convsmith_last_error()).find(std::to_string(-t - 1)) == std::string::npos) ++wrong;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0);
}

}  // namespace
}  // namespace convsmith::test
