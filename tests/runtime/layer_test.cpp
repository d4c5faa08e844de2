// The public face of a compiled layer: three ways in, packing, every status of a run, scratch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "convsmith/activation.hpp"
#include "convsmith/convsmith.hpp"
#include "tests/support/layer_shapes.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

// Small integers: sums are exact in any order.
std::vector<float> integers(int64_t count, int64_t seed = 1) {
  std::vector<float> values;
  for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>((i * 31 + seed * 17) % 7 - 3));
  return values;
}

CompiledLayer compiled(std::string_view text, const CompileOptions& options = {}) {
  auto layer = compile(text, options);
  if (!layer) throw std::runtime_error(layer.error().message);
  return *layer;
}

int64_t kernel_size(const CompiledLayer& layer) {
  const auto [taps, channels, filters] = test::kernel_shape(layer);
  return taps * channels * filters;
}

PackedWeights packed(const CompiledLayer& layer, int64_t seed = 1) {
  return *layer.pack(integers(kernel_size(layer), seed),
                     integers(test::has_bias(layer) ? layer.filters() : 0, seed));
}

// Valid padding, stride 1, channels last, relu: the formula of the documentation, written down again.
std::vector<float> valid_relu(const std::vector<float>& in, const std::vector<float>& kernel,
                              const std::vector<float>& bias, int64_t batch, int64_t steps, int64_t channels,
                              int64_t taps) {
  const auto filters = static_cast<int64_t>(bias.size());
  std::vector<float> out;
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t o = 0; o + taps <= steps; ++o) {
      for (int64_t f = 0; f < filters; ++f) {
        float sum = bias[static_cast<size_t>(f)];
        for (int64_t i = 0; i < taps * channels; ++i) {
          sum += in[static_cast<size_t>((n * steps + o) * channels + i)] *
                 kernel[static_cast<size_t>(i * filters + f)];
        }
        out.push_back(std::max(sum, 0.0F));
      }
    }
  }
  return out;
}

std::vector<float> run(const CompiledLayer& layer, const PackedWeights& weights, const std::vector<float>& in,
                       int64_t batch, int64_t steps, const RunOptions& options = {}) {
  std::vector<float> out(static_cast<size_t>(batch * layer.output_steps(steps) * layer.filters()), -7.0F);
  EXPECT_EQ(layer.run(weights, in.data(), out.data(), batch, steps, options), RunStatus::kOk);
  return out;
}

void expect_documentation_example(const CompiledLayer& layer, int64_t batch) {
  const std::vector<float> in = integers(batch * 10 * 128, 5);
  const std::vector<float> kernel = integers(3 * 128 * 32, 2);
  const std::vector<float> bias = integers(32, 3);
  EXPECT_EQ(run(layer, *layer.pack(kernel, bias), in, batch, 10),
            valid_relu(in, kernel, bias, batch, 10, 128, 3));
}

TEST(Layer, DocumentationExamplesRunFromTheirText) {
  for (const Place& place : all_places()) {
    SCOPED_TRACE(name_of(place));
    const CompiledLayer layer = compiled("Conv1D(32, 3, activation='relu', input_shape=(10, 128))",
                                         {.backend = place.backend, .isa = place.isa});
    EXPECT_EQ(layer.output_shape({4, 10, 128}), (Shape{4, 8, 32}));
    EXPECT_EQ(layer.output_shape({4, 7, 10, 128}), (Shape{4, 7, 8, 32}));
    expect_documentation_example(layer, 4);
    expect_documentation_example(layer, 4 * 7);
  }
  const CompiledLayer extended =
      compiled("tf.keras.layers.Conv1D(32, 3, activation='relu', input_shape=(7, 10, 128))(x)");
  EXPECT_EQ(extended.output_shape({4, 7, 10, 128}), (Shape{4, 7, 8, 32}));
  expect_documentation_example(extended, 4 * 7);
}

