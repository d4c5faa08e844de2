// The folder CONVSMITH_CACHE_DIR as processes meet it that compile layers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "convsmith/convsmith.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/process.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using cli_test::TemporaryFolder;
using testing::HasSubstr;
using testing::Not;

// A transposed layer and a softmax: several kernels, one of them no convolution.
constexpr const char* kTexts[] = {
    "Conv1D(8, 3, activation='tanh', padding='same', input_shape=(None, 16))",
    "Conv1DTranspose(5, 3, strides=2, input_shape=(None, 4))",
    "Conv1D(7, 3, activation='softmax', input_shape=(None, 4))",
};

struct Outcome {
  std::string bits;
  std::string said;
  Engine::Stats stats;
};

// All layers in all places, in this process.
Outcome compile_and_run() {
  Outcome outcome;
  testing::internal::CaptureStderr();
  Engine engine;
  for (const char* text : kTexts) {
    for (const Place& place : machine_code_places()) {
      const CompiledLayer layer = engine.compile(text, {.backend = place.backend, .isa = place.isa}).value();
      std::vector<std::vector<float>> weights;
      for (const WeightShape& shape : layer.weight_shapes()) {
        int64_t count = 1;
        for (const int64_t axis : shape.shape) count *= axis;
        weights.emplace_back();
        for (int64_t i = 0; i < count; ++i)
          weights.back().push_back(static_cast<float>(i * 37 % 64) / 16 - 2);
      }
      const PackedWeights packed = layer.pack(weights[0], weights[1]).value();
      const std::vector<float> input(static_cast<size_t>(20 * layer.channels()), 0.375F);
      std::vector<float> output(static_cast<size_t>(layer.output_steps(20) * layer.filters()));
      EXPECT_EQ(layer.run(packed, input.data(), output.data(), 1, 20), RunStatus::kOk);
      outcome.bits.append(reinterpret_cast<const char*>(output.data()), output.size() * sizeof(float));
    }
  }
  outcome.said = testing::internal::GetCapturedStderr();
  outcome.stats = engine.stats();
  return outcome;
}

// The same in a child that knows nothing of what happens here.
template <class Check>
std::string in_next_process(const Check& check) {
  return run_in_child([&] {
    check(compile_and_run());
    return !testing::Test::HasFailure();
  });
}

TEST(DiskCacheOfProcesses, TheSecondOneCompilesNothing) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  setenv("CONVSMITH_VERBOSE", "2", 1);
  setenv("CONVSMITH_CACHE_DIR", (folder / "cache").c_str(), 1);
  const std::string first = folder / "first";
  EXPECT_EQ(in_next_process([&](const Outcome& outcome) {
              EXPECT_EQ(outcome.stats.loads, 0U);
              EXPECT_GT(outcome.stats.compiles, 3 * machine_code_places().size());
              EXPECT_THAT(outcome.said, HasSubstr(": lower "));
              folder.write("first", outcome.bits + std::to_string(outcome.stats.compiles));
            }),
            "exit 0");
  EXPECT_EQ(in_next_process([&](const Outcome& outcome) {
              EXPECT_EQ(outcome.stats.compiles, 0U);
              EXPECT_EQ(outcome.bits + std::to_string(outcome.stats.loads), TemporaryFolder::read(first));
              for (const char* pass : {": lower ", ": assemble ", ": choose_schedule ", ": llvm "})
                EXPECT_THAT(outcome.said, Not(HasSubstr(pass)));
              EXPECT_THAT(outcome.said, HasSubstr("conv1d.nwc.16x8.k3 comes from"));
            }),
            "exit 0");
}

TEST(DiskCacheOfProcesses, WhatIsRefusedIsReported) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  setenv("CONVSMITH_VERBOSE", "1", 1);
  setenv("CONVSMITH_CACHE_DIR", (folder / ".").c_str(), 1);
  ASSERT_EQ(in_next_process([](const Outcome&) {}), "exit 0");
  for (const auto& entry : std::filesystem::directory_iterator(folder / "."))
    std::filesystem::resize_file(entry, entry.file_size() - 1);
  const size_t files = folder.count();
  EXPECT_EQ(in_next_process([&](const Outcome& outcome) {
              EXPECT_EQ(outcome.stats.loads, 0U);
              EXPECT_EQ(outcome.stats.compiles, files);
              EXPECT_THAT(outcome.said, HasSubstr(".kernel has not the length that its header says: the "
                                                  "kernel is compiled anew."));
            }),
            "exit 0");
  EXPECT_EQ(in_next_process([&](const Outcome& outcome) { EXPECT_EQ(outcome.stats.loads, files); }),
            "exit 0");
}

TEST(DiskCacheOfProcesses, AFolderOfOthersIsSaidOnceAndNotUsed) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  setenv("CONVSMITH_VERBOSE", "1", 1);
  setenv("CONVSMITH_CACHE_DIR", (folder / ".").c_str(), 1);
  std::filesystem::permissions(folder / ".", std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(in_next_process([](const Outcome& outcome) {
              const size_t at = outcome.said.find("CONVSMITH_CACHE_DIR is ");
              EXPECT_NE(at, std::string::npos);
              EXPECT_EQ(outcome.said.find("CONVSMITH_CACHE_DIR", at + 1), std::string::npos);
            }),
            "exit 0");
  EXPECT_EQ(folder.count(), 0U);
}

TEST(DiskCacheOfProcesses, WithoutTheVariableNoFileIsTouched) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  unsetenv("CONVSMITH_CACHE_DIR");
  for (const char* name : {"HOME", "XDG_CACHE_HOME", "TMPDIR"}) setenv(name, (folder / ".").c_str(), 1);
  std::filesystem::current_path(folder / ".");
  EXPECT_EQ(in_next_process([](const Outcome& outcome) { EXPECT_EQ(outcome.stats.loads, 0U); }), "exit 0");
  EXPECT_EQ(in_next_process([](const Outcome& outcome) { EXPECT_EQ(outcome.stats.loads, 0U); }), "exit 0");
  EXPECT_EQ(folder.count(), 0U);
  std::filesystem::current_path("/");
}

// Whoever wants to see the stages gets them, whether the kernels are cached or not.
TEST(DiskCacheOfProcesses, DumpsSeeEveryKernel) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  setenv("CONVSMITH_CACHE_DIR", (folder / ".").c_str(), 1);
  ASSERT_EQ(in_next_process([](const Outcome&) {}), "exit 0");
  setenv("CONVSMITH_DUMP", "vir", 1);
  EXPECT_EQ(in_next_process([](const Outcome& outcome) {
              EXPECT_EQ(outcome.stats.loads, 0U);
              EXPECT_THAT(outcome.said, HasSubstr("--- vir ---\nvir conv1d.nwc.16x8.k3"));
            }),
            "exit 0");
}

// The pages of kernels from disk are as those of all others.
TEST(DiskCacheOfProcesses, NoPageIsWritableAndExecutable) {
  if (!in_fresh_process()) return;
  const TemporaryFolder folder;
  setenv("CONVSMITH_CACHE_DIR", (folder / ".").c_str(), 1);
  ASSERT_EQ(in_next_process([](const Outcome&) {}), "exit 0");
  EXPECT_EQ(in_next_process([](const Outcome& outcome) {
              EXPECT_GT(outcome.stats.loads, 0U);
              EXPECT_EQ(writable_and_executable(), "");
            }),
            "exit 0");
}

}  // namespace
}  // namespace convsmith::test
