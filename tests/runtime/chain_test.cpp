// A layer of two passes runs chunk by chunk where its middle would not stay in a cache: the same bits as two
// layers one after the other, and memory that does not grow with the input.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "convsmith/convsmith.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using Spans = std::vector<std::span<const float>>;

std::vector<float> run(const std::string& text, const Spans& weights, const std::vector<float>& input,
                       int64_t batch, int64_t steps, const ParallelFor& parallel = {}) {
  const auto layer = compile(text, {.rules = Rules::kAny});
  EXPECT_TRUE(layer) << (layer ? "" : layer.error().message);
  if (!layer) return {};
  const auto packed = layer->pack(weights);
  EXPECT_TRUE(packed);
  std::vector<float> output(static_cast<size_t>(batch * layer->output_steps(steps) * layer->filters()),
                            -7.0F);
  const int threads = std::max(parallel.threads, 1);
  std::vector<double> workspace(layer->workspace_bytes(batch, steps, threads) / sizeof(double) + 1);
  EXPECT_EQ(layer->run(*packed, input.data(), output.data(), batch, steps,
                       {.workspace = workspace.data(), .parallel = parallel}),
            RunStatus::kOk);
  return output;
}

TEST(Chain, ChunksGiveTheBitsOfTwoLayers) {
  constexpr int64_t kChannels = 1100;  // chunks of 64 steps at most in any cache of today
  constexpr int64_t kBatch = 2;
  Random r(5);
  const std::vector<float> depthwise = r.floats(3 * kChannels);
  const std::vector<float> pointwise = r.floats(kChannels * 5);
  const std::vector<float> bias = r.floats(5);
  const std::string shape = "input_shape=(None, 1100))";
  const ThreadPool pool(2);
  for (const int64_t steps : {63, 129, 1000}) {
    const std::vector<float> input = r.floats(kBatch * steps * kChannels);
    const std::vector<float> middle =
        run("DepthwiseConv1D(3, strides=2, padding='same', use_bias=False, " + shape, {depthwise}, input,
            kBatch, steps);
    const auto expected = bits_of(
        run("Conv1D(5, 1, activation='tanh', " + shape, {pointwise, bias}, middle, kBatch, (steps + 1) / 2));
    const std::string text = "SeparableConv1D(5, 3, strides=2, padding='same', activation='tanh', " + shape;
    EXPECT_EQ(bits_of(run(text, {depthwise, pointwise, bias}, input, kBatch, steps)), expected) << steps;
    EXPECT_EQ(bits_of(run(text, {depthwise, pointwise, bias}, input, kBatch, steps, pool.parallel_for())),
              expected)
        << steps;
  }
  const auto layer = compile("SeparableConv1D(5, 3, " + shape);
  ASSERT_TRUE(layer);
  EXPECT_EQ(layer->workspace_bytes(1, 10000), layer->workspace_bytes(1, 20000));
  EXPECT_LE(layer->workspace_bytes(700, 20000), size_t{1} << 20);
}

std::vector<float> turned(const std::vector<float>& from, int64_t batch, int64_t rows, int64_t columns) {
  std::vector<float> to(from.size());
  for (int64_t n = 0; n < batch; ++n) {
    for (int64_t i = 0; i < rows; ++i) {
      for (int64_t j = 0; j < columns; ++j)
        to[static_cast<size_t>((n * columns + j) * rows + i)] =
            from[static_cast<size_t>((n * rows + i) * columns + j)];
    }
  }
  return to;
}

// A layer as both layouts, on one thread and on two; its memory does not grow with the input.
struct Turned {
  std::string name;  // Conv1D or Conv1DTranspose
  int64_t channels;
  int64_t filters;
  int64_t stride;
  std::vector<std::string> paddings;
  std::vector<int64_t> steps;
};

void expect_bits_of_channels_last(const Turned& layer) {
  constexpr int64_t kBatch = 2;
  constexpr int64_t kTaps = 7;
  Random r(6);
  const std::vector<float> kernel = r.floats(kTaps * layer.channels * layer.filters);
  const std::vector<float> bias = r.floats(layer.filters);
  const ThreadPool pool(2);
  for (const std::string& padding : layer.paddings) {
    const std::string begin = fmt::format("{}({}, {}, strides={}, padding={}, activation='relu', ",
                                          layer.name, layer.filters, kTaps, layer.stride, padding);
    const std::string first =
        begin + fmt::format("data_format='channels_first', input_shape=({}, None))", layer.channels);
    for (const int64_t steps : layer.steps) {
      SCOPED_TRACE(padding + " " + std::to_string(steps));
      const std::vector<float> input = r.floats(kBatch * steps * layer.channels);
      const std::vector<float> last =
          run(begin + fmt::format("input_shape=(None, {}))", layer.channels), {kernel, bias},
              turned(input, kBatch, layer.channels, steps), kBatch, steps);
      const int64_t outputs = static_cast<int64_t>(last.size()) / kBatch / layer.filters;
      const auto expected = bits_of(turned(last, kBatch, outputs, layer.filters));
      EXPECT_EQ(bits_of(run(first, {kernel, bias}, input, kBatch, steps)), expected);
      EXPECT_EQ(bits_of(run(first, {kernel, bias}, input, kBatch, steps, pool.parallel_for())), expected);
    }
    const auto compiled = compile(first, {.rules = Rules::kAny});
    ASSERT_TRUE(compiled);
    EXPECT_EQ(compiled->workspace_bytes(1, 10000), compiled->workspace_bytes(1, 20000));
    EXPECT_LE(compiled->workspace_bytes(700, 20000), size_t{1} << 20);
  }
}

// A wide channels-first layer: input and output are transposed chunk by chunk, too, from the input's edges to
// its middle.
TEST(Chain, ChannelsFirstGivesTheBitsOfChannelsLast) {
  expect_bits_of_channels_last(
      {"Conv1D", 40, 1100, 2, {"'same'", "'causal'", "'valid'", "(9, 70)"}, {60, 129, 700}});
}

// Its phases row by row, those that cropping cuts through, too.
TEST(Chain, TransposedChannelsFirstGivesTheBitsOfChannelsLast) {
  expect_bits_of_channels_last(
      {"Conv1DTranspose", 24, 32, 3, {"'same'", "'valid'", "(2, 1)", "(5, 4)"}, {20, 700, 2500}});
}

// Positions of the input that few output steps look at are not turned all at once either.
TEST(Chain, LongStridesTurnNoMoreInputThanACacheHolds) {
  const auto layer =
      compile("Conv1D(64, 500, strides=500, data_format='channels_first', input_shape=(8, None))");
  ASSERT_TRUE(layer);
  EXPECT_LT(layer->workspace_bytes(1, 2000000), size_t{8} << 20);
}

}  // namespace
}  // namespace convsmith::test