TEST(Layer, JsonSpecAndTextGiveTheSameLayer) {
  const CompiledLayer text = compiled("Conv1D(32, 3, activation='relu', input_shape=(10, 128))");
  const CompiledLayer json = compiled(
      R"({"class_name": "Conv1D", "config": {"name": "c", "dtype": "float32", "filters": 32,
          "kernel_size": [3], "strides": [1], "padding": "valid", "data_format": "channels_last",
          "dilation_rate": [1], "groups": 1, "activation": "relu", "use_bias": true}})",
      {.input_shape = {4, 10, 128}});
  const LayerSpec spec{.filters = 32, .kernel_size = 3, .activation = make_relu(), .input_shape = {10, 128}};
  const auto made = compile(spec);
  ASSERT_TRUE(made.has_value()) << made.error().message;
  for (const CompiledLayer& layer : {text, json, *made}) {
    EXPECT_EQ(layer.channels(), 128);
    EXPECT_EQ(layer.filters(), 32);
    EXPECT_EQ(test::kernel_shape(layer), (std::array<int64_t, 3>{3, 128, 32}));
    EXPECT_TRUE(test::has_bias(layer));
    EXPECT_NE(layer.backend(), Backend::kAuto);
    EXPECT_NE(layer.isa(), Isa::kAuto);
    expect_documentation_example(layer, 4);
  }
  EXPECT_EQ(made->spec(), spec);
}

TEST(Layer, OutputSizes) {
  const CompiledLayer layer = compiled("Conv1D(4, 5, strides=3, use_bias=False, input_shape=(None, 2))");
  EXPECT_FALSE(test::has_bias(layer));
  EXPECT_EQ(layer.output_steps(5), 1);
  EXPECT_EQ(layer.output_steps(7), 1);
  EXPECT_EQ(layer.output_steps(8), 2);
  EXPECT_EQ(layer.output_steps(4), 0);
  EXPECT_EQ(layer.output_shape({std::nullopt, std::nullopt, 2}), (Shape{std::nullopt, std::nullopt, 4}));
  EXPECT_FALSE(layer.output_shape({1, 10, 3}).has_value());
}

void expect_pack_error(const CompiledLayer& layer, size_t kernel, size_t bias, std::string_view message) {
  const auto weights = layer.pack(std::vector<float>(kernel), std::vector<float>(bias));
  ASSERT_FALSE(weights.has_value());
  EXPECT_EQ(weights.error().code, ErrorCode::kInvalidData);
  EXPECT_EQ(weights.error().message, message);
}

TEST(Layer, PackNamesWhatDoesNotFit) {
  const CompiledLayer layer = compiled("Conv1D(6, 3, groups=2, input_shape=(None, 4))");
  EXPECT_TRUE(layer.pack(std::vector<float>(36), std::vector<float>(6)).has_value());
  expect_pack_error(layer, 35, 6, "kernel has 35 values; shape (3, 2, 6) needs 36.");
  expect_pack_error(layer, 0, 6, "kernel has 0 values; shape (3, 2, 6) needs 36.");
  expect_pack_error(layer, 36, 7, "bias has 7 values; shape (6) needs 6.");
  expect_pack_error(layer, 36, 0, "bias has 0 values; shape (6) needs 6.");
  const CompiledLayer bare = compiled("Conv1D(6, 3, groups=2, use_bias=False, input_shape=(None, 4))");
  expect_pack_error(bare, 36, 6, "bias has 6 values; this layer has use_bias=False.");
}

// Axes before the last one may be batch or steps.
TEST(Layer, DenseTakesRowsAsBatchOrAsSteps) {
  const CompiledLayer layer = compiled("Dense(1, use_bias=False, input_shape=(3, 2))");
  EXPECT_EQ(layer.output_steps(3), 3);
  const auto weights = layer.pack(std::vector<float>{1, 10}, {});
  ASSERT_TRUE(weights) << weights.error().message;
  const std::vector<float> in = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
  const std::vector<float> expected = {21, 43, 65, 87, 109, 131};
  for (const auto& [batch, steps] : {std::pair<int64_t, int64_t>{2, 3}, {6, 1}, {1, 6}}) {
    std::vector<float> out(6, -7.0F);
    EXPECT_EQ(layer.run(*weights, in.data(), out.data(), batch, steps), RunStatus::kOk);
    EXPECT_EQ(out, expected);
  }
}

