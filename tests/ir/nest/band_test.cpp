// The band rule against its definition: the taps inside the input, output step by output step.
#include "ir/nest/band.hpp"

#include <gtest/gtest.h>

#include "tests/support/random_problem.hpp"

namespace convsmith::ir {
namespace {

TEST(Band, CoversEveryStepWithItsOwnTaps) {
  test::Random r(1);
  HostInts z;
  int empty = 0;
  for (int round = 0; round < 3000; ++round) {
    const Problem p = test::random_problem(r);
    const int64_t steps = r.between(0, 60);
    const int64_t pad = r.between(0, 12);  // a caller may give any left padding
    const int64_t out_steps = r.between(1, 80);
    int64_t o = 0;
    while (o < out_steps) {
      const Band<int64_t> band = band_at(z, p, o, out_steps, steps, pad);
      ASSERT_GT(band.end, o);
      ASSERT_LE(band.end, out_steps);
      for (int64_t step = o; step < band.end; ++step) {
        for (int64_t k = 0; k < p.taps; ++k) {
          const int64_t position = step * p.stride + k * p.dilation - pad;
          const bool inside = position >= 0 && position < steps;
          ASSERT_EQ(inside, k >= band.tap_begin && k < band.tap_end) << "step " << step << " tap " << k;
        }
      }
      empty += band.tap_begin == band.tap_end ? 1 : 0;
      o = band.end;
    }
  }
  EXPECT_GT(empty, 0);
}

TEST(Band, InteriorIsOneBand) {
  HostInts z;
  Problem p;
  p.taps = 5;
  p.pad_same = true;
  const Band<int64_t> band = band_at(z, p, int64_t{2}, int64_t{1000}, int64_t{1000}, int64_t{2});
  EXPECT_EQ(band.end, 998);
  EXPECT_EQ(band.tap_begin, 0);
  EXPECT_EQ(band.tap_end, 5);
}

}  // namespace
}  // namespace convsmith::ir
