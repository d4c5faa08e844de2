// The transpose program against plain loops, on every back end, beside forbidden pages.
#include "codegen/programs/transpose_program.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/run_program.hpp"

namespace convsmith::test {
namespace {

struct Shape {
  int64_t samples, rows, columns;
  int64_t in_gap = 0, out_gap = 0;  // floats between rows, of neither
  int64_t in_row() const { return columns + in_gap; }
  int64_t out_row() const { return rows + out_gap; }
  // The last row ends the array.
  size_t in_floats() const { return static_cast<size_t>(samples * rows * in_row() - in_gap); }
  size_t out_floats() const { return static_cast<size_t>(samples * columns * out_row() - out_gap); }
};

struct Range {
  int64_t begin, end;
};

KernelArgs args_for(const Shape& s, const float* in, float* out, Range samples, Range rows, Range columns) {
  KernelArgs args{};
  args.kIn = in;
  args.kOut = out;
  args.kInSample = s.rows * s.in_row();
  args.kOutSample = s.columns * s.out_row();
  args.kInChannel = s.in_row();
  args.kOutChannel = s.out_row();
  args.kSampleBegin = samples.begin;
  args.kSampleEnd = samples.end;
  args.kStepBegin = rows.begin;
  args.kStepEnd = rows.end;
  args.kBlockBegin = columns.begin;
  args.kBlockEnd = columns.end;
  return args;
}

// Every float of the output with its name; -1 where nothing is written.
std::vector<float> expected(const Shape& s, Range samples, Range rows, Range columns) {
  std::vector<float> out(s.out_floats(), -1.0F);
  for (int64_t n = samples.begin; n < samples.end; ++n) {
    for (int64_t r = rows.begin; r < rows.end; ++r) {
      for (int64_t c = columns.begin; c < columns.end; ++c) {
        out[static_cast<size_t>((n * s.columns + c) * s.out_row() + r)] =
            static_cast<float>((n * s.rows + r) * s.in_row() + c);
      }
    }
  }
  return out;
}

void check(const Shape& s, Range samples, Range rows, Range columns) {
  static const std::vector<PlacedKernel> kernels = kernels_everywhere(transpose_program);
  std::vector<float> in(s.in_floats());
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  const std::vector<float> want = expected(s, samples, rows, columns);
  for (const PlacedKernel& k : kernels) {
    for (const Edge edge : {Edge::kEnd, Edge::kStart}) {
      const GuardedBuffer source(in, edge);
      const GuardedBuffer target(std::vector<float>(s.out_floats(), -1.0F), edge);
      k.run(args_for(s, source.data(), target.data(), samples, rows, columns));
      ASSERT_TRUE(target.canaries_live()) << k.place;
      const auto have = target.values();
      ASSERT_EQ(std::vector<float>(have.begin(), have.end()), want)
          << k.place << ": " << s.samples << " x " << s.rows << " x " << s.columns;
    }
  }
}

void check_all(const Shape& s) {
  check(s, {0, s.samples}, {0, s.rows}, {0, s.columns});
}

TEST(TransposeProgram, TurnsMatricesOfAllSizes) {
  for (const int64_t rows : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 33, 50}) {
    for (const int64_t columns : {1, 2, 3, 4, 6, 8, 11, 16, 19, 32, 45}) check_all({1, rows, columns});
  }
}

TEST(TransposeProgram, TurnsEachSampleAndLeavesGapsAlone) {
  check_all({3, 5, 20});
  check_all({2, 17, 17, 3, 0});
  check_all({2, 16, 40, 0, 5});
  check_all({4, 33, 9, 1, 2});
}

TEST(TransposeProgram, WritesOnlyItsRanges) {
  const Shape s{3, 40, 37, 1, 1};
  check(s, {1, 2}, {0, 40}, {0, 37});
  check(s, {0, 3}, {7, 24}, {0, 37});
  check(s, {0, 3}, {0, 40}, {5, 37});
  check(s, {2, 3}, {3, 4}, {16, 36});
  check(s, {0, 0}, {0, 40}, {0, 37});
  check(s, {0, 3}, {4, 4}, {0, 37});
  check(s, {0, 3}, {0, 40}, {9, 9});
}

// Only what has fewer than four rows or columns, or less than a vector both ways, may take the slow way
// through scratch.
TEST(TransposeProgram, TurnsNarrowMatricesWithoutScratch) {
  for (const PlacedKernel& k : kernels_everywhere(transpose_program)) {
    for (const Shape& s :
         {Shape{1, 64, 8}, {1, 8, 64}, {1, 50, 5}, {1, 7, 49}, {1, 98, 24}, {1, 40, 31, 2, 1}}) {
      const std::vector<float> in(s.in_floats(), 1.0F);
      std::vector<float> out(s.out_floats());
      const std::vector<float> untouched(k.scratch_floats, -2.0F);
      std::vector<float> scratch = untouched;
      KernelArgs args = args_for(s, in.data(), out.data(), {0, 1}, {0, s.rows}, {0, s.columns});
      args.kScratch = scratch.data();
      k.kernel->run(args);
      EXPECT_EQ(scratch, untouched) << k.place << ": " << s.rows << " x " << s.columns;
    }
  }
}

// A transpose moves bits and computes nothing.
TEST(TransposeProgram, KeepsSignallingNaN) {
  for (const PlacedKernel& k : kernels_everywhere(transpose_program)) {
    const Shape s{1, 17, 3};
    std::vector<float> in(s.in_floats());
    std::vector<float> out(s.out_floats());
    std::vector<uint32_t> bits(in.size(), 0x7fa00001U);
    std::memcpy(in.data(), bits.data(), 4 * bits.size());
    k.run(args_for(s, in.data(), out.data(), {0, 1}, {0, 17}, {0, 3}));
    EXPECT_EQ(std::memcmp(out.data(), bits.data(), 4 * bits.size()), 0) << k.place;
  }
}

}  // namespace
}  // namespace convsmith::test