TEST(Layer, EveryStatus) {
  const CompiledLayer layer = compiled("Conv1D(6, 3, input_shape=(None, 4))");
  const PackedWeights weights = packed(layer);
  const std::vector<float> in = integers(10 * 4);
  std::vector<float> out(8 * 6);
  const auto status = [&](int64_t batch, int64_t steps) {
    return layer.run(weights, in.data(), out.data(), batch, steps);
  };
  EXPECT_EQ(status(1, 10), RunStatus::kOk);
  EXPECT_EQ(layer.run(PackedWeights(), in.data(), out.data(), 1, 10), RunStatus::kNullPointer);
  EXPECT_EQ(layer.run(weights, nullptr, out.data(), 1, 10), RunStatus::kNullPointer);
  EXPECT_EQ(layer.run(weights, in.data(), nullptr, 1, 10), RunStatus::kNullPointer);
  EXPECT_EQ(status(-1, 10), RunStatus::kBadSize);
  EXPECT_EQ(status(1, -1), RunStatus::kBadSize);
  EXPECT_EQ(status((int64_t{1} << 40) + 1, 10), RunStatus::kBadSize);
  EXPECT_EQ(status(1, INT64_MAX), RunStatus::kBadSize);
  EXPECT_EQ(status(INT64_MIN, INT64_MIN), RunStatus::kBadSize);
  EXPECT_EQ(status(1, 2), RunStatus::kEmptyOutput);
  EXPECT_EQ(layer.run(weights, nullptr, nullptr, 0, 10), RunStatus::kOk);
  EXPECT_EQ(layer.run(weights, nullptr, nullptr, 5, 0), RunStatus::kOk);
  const CompiledLayer wider = compiled("Conv1D(7, 3, input_shape=(None, 4))");
  const CompiledLayer longer = compiled("Conv1D(6, 4, input_shape=(None, 3))");
  EXPECT_EQ(layer.run(packed(wider), in.data(), out.data(), 1, 10), RunStatus::kWrongWeights);
  EXPECT_EQ(layer.run(packed(longer), in.data(), out.data(), 1, 10), RunStatus::kWrongWeights);
}

TEST(Layer, EveryStatusHasADescription) {
  for (const RunStatus status : {RunStatus::kOk, RunStatus::kNullPointer, RunStatus::kBadSize,
                                 RunStatus::kEmptyOutput, RunStatus::kWrongWeights}) {
    EXPECT_STRNE(describe(status), "unknown status");
  }
}

// Causal padding gives an output for every input step; explicit zeros even without one.
TEST(Layer, PaddingAloneMakesAnOutput) {
  const CompiledLayer layer =
      compiled("Conv1D(3, 2, padding=(2, 2), input_shape=(None, 4))", {.rules = Rules::kAny});
  const int64_t steps = layer.output_steps(0);
  if (steps == 0) return;  // empty input, empty output
  std::vector<float> out(static_cast<size_t>(steps) * 3, -7.0F);
  ASSERT_EQ(layer.run(packed(layer), nullptr, out.data(), 1, 0), RunStatus::kOk);
  const std::vector<float> bias = integers(3);
  for (size_t i = 0; i < out.size(); ++i) EXPECT_EQ(out[i], bias[i % 3]);
}

