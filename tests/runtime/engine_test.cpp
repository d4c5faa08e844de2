// The compile cache: what is shared, what is forgotten, and what threads, lengths and forks do to it.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <thread>

#include "convsmith/convsmith.hpp"
#include "tests/support/layer_shapes.hpp"
#include "tests/support/process.hpp"
#include "tests/support/run_everywhere.hpp"
#include "tests/support/sanitizers.hpp"

namespace convsmith::test {
namespace {

constexpr const char* kText = "Conv1D(8, 3, activation='relu', input_shape=(None, 16))";

LayerSpec small_spec(int64_t filters, int64_t taps = 3) {
  return {.filters = filters, .kernel_size = taps, .input_shape = {std::nullopt, 4}};
}

CompiledLayer compiled(Engine& engine, const LayerSpec& spec, const CompileOptions& options = {}) {
  auto layer = engine.compile(spec, options);
  if (!layer) throw std::runtime_error(layer.error().message);
  return *layer;
}

// Ones everywhere: each output step in the middle is taps * channels / groups.
bool runs_right(const CompiledLayer& layer, int64_t steps = 20) {
  const auto [taps, channels, filters] = test::kernel_shape(layer);
  const std::vector<float> kernel(static_cast<size_t>(taps * channels * filters), 1.0F);
  const std::vector<float> bias(test::has_bias(layer) ? static_cast<size_t>(filters) : 0, 0.0F);
  const auto weights = layer.pack(kernel, bias);
  const std::vector<float> input(static_cast<size_t>(steps * layer.channels()), 1.0F);
  std::vector<float> output(static_cast<size_t>(layer.output_steps(steps) * filters), -1.0F);
  if (!weights || layer.run(*weights, input.data(), output.data(), 1, steps) != RunStatus::kOk) return false;
  const auto expected = static_cast<float>(taps * channels);
  return std::all_of(output.begin(), output.end(), [&](float y) { return y == expected; });
}

TEST(Engine, FindsTheSameTextAndTheSameSpec) {
  Engine engine;
  ASSERT_TRUE(engine.compile(kText));
  EXPECT_EQ(engine.stats().hits, 0U);
  EXPECT_EQ(engine.stats().compiles, 1U);
  ASSERT_TRUE(engine.compile(kText));
  EXPECT_EQ(engine.stats().hits, 1U);
  const LayerSpec spec = small_spec(5);
  compiled(engine, spec);
  compiled(engine, spec);
  EXPECT_EQ(engine.stats().hits, 2U);
  EXPECT_EQ(engine.stats().compiles, 2U);
}

TEST(Engine, LayersOfOneComputationShareAKernel) {
  Engine engine;
  const CompiledLayer first = *engine.compile("Conv1D(8, 3, input_shape=(10, 16), name='first')");
  const CompiledLayer second = *engine.compile(
      "Conv1D(8, 3, input_shape=(None, 16), name='second', kernel_initializer='he_normal', "
      "kernel_regularizer='l2')");
  const CompiledLayer third = *engine.compile("Conv1D(8, kernel_size=[3])", {.input_shape = {1, 99, 16}});
  EXPECT_EQ(engine.stats().hits, 0U);
  EXPECT_EQ(engine.stats().compiles, 1U);
  EXPECT_EQ(first.spec().name, "first");
  EXPECT_EQ(second.spec().name, "second");
  EXPECT_TRUE(runs_right(first) && runs_right(second) && runs_right(third));
}

TEST(Engine, WhatChangesTheCodeIsCompiledAnew) {
  Engine engine;
  for (const char* text :
       {"Conv1D(8, 3, input_shape=(10, 16))", "Conv1D(9, 3, input_shape=(10, 16))",
        "Conv1D(8, 4, input_shape=(10, 16))", "Conv1D(8, 3, input_shape=(10, 17))",
        "Conv1D(8, 3, strides=2, input_shape=(10, 16))",
        "Conv1D(8, 3, dilation_rate=2, input_shape=(10, 16))", "Conv1D(8, 3, groups=2, input_shape=(10, 16))",
        "Conv1D(8, 3, use_bias=False, input_shape=(10, 16))",
        "Conv1D(8, 3, activation='relu', input_shape=(10, 16))",
        "Conv1D(8, 3, data_format='channels_first', input_shape=(16, 10))"}) {
    const uint64_t before = engine.stats().compiles;
    const auto layer = engine.compile(text);
    ASSERT_TRUE(layer) << text << ": " << layer.error().message;
    EXPECT_EQ(engine.stats().compiles, before + 1) << text;
  }
}

// Padding is a matter of the call: layers that differ in nothing else share a kernel, and their own results.
TEST(Engine, PaddingsShareAKernel) {
  Engine engine;
  const CompiledLayer valid = engine.compile("Conv1D(8, 3, input_shape=(10, 16))").value();
  const CompiledLayer same = engine.compile("Conv1D(8, 3, padding='same', input_shape=(10, 16))").value();
  EXPECT_EQ(engine.stats().compiles, 1U);
  EXPECT_EQ(valid.output_steps(10), 8);
  EXPECT_EQ(same.output_steps(10), 10);
}

TEST(Engine, OptionsArePartOfTheKey) {
  Engine engine;
  const LayerSpec spec = small_spec(6);
  for (const Place& place : all_places()) {
    if (place.backend == Backend::kLlvm) continue;  // the same code path, slower
    const CompiledLayer layer = compiled(engine, spec, {.backend = place.backend, .isa = place.isa});
    EXPECT_EQ(layer.backend(), place.backend);
    EXPECT_EQ(layer.isa(), place.isa);
  }
  const uint64_t compiles = engine.stats().compiles;
  EXPECT_EQ(engine.stats().hits, 0U);
  // Rules are asked before the cache: stride with dilation is legal under some only.
  const char* text = "Conv1D(4, 3, strides=2, dilation_rate=2, input_shape=(None, 4))";
  EXPECT_TRUE(engine.compile(text, {.rules = Rules::kAny}));
  EXPECT_FALSE(engine.compile(text, {.rules = Rules::kCommon}));
  EXPECT_EQ(engine.stats().compiles, compiles + 1);
}

TEST(Engine, ErrorsAreNotCached) {
  Engine engine;
  EXPECT_FALSE(engine.compile("Conv1D(0, 3, input_shape=(None, 4))"));
  EXPECT_FALSE(engine.compile("Conv1D(0, 3, input_shape=(None, 4))"));
  const CompileOptions wrong{.schedule = "split nowhere 4"};
  const auto layer = engine.compile(small_spec(4), wrong);
  ASSERT_FALSE(layer);
  EXPECT_EQ(layer.error().code, ErrorCode::kInvalidSpec) << layer.error().message;
  EXPECT_FALSE(engine.compile(small_spec(4), wrong));
  EXPECT_EQ(engine.stats().hits, 0U);
  EXPECT_EQ(engine.stats().bytes, 0U);
}

TEST(Engine, KeepsItsCapAndLeavesEvictedLayersRunning) {
  constexpr size_t kCap = 64 << 10;
  Engine engine(kCap);
  std::vector<CompiledLayer> in_use;
  for (int64_t i = 1; i <= 120; ++i) {
    const CompiledLayer layer = compiled(engine, small_spec(1 + i % 40, 1 + i / 40));
    EXPECT_LE(engine.stats().bytes, kCap);
    if (i <= 5) in_use.push_back(layer);
  }
  for (const CompiledLayer& layer : in_use) EXPECT_TRUE(runs_right(layer));
  // Forgotten by the cache of layers, found alive by the cache of kernels.
  const uint64_t compiles = engine.stats().compiles;
  const uint64_t hits = engine.stats().hits;
  compiled(engine, in_use[0].spec());
  EXPECT_EQ(engine.stats().hits, hits);
  EXPECT_EQ(engine.stats().compiles, compiles);
}

TEST(Engine, TheMostRecentlyUsedLayersStay) {
  Engine engine(32 << 10);
  compiled(engine, small_spec(3));
  for (int64_t i = 1; i <= 60; ++i) {
    compiled(engine, small_spec(1 + i, 2));
    compiled(engine, small_spec(3));
  }
  EXPECT_EQ(engine.stats().hits, 60U);
}

TEST(Engine, LayersOutliveTheirEngine) {
  std::vector<CompiledLayer> layers;
  {
    Engine engine;
    layers.push_back(*engine.compile(kText));
  }
  EXPECT_TRUE(runs_right(layers[0]));
}

TEST(Engine, ThreadsThatWantOneKernelCompileItOnce) {
  Engine engine;
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 16; ++i) {
    threads.emplace_back([&] {
      const auto layer = engine.compile(kText);
      if (layer && runs_right(*layer)) ++right;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 16);
  EXPECT_EQ(engine.stats().compiles, 1U);
}

TEST(Engine, ThreadsCompileRunAndEvict) {
  Engine engine(16 << 10);  // a few layers only
  std::atomic<int> right = 0;
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < 16; ++i) {
    threads.emplace_back([&engine, &right, i] {
      for (int64_t k = 0; k < 20; ++k) {
        const auto layer = engine.compile(small_spec(1 + (i * k) % 12, 1 + k % 3));
        if (layer && runs_right(*layer)) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, 16 * 20);
  EXPECT_LE(engine.stats().bytes, size_t{16} << 10);
}

void expect_less_than_a_megabyte_since(size_t resident) {
  if (CONVSMITH_TEST_SANITIZED) return;  // freed memory is kept for a while
  EXPECT_LT(resident_bytes(), resident + (size_t{1} << 20));
}

TEST(Engine, TenThousandLengthsNeedOneKernelAndNoMemory) {
  if (CONVSMITH_TEST_SANITIZED) GTEST_SKIP() << "a sanitizer maps memory of its own";
  constexpr int64_t kLengths = 10000;
  Engine engine;
  const CompiledLayer layer = *engine.compile(kText);
  const std::vector<float> kernel(3 * 16 * 8, 1.0F);
  const PackedWeights weights = *layer.pack(kernel, std::vector<float>(8, 0.0F));
  const std::vector<float> input((kLengths + 3) * 16, 1.0F);
  std::vector<float> output((kLengths + 1) * 8, 1.0F);
  ASSERT_EQ(layer.run(weights, input.data(), output.data(), 1, kLengths + 3), RunStatus::kOk);
  const size_t maps = memory_maps().size();
  const size_t resident = resident_bytes();
  for (int64_t steps = 3; steps < kLengths + 3; ++steps) {
    const auto again = engine.compile(kText);
    ASSERT_TRUE(again);
    // The long ones as well, a few of them: their work adds up.
    const int64_t run_steps = steps % 100 == 0 ? steps : 3 + steps % 100;
    ASSERT_EQ(again->run(weights, input.data(), output.data(), 1, run_steps), RunStatus::kOk);
  }
  EXPECT_EQ(engine.stats().compiles, 1U);
  expect_less_than_a_megabyte_since(resident);
  EXPECT_LE(memory_maps().size(), maps);
}

// The same where each length comes as an input shape of its own.
TEST(Engine, TenThousandInputShapesNeedOneKernelAndNoMemory) {
  Engine engine;
  const auto compile_length = [&](int64_t steps) {
    return engine.compile("Conv1D(8, 3, activation='relu')", {.input_shape = {std::nullopt, steps, 16}});
  };
  ASSERT_TRUE(compile_length(100000));
  const size_t resident = resident_bytes();
  for (int64_t steps = 3; steps < 10003; ++steps) ASSERT_TRUE(compile_length(steps));
  EXPECT_EQ(engine.stats().compiles, 1U);
  expect_less_than_a_megabyte_since(resident);
}

TEST(Engine, AChildCompilesAndRuns) {
  Engine engine;
  const CompiledLayer layer = *engine.compile(kText);
  ASSERT_TRUE(runs_right(layer));
  const std::string end = run_in_child([&] {
    const auto again = engine.compile(kText);
    const auto fresh = engine.compile(small_spec(7));
    return again && fresh && runs_right(layer) && runs_right(*again) && runs_right(*fresh);
  });
  EXPECT_EQ(end, "exit 0");
  // What the child compiled has not touched the parent's code.
  EXPECT_TRUE(runs_right(layer));
  EXPECT_TRUE(runs_right(compiled(engine, small_spec(9))));
}

TEST(Engine, ForkWhileOtherThreadsCompile) {
  if (CONVSMITH_TEST_SANITIZED)
    GTEST_SKIP() << "a sanitizer's allocator does not survive a fork between threads";
  std::atomic<bool> stop = false;
  std::thread compiler([&] {
    Engine engine(8 << 10);
    for (int64_t i = 0; !stop; ++i) compiled(engine, small_spec(1 + i % 30));
  });
  for (int i = 0; i < 20; ++i) {
    const std::string end = run_in_child([] {
      alarm(20);  // a lock that nobody holds any more would hang the child
      Engine engine;
      const auto layer = engine.compile(small_spec(11));
      return layer && runs_right(*layer);
    });
    EXPECT_EQ(end, "exit 0");
  }
  stop = true;
  compiler.join();
}

}  // namespace
}  // namespace convsmith::test
