// What a layer demands, counted by hand or one tap at a time.
#include "bench/peers/limits.hpp"

#include <gtest/gtest.h>

#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"

namespace convsmith::bench {
namespace {

Shape1d shape_of(const std::string& text, int64_t batch, int64_t steps) {
  return {"", batch, steps, parse_layer(text, Rules::kAny).value().spec};
}

// Pairs of an output step and a tap that meet the input, one by one.
double count_inside(const Shape1d& shape) {
  const Problem p = make_problem(shape.spec, Rules::kAny).value();
  const int64_t outputs = p.output_steps(shape.steps);
  const int64_t left = p.left_padding(shape.steps);
  const int64_t from = p.transposed ? shape.steps : outputs;
  const int64_t to = p.transposed ? outputs : shape.steps;
  int64_t pairs = 0;
  for (int64_t i = 0; i < from; ++i) {
    for (int64_t tap = 0; tap < p.taps; ++tap) {
      const int64_t at = i * p.stride + tap * p.dilation - left;
      pairs += at >= 0 && at < to ? 1 : 0;
    }
  }
  return 2.0 * static_cast<double>(shape.batch * pairs * p.group_channels() * p.filters);
}

TEST(Limits, CountsOperationsInsideTheInput) {
  // One channel, three taps, four steps: the first and the last output miss one tap each.
  const Work work = work_of(shape_of("Conv1D(1, 3, padding='same', input_shape=(None, 1))", 1, 4)).value();
  EXPECT_EQ(work.operations, 2.0 * 4 * 3);
  EXPECT_EQ(work.operations_inside, 2.0 * (4 * 3 - 2));
  for (const char* text : {"Conv1D(6, 5, input_shape=(None, 4))",
                           "Conv1D(6, 5, strides=3, padding='same', input_shape=(None, 4))",
                           "Conv1D(6, 4, dilation_rate=7, padding='causal', groups=2, input_shape=(None, 4))",
                           "Conv1D(6, 4, strides=2, dilation_rate=3, padding=(9, 2), input_shape=(None, 4))",
                           "Conv1DTranspose(6, 5, strides=3, padding='same', input_shape=(None, 4))",
                           "Conv1DTranspose(6, 2, strides=3, padding='same', input_shape=(None, 4))",
                           "Conv1DTranspose(6, 5, strides=2, padding=(3, 1), input_shape=(None, 4))"}) {
    for (const int64_t steps : {21, 22, 40}) {
      const Shape1d shape = shape_of(text, 3, steps);
      EXPECT_EQ(work_of(shape).value().operations_inside, count_inside(shape)) << text << ", " << steps;
    }
  }
}

TEST(Limits, CountsEveryArrayOnce) {
  const Work work = work_of(shape_of("Conv1D(6, 5, groups=2, input_shape=(None, 4))", 3, 10)).value();
  EXPECT_EQ(work.bytes, 4.0 * (3 * (10 * 4 + 6 * 6) + 5 * 2 * 6 + 6));
}

TEST(Limits, TakesTheLongerOfArithmeticAndTraffic) {
  EXPECT_DOUBLE_EQ(shortest_us(1e6, 1e3, 100, 10), 10);   // 1e6 operations at 100 GF/s
  EXPECT_DOUBLE_EQ(shortest_us(1e3, 1e6, 100, 10), 100);  // 1e6 bytes at 10 GB/s
  EXPECT_DOUBLE_EQ(shortest_us(1e6, 1e6, 100, 0), 10);
  EXPECT_DOUBLE_EQ(shortest_us(1e6, 1e6, 0, 0), 0);
}

TEST(Limits, FindsTheCache) {
  const Caches caches{100, 1000, 10000};
  EXPECT_EQ(level_of(100, caches), Level::kL1);
  EXPECT_EQ(level_of(101, caches), Level::kL2);
  EXPECT_EQ(level_of(10000, caches), Level::kL3);
  EXPECT_EQ(level_of(10001, caches), Level::kMemory);
  const Caches system = system_caches();
  EXPECT_LT(system.l1, system.l2);
  EXPECT_LE(system.l3, 32.0 * 1024 * 1024);
}

}  // namespace
}  // namespace convsmith::bench