TEST(Layer, WeightsAreSwappedUnderOneLayer) {
  const CompiledLayer layer = compiled("Conv1D(32, 3, activation='relu', input_shape=(10, 128))");
  const std::vector<float> in = integers(10 * 128, 4);
  const PackedWeights first = packed(layer, 1);
  const PackedWeights second = packed(layer, 2);
  const auto expected = [&](int64_t seed) {
    return valid_relu(in, integers(3 * 128 * 32, seed), integers(32, seed), 1, 10, 128, 3);
  };
  EXPECT_EQ(run(layer, first, in, 1, 10), expected(1));
  EXPECT_EQ(run(layer, second, in, 1, 10), expected(2));
  EXPECT_EQ(run(layer, first, in, 1, 10), expected(1));
  EXPECT_NE(expected(1), expected(2));
}

// Weights belong to the arrangement, not to the object: a layer compiled again takes them.
TEST(Layer, WeightsFitTheSameLayerOfAnotherEngine) {
  Engine engine;
  const char* text = "Conv1D(9, 3, input_shape=(None, 4))";
  const CompiledLayer again = *engine.compile(text);
  const std::vector<float> in = integers(10 * 4);
  EXPECT_EQ(run(again, packed(compiled(text)), in, 1, 10), run(again, packed(again), in, 1, 10));
}

// Layers that stage their input.
constexpr const char* kScratchLayers[] = {
    "Conv1D(2, 5, strides=2, activation='relu', input_shape=(None, 24))",
    "Conv1D(1, 9, padding='same', input_shape=(None, 40))",
    "Conv1D(4, 4, strides=3, data_format='channels_first', input_shape=(9, None))",
};

// Runs with scratch of exactly the size asked for, 16 bytes off a cache line, canaries around it.
void expect_exact_scratch(const CompiledLayer& layer, int64_t batch, int64_t steps,
                          const ParallelFor& parallel) {
  constexpr size_t kGap = 256;
  const std::vector<float> in = integers(batch * steps * layer.channels());
  const PackedWeights weights = packed(layer);
  const std::vector<float> expected = run(layer, weights, in, batch, steps);
  const size_t bytes = layer.workspace_bytes(batch, steps, parallel.threads);
  std::vector<unsigned char> memory(bytes + 2 * kGap, 0xA5);
  const auto misplaced = reinterpret_cast<uintptr_t>(memory.data() + kGap) % 64;
  unsigned char* const scratch = memory.data() + kGap - misplaced + 16;
  EXPECT_EQ(run(layer, weights, in, batch, steps, {.workspace = scratch, .parallel = parallel}), expected);
  const auto live = [](unsigned char byte) { return byte == 0xA5; };
  EXPECT_TRUE(std::all_of(memory.data(), scratch, live));
  EXPECT_TRUE(std::all_of(scratch + bytes, memory.data() + memory.size(), live));
}

void one_after_the_other(void*, void (*task)(void*, size_t), void* context, size_t count) {
  for (size_t i = 0; i < count; ++i) task(context, i);
}

TEST(Layer, ScratchOfTheCallersIsEnoughForEveryLength) {
  size_t most = 0;
  for (const Place& place : all_places()) {
    for (const char* text : kScratchLayers) {
      SCOPED_TRACE(name_of(place) + " " + text);
      const CompiledLayer layer = compiled(text, {.backend = place.backend, .isa = place.isa});
      most = std::max(most, layer.workspace_bytes(1, 10));
      EXPECT_EQ(layer.workspace_bytes(1, 10, 0), layer.workspace_bytes(1, 10, 1));
      EXPECT_EQ(layer.workspace_bytes(1, 10, 3), 3 * layer.workspace_bytes(1, 10, 1));
      for (const int64_t steps : {9, 33, 1000}) {
        expect_exact_scratch(layer, 2, steps, {});
        if (place.backend == Backend::kInterp) continue;
        expect_exact_scratch(layer, 9, 8 * steps, {one_after_the_other, nullptr, 3});
      }
    }
  }
  EXPECT_GT(most, 0U) << "no layer here uses scratch";
}

}  // namespace
}  // namespace convsmith::test
