// The C functions: the bits of the C++ interface, every error, the rules of struct_size, threads.
#include "convsmith/convsmith.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <bit>
#include <memory>
#include <thread>
#include <vector>

#include "convsmith/model.hpp"

namespace convsmith::test {
namespace {

using testing::HasSubstr;

// All defaults.
template <class Struct>
Struct sized(size_t size = sizeof(Struct)) {
  Struct out{};
  out.struct_size = size;
  return out;
}

struct Destroy {
  void operator()(convsmith_model* model) const { convsmith_model_destroy(model); }
  void operator()(convsmith_weights* weights) const { convsmith_weights_destroy(weights); }
  void operator()(convsmith_thread_pool* pool) const { convsmith_thread_pool_destroy(pool); }
};
using OwnModel = std::unique_ptr<convsmith_model, Destroy>;
using OwnWeights = std::unique_ptr<convsmith_weights, Destroy>;
using OwnPool = std::unique_ptr<convsmith_thread_pool, Destroy>;

std::vector<float> numbers(size_t count, uint32_t seed) {
  std::vector<float> data(count);
  for (float& value : data) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<float>(static_cast<int32_t>(seed)) * 0x1p-31F;
  }
  return data;
}

std::vector<uint32_t> bits(const std::vector<float>& data) {
  std::vector<uint32_t> out;
  for (const float value : data) out.push_back(std::bit_cast<uint32_t>(value));
  return out;
}

OwnModel compile_c(const char* text, const convsmith_compile_options* options = nullptr) {
  convsmith_model* model = nullptr;
  EXPECT_EQ(convsmith_compile(text, options, &model), CONVSMITH_OK) << convsmith_last_error();
  return OwnModel(model);
}

std::vector<std::vector<float>> weight_arrays(const convsmith_model* model) {
  auto info = sized<convsmith_info>();
  EXPECT_EQ(convsmith_get_info(model, &info), CONVSMITH_OK);
  std::vector<std::vector<float>> arrays;
  for (size_t i = 0; i < static_cast<size_t>(info.weights); ++i) {
    size_t floats = 1;
    for (int32_t axis = 0; axis < convsmith_weight_rank(model, i); ++axis)
      floats *= static_cast<size_t>(convsmith_weight_dims(model, i)[axis]);
    arrays.push_back(numbers(floats, static_cast<uint32_t>(i) + 17));
  }
  return arrays;
}

OwnWeights pack_c(const convsmith_model* model, const std::vector<std::vector<float>>& arrays) {
  std::vector<const float*> pointers;
  std::vector<size_t> sizes;
  for (const auto& array : arrays) {
    pointers.push_back(array.data());
    sizes.push_back(array.size());
  }
  convsmith_weights* weights = nullptr;
  EXPECT_EQ(convsmith_pack(model, pointers.data(), sizes.data(), sizes.size(), &weights), CONVSMITH_OK)
      << convsmith_last_error();
  return OwnWeights(weights);
}

void run_in_reverse(void* calls, void (*task)(void*, size_t), void* context, size_t count) {
  ++*static_cast<int*>(calls);
  while (count > 0) task(context, --count);
}

constexpr const char* kLayer = "Conv1D(3, 2, input_shape=(None, 2))";

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
      const convsmith_run_options options{sizeof(options), memory, parallel};
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
  return std::string(CONVSMITH_TEST_DATA) + "/models/" + name;
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

TEST(CApiModels, RefusesWhatIsNoModel) {
  convsmith_model* model = nullptr;
  EXPECT_NE(convsmith_load_model("/no/such/file.keras", nullptr, nullptr, &model), CONVSMITH_OK);
  EXPECT_EQ(model, nullptr);
  EXPECT_STRNE(convsmith_last_error(), "");
  auto options = sized<convsmith_compile_options>();
  options.schedule = "cut o";
  EXPECT_EQ(convsmith_load_model("m.keras", nullptr, &options, &model), CONVSMITH_INVALID_ARGUMENT);
  EXPECT_THAT(convsmith_last_error(), HasSubstr("for single layers"));
}

TEST(CApiErrors, NullArgumentsAreNamed) {
  const OwnModel model = compile_c(kLayer);
  convsmith_model* out = model.get();
  convsmith_weights* weights = nullptr;
  const float* arrays[] = {nullptr, nullptr};
  const size_t sizes[] = {12, 3};
  const int64_t steps = 4;
  const auto expect_null = [](convsmith_status status, const char* sentence) {
    EXPECT_EQ(status, CONVSMITH_NULL_POINTER);
    EXPECT_STREQ(convsmith_last_error(), sentence);
  };
  expect_null(convsmith_compile(nullptr, nullptr, &out), "The argument spec of convsmith_compile is null.");
  EXPECT_EQ(out, nullptr);
  expect_null(convsmith_compile(kLayer, nullptr, nullptr), "The argument out of convsmith_compile is null.");
  expect_null(convsmith_load_model(nullptr, nullptr, nullptr, &out),
              "The argument path of convsmith_load_model is null.");
  expect_null(convsmith_load_model("m", nullptr, nullptr, nullptr),
              "The argument out of convsmith_load_model is null.");
  expect_null(convsmith_load_artifact(nullptr, "n", &out),
              "The argument path of convsmith_load_artifact is null.");
  expect_null(convsmith_load_artifact("p", nullptr, &out),
              "The argument name of convsmith_load_artifact is null.");
  expect_null(convsmith_load_artifact("p", "n", nullptr),
              "The argument out of convsmith_load_artifact is null.");
  expect_null(convsmith_get_info(nullptr, nullptr), "The argument model of convsmith_get_info is null.");
  expect_null(convsmith_get_info(model.get(), nullptr), "The argument info of convsmith_get_info is null.");
  expect_null(convsmith_pack(nullptr, arrays, sizes, 2, &weights),
              "The argument model of convsmith_pack is null.");
  expect_null(convsmith_pack(model.get(), nullptr, sizes, 2, &weights),
              "The argument arrays of convsmith_pack is null.");
  expect_null(convsmith_pack(model.get(), arrays, nullptr, 2, &weights),
              "The argument sizes of convsmith_pack is null.");
  expect_null(convsmith_pack(model.get(), arrays, sizes, 2, nullptr),
              "The argument out of convsmith_pack is null.");
  expect_null(convsmith_pack(model.get(), arrays, sizes, 2, &weights), "arrays[0] (kernel) is null.");
  expect_null(convsmith_run(nullptr, nullptr, nullptr, nullptr, 1, 1, nullptr),
              "The argument model of convsmith_run is null.");
  expect_null(convsmith_run_many(nullptr, nullptr, nullptr, 0, nullptr, 0, 1, nullptr, nullptr),
              "The argument model of convsmith_run_many is null.");
  expect_null(convsmith_thread_pool_create(1, nullptr),
              "The argument out of convsmith_thread_pool_create is null.");

  const auto expect_null_sentence = [](bool failed, const char* sentence) {
    EXPECT_TRUE(failed);
    EXPECT_STREQ(convsmith_last_error(), sentence);
  };
  expect_null_sentence(convsmith_describe(nullptr) == nullptr,
                       "The argument model of convsmith_describe is null.");
  expect_null_sentence(convsmith_weight_name(nullptr, 0) == nullptr,
                       "The argument model of convsmith_weight_name is null.");
  expect_null_sentence(convsmith_weight_rank(nullptr, 0) == -1,
                       "The argument model of convsmith_weight_rank is null.");
  expect_null_sentence(convsmith_weight_dims(nullptr, 0) == nullptr,
                       "The argument model of convsmith_weight_dims is null.");
  expect_null_sentence(convsmith_output_steps(nullptr, &steps, 0) == -1,
                       "The argument model of convsmith_output_steps is null.");
  expect_null_sentence(convsmith_output_steps(model.get(), nullptr, 0) == -1,
                       "The argument steps of convsmith_output_steps is null.");
  expect_null_sentence(convsmith_input_floats(model.get(), 0, 1, nullptr) == -1,
                       "The argument steps of convsmith_input_floats is null.");
  expect_null_sentence(convsmith_output_floats(nullptr, 0, 1, &steps) == -1,
                       "The argument model of convsmith_output_floats is null.");
  expect_null_sentence(convsmith_workspace_bytes(nullptr, 1, &steps, 1) == -1,
                       "The argument model of convsmith_workspace_bytes is null.");
  expect_null_sentence(convsmith_thread_pool_parallel_for(nullptr) == nullptr,
                       "The argument pool of convsmith_thread_pool_parallel_for is null.");
  convsmith_model_destroy(nullptr);
  convsmith_weights_destroy(nullptr);
  convsmith_thread_pool_destroy(nullptr);
}

TEST(CApiErrors, SizesAreChecked) {
  const OwnModel model = compile_c(kLayer);
  constexpr int64_t kTooMany = (int64_t{1} << 40) + 1;
  for (const int64_t bad : {int64_t{-1}, INT64_MIN, kTooMany, INT64_MAX}) {
    const int64_t steps = 4;
    EXPECT_EQ(convsmith_output_steps(model.get(), &bad, 0), -1);
    EXPECT_STREQ(convsmith_last_error(), "batch and steps must be at least 0 and at most 2^40.");
    EXPECT_EQ(convsmith_input_floats(model.get(), 0, bad, &steps), -1);
    EXPECT_EQ(convsmith_output_floats(model.get(), 0, 1, &bad), -1);
    EXPECT_EQ(convsmith_workspace_bytes(model.get(), bad, &steps, 1), -1);
    const OwnWeights weights = pack_c(model.get(), weight_arrays(model.get()));
    float x[8] = {};
    EXPECT_EQ(convsmith_run(model.get(), weights.get(), x, x, bad, 4, nullptr), CONVSMITH_BAD_SIZE);
    EXPECT_EQ(convsmith_run(model.get(), weights.get(), x, x, 1, bad, nullptr), CONVSMITH_BAD_SIZE);
  }
  const int64_t most = kTooMany - 2;
  EXPECT_EQ(convsmith_output_steps(model.get(), &most, 0), most - 1);
  EXPECT_EQ(convsmith_input_floats(model.get(), 0, most, &most), -1);
  EXPECT_THAT(convsmith_last_error(), HasSubstr("64 bits"));
  EXPECT_EQ(convsmith_workspace_bytes(model.get(), 1, &most, 0), -1);
  EXPECT_STREQ(convsmith_last_error(), "threads is 0; it must be at least 1.");
  EXPECT_EQ(convsmith_weight_name(model.get(), 2), nullptr);
  EXPECT_STREQ(convsmith_last_error(), "index is 2; there are 2 arrays of weights.");
  convsmith_thread_pool* pool = nullptr;
  EXPECT_EQ(convsmith_thread_pool_create(-1, &pool), CONVSMITH_INVALID_ARGUMENT);
  EXPECT_EQ(convsmith_thread_pool_create(1 << 20, &pool), CONVSMITH_INVALID_ARGUMENT);
  EXPECT_EQ(pool, nullptr);
}

TEST(CApiErrors, RunsAndWeightsThatDoNotFit) {
  const OwnModel model = compile_c(kLayer);
  const OwnModel other = compile_c("Conv1D(4, 2, input_shape=(None, 2))");
  auto arrays = weight_arrays(model.get());
  const OwnWeights weights = pack_c(model.get(), arrays);
  std::vector<float> x(20);
  std::vector<float> y(40);
  EXPECT_EQ(convsmith_run(model.get(), nullptr, x.data(), y.data(), 1, 4, nullptr), CONVSMITH_NULL_POINTER);
  EXPECT_EQ(convsmith_run(model.get(), weights.get(), nullptr, y.data(), 1, 4, nullptr),
            CONVSMITH_NULL_POINTER);
  EXPECT_EQ(convsmith_run(model.get(), weights.get(), x.data(), nullptr, 1, 4, nullptr),
            CONVSMITH_NULL_POINTER);
  EXPECT_STREQ(convsmith_last_error(), describe(RunStatus::kNullPointer));
  EXPECT_EQ(convsmith_run(model.get(), weights.get(), x.data(), y.data(), 1, 1, nullptr),
            CONVSMITH_EMPTY_OUTPUT);
  EXPECT_EQ(convsmith_run(other.get(), weights.get(), x.data(), y.data(), 1, 4, nullptr),
            CONVSMITH_WRONG_WEIGHTS);
  const float* pointers[] = {arrays[0].data(), arrays[1].data()};
  const size_t wrong[] = {11, 3};
  convsmith_weights* packed = nullptr;
  EXPECT_EQ(convsmith_pack(model.get(), pointers, wrong, 2, &packed), CONVSMITH_INVALID_DATA);
  EXPECT_STREQ(convsmith_last_error(), "kernel has 11 values; shape (2, 2, 3) needs 12.");
  EXPECT_EQ(convsmith_pack(model.get(), pointers, wrong, 1, &packed), CONVSMITH_INVALID_DATA);
  EXPECT_STREQ(convsmith_last_error(), "The layer takes 2 arrays of weights, got 1.");
  EXPECT_EQ(packed, nullptr);
  convsmith_parallel_for parallel{nullptr, nullptr, 2};
  const convsmith_run_options options{sizeof(options), nullptr, &parallel};
  EXPECT_EQ(convsmith_run(model.get(), weights.get(), x.data(), y.data(), 1, 4, &options),
            CONVSMITH_NULL_POINTER);
  int calls = 0;
  parallel = {run_in_reverse, &calls, 0};
  EXPECT_EQ(convsmith_run(model.get(), weights.get(), x.data(), y.data(), 1, 4, &options),
            CONVSMITH_INVALID_ARGUMENT);
}

TEST(CApiErrors, EnumsAndShapesAreChecked) {
  convsmith_model* model = nullptr;
  const int64_t shape[] = {-1, -1, 2};
  const auto expect_refused = [&](auto change, const char* sentence) {
    auto options = sized<convsmith_compile_options>();
    change(options);
    EXPECT_NE(convsmith_compile(kLayer, &options, &model), CONVSMITH_OK);
    EXPECT_STREQ(convsmith_last_error(), sentence);
    EXPECT_EQ(model, nullptr);
  };
  expect_refused([](auto& o) { o.backend = 4; },
                 "backend of convsmith_compile_options is 4; it must be from 0 to 3.");
  expect_refused([](auto& o) { o.isa = -1; },
                 "isa of convsmith_compile_options is -1; it must be from 0 to 3.");
  expect_refused([](auto& o) { o.rules = 4; },
                 "rules of convsmith_compile_options is 4; it must be from 0 to 3.");
  expect_refused([](auto& o) { o.input_rank = 3; }, "input_shape is null, and input_rank is 3.");
  expect_refused([&](auto& o) { o.input_rank = -1, o.input_shape = shape; },
                 "input_rank is -1; it must be from 0 to 32.");
  EXPECT_EQ(convsmith_compile("Conv1D(0, 2, input_shape=(None, 2))", nullptr, &model),
            CONVSMITH_INVALID_SPEC);
}

// A newer caller's struct: ours, and what a later version may add.
struct NewerOptions {
  convsmith_compile_options known;
  uint64_t later[2];
};

TEST(CApiStructs, SizesOfOlderAndNewerVersionsAreAccepted) {
  convsmith_model* model = nullptr;
  NewerOptions options{};
  // Older: what lies behind the size is not read.
  options.known.backend = CONVSMITH_BACKEND_INTERP;
  options.known.isa = CONVSMITH_ISA_BASELINE;
  options.known.rules = 77;
  options.known.struct_size = offsetof(convsmith_compile_options, rules);
  ASSERT_EQ(convsmith_compile(kLayer, &options.known, &model), CONVSMITH_OK) << convsmith_last_error();
  auto info = sized<convsmith_info>();
  ASSERT_EQ(convsmith_get_info(model, &info), CONVSMITH_OK);
  EXPECT_EQ(info.backend, CONVSMITH_BACKEND_INTERP);
  convsmith_model_destroy(model);
  // Newer: what we do not know must be 0.
  options.known.rules = 0;
  options.known.struct_size = sizeof(options);
  ASSERT_EQ(convsmith_compile(kLayer, &options.known, &model), CONVSMITH_OK) << convsmith_last_error();
  convsmith_model_destroy(model);
  options.later[1] = uint64_t{1} << 63;
  EXPECT_EQ(convsmith_compile(kLayer, &options.known, &model), CONVSMITH_INVALID_ARGUMENT);
  EXPECT_STREQ(
      convsmith_last_error(),
      "convsmith_compile_options has members that this version of convsmith does not know; they must "
      "be 0.");
}

TEST(CApiStructs, NonsenseSizesAreRefused) {
  const OwnModel model = compile_c(kLayer);
  for (const size_t size : {size_t{0}, size_t{1}, size_t{8}, size_t{17}, size_t{4104}, SIZE_MAX}) {
    convsmith_model* out = nullptr;
    const auto compiling = sized<convsmith_compile_options>(size);
    EXPECT_EQ(convsmith_compile(kLayer, &compiling, &out), CONVSMITH_INVALID_ARGUMENT) << size;
    EXPECT_THAT(convsmith_last_error(),
                HasSubstr("struct_size of convsmith_compile_options is " + std::to_string(size) + ";"));
    EXPECT_EQ(convsmith_load_model("m.keras", nullptr, &compiling, &out), CONVSMITH_INVALID_ARGUMENT);
    const auto running = sized<convsmith_run_options>(size);
    EXPECT_EQ(convsmith_run(model.get(), nullptr, nullptr, nullptr, 0, 0, &running),
              CONVSMITH_INVALID_ARGUMENT);
    auto info = sized<convsmith_info>(size);
    EXPECT_EQ(convsmith_get_info(model.get(), &info), CONVSMITH_INVALID_ARGUMENT);
    EXPECT_EQ(info.kind, 0);
  }
}

TEST(CApiStructs, InfoIsWrittenAsFarAsItGoes) {
  const OwnModel model = compile_c(kLayer);
  struct Newer {
    convsmith_info known;
    uint64_t later;
  } newer{sized<convsmith_info>(sizeof(Newer)), 5};
  ASSERT_EQ(convsmith_get_info(model.get(), &newer.known), CONVSMITH_OK);
  EXPECT_EQ(newer.known.struct_size, sizeof(Newer));
  EXPECT_EQ(newer.known.weights, 2);
  EXPECT_EQ(newer.later, 0U);
  auto older = sized<convsmith_info>(offsetof(convsmith_info, isa));
  older.isa = -7;
  ASSERT_EQ(convsmith_get_info(model.get(), &older), CONVSMITH_OK);
  EXPECT_EQ(older.kind, CONVSMITH_KIND_LAYER);
  EXPECT_EQ(older.isa, -7);
}

TEST(CApiErrors, AreKeptByThreadUntilTheNextOne) {
  convsmith_model* model = nullptr;
  ASSERT_EQ(convsmith_compile(nullptr, nullptr, &model), CONVSMITH_NULL_POINTER);
  const std::string sentence = convsmith_last_error();
  std::thread([] {
    EXPECT_STREQ(convsmith_last_error(), "");
    convsmith_thread_pool_create(0, nullptr);
    EXPECT_STRNE(convsmith_last_error(), "");
  }).join();
  const OwnModel good = compile_c(kLayer);
  EXPECT_EQ(convsmith_last_error(), sentence);
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
