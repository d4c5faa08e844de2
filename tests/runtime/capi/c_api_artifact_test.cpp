// Artifacts through the C functions, from a hand-written stand-in (tests/packaging/artifact.c).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "convsmith/convsmith.h"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/places.hpp"

namespace convsmith::test {
namespace {

using cli_test::TemporaryFolder;
using testing::HasSubstr;

// The stand-in as a shared library; `defines` as in its comment.
std::string make_library(const TemporaryFolder& folder, const std::string& defines,
                         const std::string& name = "artifact.so") {
  std::string file = folder / name;
  const std::string command = places::compiler() + " -x c -std=c99 -O1 -shared -fPIC " + defines + " " +
                              places::test_source("packaging/artifact.c") + " -o " + file;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return file;
}

convsmith_model* load(const std::string& file, const char* name = "two_taps") {
  convsmith_model* model = nullptr;
  EXPECT_EQ(convsmith_load_artifact(file.c_str(), name, &model), CONVSMITH_OK) << convsmith_last_error();
  return model;
}

// The sentence of the refusal.
std::string refuse(const std::string& file, convsmith_status wanted = CONVSMITH_INVALID_DATA,
                   const char* name = "two_taps") {
  convsmith_model* model = nullptr;
  EXPECT_EQ(convsmith_load_artifact(file.c_str(), name, &model), wanted);
  EXPECT_EQ(model, nullptr);
  return convsmith_last_error();
}

void run_and_count(void* calls, void (*task)(void*, size_t), void* context, size_t count) {
  *static_cast<size_t*>(calls) += count;
  for (size_t i = 0; i < count; ++i) task(context, i);
}

const std::vector<float> kInput = {1, 2, 3, 4, 10, 20, 30, 40};
const std::vector<float> kExpected = {13, 18, 23, 85, 135, 185};  // 2 x[t] + 3 x[t + 1] + 5

TEST(CApiArtifact, RunsWithItsOwnWeights) {
  const TemporaryFolder folder;
  convsmith_model* model = load(make_library(folder, ""));
  ASSERT_NE(model, nullptr);
  convsmith_info info{};
  info.struct_size = sizeof(info);
  ASSERT_EQ(convsmith_get_info(model, &info), CONVSMITH_OK);
  EXPECT_EQ(info.kind, CONVSMITH_KIND_ARTIFACT);
  EXPECT_EQ(info.weights, 0);
  EXPECT_THAT(convsmith_describe(model), HasSubstr("spec: Conv1D(1, 2, input_shape=(None, 1))\n"));
  const int64_t steps = 4;
  EXPECT_EQ(convsmith_output_steps(model, &steps, 0), 3);
  EXPECT_EQ(convsmith_input_floats(model, 0, 2, &steps), 8);
  EXPECT_EQ(convsmith_output_floats(model, 0, 2, &steps), 6);
  EXPECT_EQ(convsmith_workspace_bytes(model, 2, &steps, 1), 32);
  EXPECT_EQ(convsmith_workspace_bytes(model, 2, &steps, 2), 32);

  size_t calls = 0;
  const convsmith_parallel_for parallel{run_and_count, &calls, 2};
  std::vector<float> workspace(8, -1.0F);
  constexpr size_t kSize = sizeof(convsmith_run_options);
  for (const convsmith_run_options& options :
       {convsmith_run_options{kSize, nullptr, nullptr, CONVSMITH_DENORMALS_KEEP},
        convsmith_run_options{kSize, workspace.data(), nullptr, CONVSMITH_DENORMALS_KEEP},
        convsmith_run_options{kSize, nullptr, &parallel, CONVSMITH_DENORMALS_KEEP}}) {
    std::vector<float> output(6, -1.0F);
    ASSERT_EQ(convsmith_run(model, nullptr, kInput.data(), output.data(), 2, 4, &options), CONVSMITH_OK);
    EXPECT_EQ(output, kExpected);
  }
  EXPECT_EQ(workspace, kInput);
  EXPECT_EQ(calls, 2U);

  float y = 0;
  EXPECT_EQ(convsmith_run(model, nullptr, nullptr, &y, 1, 4, nullptr), CONVSMITH_NULL_POINTER);
  EXPECT_EQ(convsmith_run(model, nullptr, &y, &y, 1, 1, nullptr), CONVSMITH_EMPTY_OUTPUT);
  EXPECT_EQ(convsmith_run(model, nullptr, &y, &y, -1, 4, nullptr), CONVSMITH_BAD_SIZE);
  EXPECT_EQ(convsmith_run(model, nullptr, &y, &y, 1, 77, nullptr), CONVSMITH_INTERNAL);
  EXPECT_STREQ(convsmith_last_error(), "The artifact answered 99, which is no status.");
  const int64_t refused = 78;
  EXPECT_EQ(convsmith_workspace_bytes(model, 1, &refused, 1), -1);
  EXPECT_THAT(convsmith_last_error(), HasSubstr("does not run with these numbers"));
  const float weight = 0;
  const float* arrays[] = {&weight};
  const size_t size = 1;
  convsmith_weights* weights = nullptr;
  EXPECT_EQ(convsmith_pack(model, arrays, &size, 1, &weights), CONVSMITH_INVALID_DATA);
  convsmith_model_destroy(model);
}

TEST(CApiArtifact, TakesWeightsOfTheCaller) {
  const TemporaryFolder folder;
  convsmith_model* model = load(make_library(folder, "-DPACKED"));
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(convsmith_weight_rank(model, 0), 1);
  EXPECT_EQ(convsmith_weight_dims(model, 0)[0], 2);
  EXPECT_EQ(convsmith_weight_dims(model, 1)[0], 1);
  EXPECT_EQ(convsmith_weight_dims(model, 2), nullptr);
  const float kernel[] = {2, 3};
  const float bias[] = {5};
  const float* arrays[] = {kernel, bias};
  const size_t sizes[] = {2, 1};
  const size_t wrong[] = {3, 1};
  convsmith_weights* weights = nullptr;
  EXPECT_EQ(convsmith_pack(model, arrays, wrong, 2, &weights), CONVSMITH_INVALID_DATA);
  EXPECT_STREQ(convsmith_last_error(), "weight 0 has 3 values; the artifact needs 2.");
  ASSERT_EQ(convsmith_pack(model, arrays, sizes, 2, &weights), CONVSMITH_OK) << convsmith_last_error();
  size_t calls = 0;
  const convsmith_parallel_for parallel{run_and_count, &calls, 2};
  const convsmith_run_options in_parallel{sizeof(in_parallel), nullptr, &parallel, CONVSMITH_DENORMALS_KEEP};
  for (const convsmith_run_options* options :
       {static_cast<const convsmith_run_options*>(nullptr), &in_parallel}) {
    std::vector<float> output(6, -1.0F);
    ASSERT_EQ(convsmith_run(model, weights, kInput.data(), output.data(), 2, 4, options), CONVSMITH_OK);
    EXPECT_EQ(output, kExpected);
  }
  EXPECT_EQ(calls, 2U);
  std::vector<float> y(6);
  EXPECT_EQ(convsmith_run(model, nullptr, kInput.data(), y.data(), 2, 4, nullptr), CONVSMITH_NULL_POINTER);
  // Weights of another library do not fit, not even when it is the same code.
  convsmith_model* other = load(make_library(folder, "-DPACKED", "other.so"));
  convsmith_model_destroy(model);
  EXPECT_EQ(convsmith_run(other, weights, kInput.data(), y.data(), 2, 4, nullptr), CONVSMITH_WRONG_WEIGHTS);
  convsmith_weights_destroy(weights);
  convsmith_model_destroy(other);
}

TEST(CApiArtifact, HasSeveralInputsAndOutputs) {
  const TemporaryFolder folder;
  convsmith_model* model = load(make_library(folder, "-DMULTI"));
  ASSERT_NE(model, nullptr);
  const int64_t steps[] = {4, 2};
  EXPECT_EQ(convsmith_output_steps(model, steps, 1), 1);
  EXPECT_EQ(convsmith_output_floats(model, 1, 2, steps), 2);
  const float* inputs[] = {kInput.data(), kInput.data()};
  size_t calls = 0;
  const convsmith_parallel_for parallel{run_and_count, &calls, 2};
  const convsmith_run_options in_parallel{sizeof(in_parallel), nullptr, &parallel, CONVSMITH_DENORMALS_KEEP};
  for (const convsmith_run_options* options :
       {static_cast<const convsmith_run_options*>(nullptr), &in_parallel}) {
    std::vector<float> first(6, -1.0F);
    std::vector<float> second(2, -1.0F);
    float* outputs[] = {first.data(), second.data()};
    ASSERT_EQ(convsmith_run_many(model, nullptr, inputs, 2, outputs, 2, 2, steps, options), CONVSMITH_OK);
    EXPECT_EQ(first, kExpected);
    EXPECT_EQ(second, (std::vector<float>{13, 23}));
  }
  EXPECT_EQ(calls, 4U);
  EXPECT_EQ(convsmith_run(model, nullptr, inputs[0], nullptr, 2, 4, nullptr), CONVSMITH_BAD_SIZE);
  convsmith_model_destroy(model);
}

TEST(CApiArtifact, RefusesFilesThatAreNone) {
  const TemporaryFolder folder;
  const std::string good = make_library(folder, "");
  EXPECT_THAT(refuse(folder / "missing.so", CONVSMITH_IO), HasSubstr("No such file"));
  EXPECT_THAT(refuse(folder.write("text.so", "int main() {}")),
              HasSubstr("is not a shared library for x86-64"));
  EXPECT_THAT(refuse(folder.write("empty.so", "")), HasSubstr("is not a shared library for x86-64"));
  EXPECT_THAT(refuse(folder / "."), HasSubstr("is not a regular file"));
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_THAT(refuse(pipe), HasSubstr("is not a regular file"));
  EXPECT_THAT(refuse("/proc/self/exe", CONVSMITH_INVALID_DATA), HasSubstr("can't be loaded"));
  EXPECT_THAT(refuse(good, CONVSMITH_INVALID_DATA, "other"),
              HasSubstr("has no function other_run; either its name is not 'other'"));
  for (const char* name : {"", "2x", "a-b", "a b", "é"})
    EXPECT_THAT(refuse(good, CONVSMITH_INVALID_DATA, name), HasSubstr("is a C identifier"));
  EXPECT_THAT(refuse(make_library(folder, "-DNO_PARALLEL", "b.so")),
              HasSubstr("no function two_taps_run_parallel"));
}

TEST(CApiArtifact, RefusesFilesThatOthersMayHaveWritten) {
  const TemporaryFolder folder;
  const std::string file = make_library(folder, "");
  ASSERT_EQ(chmod(file.c_str(), 0757), 0);
  EXPECT_THAT(refuse(file), HasSubstr("can be written by others"));
  ASSERT_EQ(chmod(file.c_str(), 0755), 0);
  if (geteuid() == 0) {  // only root can give files away
    ASSERT_EQ(chown(file.c_str(), 12345, 12345), 0);
    EXPECT_THAT(refuse(file), HasSubstr("belongs to user 12345"));
    ASSERT_EQ(chown(file.c_str(), 0, 0), 0);
  }
  convsmith_model_destroy(load(file));
}

// Every length: nothing may crash. What is cut behind the last part that is mapped still loads.
TEST(CApiArtifact, RefusesLibrariesThatAreCutShort) {
  const TemporaryFolder folder;
  const std::string bytes = TemporaryFolder::read(make_library(folder, ""));
  size_t loaded = 0;
  for (size_t size = 0; size < bytes.size(); size += std::max<size_t>(bytes.size() / 101, 1)) {
    const std::string file = folder.write("cut" + std::to_string(size) + ".so", bytes.substr(0, size));
    convsmith_model* model = nullptr;
    if (convsmith_load_artifact(file.c_str(), "two_taps", &model) == CONVSMITH_OK) ++loaded;
    convsmith_model_destroy(model);
  }
  EXPECT_LT(loaded, 40U);
}

TEST(CApiArtifact, RefusesInfoThatDoesNotFit) {
  const TemporaryFolder folder;
  int count = 0;
  const auto refuse_info = [&](const std::string& text, const std::string& more = "") {
    const std::string info = " '-DINFO=\"" + text + "\"'";
    return refuse(make_library(folder, more + info, std::to_string(++count) + ".so"));
  };
  const std::string ports = R"(inputs: 1\noutputs: 1\nin_channels: 1\nout_channels: 1\n)";
  EXPECT_THAT(refuse_info(""), HasSubstr("how many inputs"));
  EXPECT_THAT(refuse_info(R"(inputs: 1\noutputs: -1\n)"), HasSubstr("how many inputs"));
  EXPECT_THAT(refuse_info(R"(inputs: 99999999\noutputs: 1\n)"), HasSubstr("how many inputs"));
  EXPECT_THAT(refuse_info(R"(inputs: 1\noutputs: 1\nin_channels: 1 2\nout_channels: 1\n)"),
              HasSubstr("how many channels"));
  EXPECT_THAT(refuse_info(ports), HasSubstr("embedded or packed"));
  EXPECT_THAT(refuse_info(ports + R"(weights: packed\n)"), HasSubstr("no functions to pack them"));
  EXPECT_THAT(refuse_info(ports + R"(weights: packed\narrays: 2 5\n)", "-DPACKED"),
              HasSubstr("how large its arrays"));
  EXPECT_THAT(refuse_info(ports + R"(weights: packed\narrays: 2 5 x\n)", "-DPACKED"),
              HasSubstr("how large its arrays"));
}

}  // namespace
}  // namespace convsmith::test
