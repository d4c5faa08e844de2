// The C functions: every error and its sentence, the rules of struct_size.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <string>
#include <thread>
#include <vector>

#include "convsmith/convsmith.h"
#include "convsmith/convsmith.hpp"
#include "tests/support/c_api.hpp"

namespace convsmith::test {
namespace {

using testing::HasSubstr;

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
  expect_null_sentence(convsmith_output_name(nullptr, 0) == nullptr,
                       "The argument model of convsmith_output_name is null.");
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
  EXPECT_STREQ(convsmith_input_name(model.get(), 0), "input");
  EXPECT_STREQ(convsmith_output_name(model.get(), 0), "output");
  EXPECT_EQ(convsmith_input_name(model.get(), 1), nullptr);
  EXPECT_STREQ(convsmith_last_error(), "index is 1; there are 1 inputs.");
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
  const convsmith_run_options options{sizeof(options), nullptr, &parallel, CONVSMITH_DENORMALS_KEEP};
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

}  // namespace
}  // namespace convsmith::test
