// softmax, log_softmax and sparsemax: equal bits on every back end and for every cut, in place too; against
// double precision and Keras; special values; nothing outside the rows is touched.
#include "codegen/programs/row_programs.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "codegen/programs/transpose_program.hpp"
#include "convsmith/activation.hpp"
#include "scripts/vmath_ulp_reference.hpp"
#include "tests/support/golden_arrays.hpp"
#include "tests/support/run_program.hpp"

namespace convsmith::test {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

constexpr ActivationKind kKinds[] = {ActivationKind::kSoftmax, ActivationKind::kLogSoftmax,
                                     ActivationKind::kSparsemax};

const char* name_of(ActivationKind kind) {
  return kind == ActivationKind::kSoftmax      ? "softmax"
         : kind == ActivationKind::kLogSoftmax ? "log_softmax"
                                               : "sparsemax";
}

const std::vector<PlacedKernel>& kernels_of(ActivationKind kind) {
  static const auto kernels = [] {
    std::vector<std::vector<PlacedKernel>> all;
    for (const ActivationKind k : kKinds)
      all.push_back(kernels_everywhere([k](const Target& target) { return row_program(k, target); }));
    return all;
  }();
  return kernels[static_cast<size_t>(std::ranges::find(kKinds, kind) - kKinds)];
}

struct Shape {
  int64_t rows, length;
  int64_t in_gap = 0, out_gap = 0;
  int64_t in_pitch() const { return length + in_gap; }
  int64_t out_pitch() const { return length + out_gap; }
  size_t in_floats() const { return floats(in_gap); }
  size_t out_floats() const { return floats(out_gap); }
  size_t floats(int64_t gap) const { return static_cast<size_t>(rows * (length + gap) - gap); }
};

KernelArgs args_for(const Shape& s, const float* in, float* out, int64_t begin, int64_t end) {
  KernelArgs args{};
  args.kIn = in;
  args.kOut = out;
  args.kSteps = s.length;
  args.kInSample = s.in_pitch();
  args.kOutSample = s.out_pitch();
  args.kSampleBegin = begin;
  args.kSampleEnd = end;
  return args;
}

// Dense rows through the interpreter.
std::vector<float> run_rows(ActivationKind kind, const std::vector<float>& in, int64_t length) {
  const Shape s{static_cast<int64_t>(in.size()) / length, length};
  std::vector<float> out(in.size());
  kernels_of(kind).front().run(args_for(s, in.data(), out.data(), 0, s.rows));
  return out;
}

std::vector<float> random_rows(size_t floats, uint32_t seed, float spread) {
  std::mt19937 random(seed);
  std::vector<float> values(floats);
  for (float& x : values) x = std::normal_distribution<float>(0.0F, spread)(random);
  return values;
}

// Some of them ties, zeros of both signs, denormals, infinities and NaN.
std::vector<float> awkward_rows(size_t floats, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values = random_rows(floats, seed, 3.0F);
  constexpr float kAwkward[] = {0.0F, -0.0F, 1e-40F, 1.0F, 1.0F, -200.0F, 3e38F, -3e38F, -kInf, kInf, kNaN};
  for (float& x : values) {
    if (random() % 6 == 0) x = kAwkward[random() % 8];
    if (random() % 60 == 0) x = kAwkward[8 + random() % 3];
  }
  return values;
}

// One row in double precision, as Keras writes the formulas, and how far each float may be off: u = 2^-24 is
// half a unit in the last place of 1.
struct Exact {
  std::vector<double> y;
  std::vector<double> bound;
};

constexpr double kU = 0x1p-24;

Exact exact_softmax(std::span<const float> x, bool log) {
  const double m = *std::ranges::max_element(x);
  const auto n = static_cast<double>(x.size());
  double sum = 0;
  for (const double v : x) sum += std::exp(v - m);
  Exact exact;
  for (const double v : x) {
    const double d = v - m;
    // Of the sum: each term by its own d, whose mean is at most log n, and by two units; n roundings.
    const double of_sum = n + std::log(n) + 2;
    if (log) {
      exact.y.push_back(d - std::log(sum));
      exact.bound.push_back(kU * (-d + of_sum + 4 * std::log(sum) - exact.y.back()));
    } else {
      exact.y.push_back(std::exp(d) / sum);
      exact.bound.push_back(kU * exact.y.back() * (-d + of_sum + 3) + 0x1p-148);
    }
  }
  return exact;
}

Exact exact_sparsemax(std::span<const float> x) {
  std::vector<double> sorted(x.begin(), x.end());
  std::ranges::sort(sorted, std::greater<>());
  double running = 0;
  double sum = 0;
  double k = 0;
  for (size_t j = 0; j < sorted.size(); ++j) {
    running += sorted[j];
    if (sorted[j] - (running - 1) / static_cast<double>(j + 1) > 0) {
      sum += running;
      ++k;
    }
  }
  Exact exact;
  for (const double v : x) {
    exact.y.push_back(std::max(v - (sum - 1) / k, 0.0));
    exact.bound.push_back(kU * (exact.y.back() == 0 ? 1 : 2) * (1 + std::abs(sorted[0])) * (k + 1));
  }
  return exact;
}

Exact exact_row(ActivationKind kind, std::span<const float> x) {
  if (kind == ActivationKind::kSparsemax) return exact_sparsemax(x);
  return exact_softmax(x, kind == ActivationKind::kLogSoftmax);
}

void expect_everywhere(ActivationKind kind, const Shape& s, const std::vector<float>& in) {
  std::vector<uint32_t> expected;
  for (const PlacedKernel& k : kernels_of(kind)) {
    const std::string what = std::string(name_of(kind)) + " on " + k.place + ", " + std::to_string(s.rows) +
                             " x " + std::to_string(s.length);
    const Edge edge = s.rows % 2 == 0 ? Edge::kEnd : Edge::kStart;
    const GuardedBuffer source(in, edge);
    const GuardedBuffer target(std::vector<float>(s.out_floats(), -7.0F), edge);
    k.run(args_for(s, source.data(), target.data(), 0, s.rows));
    ASSERT_TRUE(target.canaries_live()) << what;
    if (expected.empty()) expected = bits_of(target.values());
    ASSERT_TRUE(bits_of(target.values()) == expected) << what;
    for (int64_t i = s.length; i < static_cast<int64_t>(s.out_floats()); ++i) {
      if (i % s.out_pitch() >= s.length) {
        ASSERT_EQ(target.values()[static_cast<size_t>(i)], -7.0F) << what;
      }
    }
    // In two parts, the second one first.
    std::vector<float> parts(s.out_floats(), -7.0F);
    k.run(args_for(s, in.data(), parts.data(), s.rows / 3, s.rows));
    k.run(args_for(s, in.data(), parts.data(), 0, s.rows / 3));
    ASSERT_TRUE(bits_of(parts) == expected) << what << " in two parts";
    if (s.in_gap != s.out_gap) continue;
    std::vector<float> in_place = in;
    k.run(args_for(s, in_place.data(), in_place.data(), 0, s.rows));
    std::vector<float> merged = in;
    for (int64_t i = 0; i < static_cast<int64_t>(merged.size()); ++i) {
      const auto at = static_cast<size_t>(i);
      if (i % s.out_pitch() < s.length) merged[at] = target.values()[at];
    }
    ASSERT_TRUE(bits_of(in_place) == bits_of(merged)) << what << " in place";
  }
}

TEST(RowPrograms, GiveTheSameBitsEverywhere) {
  for (const ActivationKind kind : kKinds) {
    uint32_t seed = 1;
    for (const int64_t length : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 70}) {
      for (const int64_t rows : {1, 2, 5, 8, 16, 19, 35}) {
        const Shape s{rows, length};
        expect_everywhere(kind, s, random_rows(s.in_floats(), ++seed, 4.0F));
        expect_everywhere(kind, s, awkward_rows(s.in_floats(), ++seed));
      }
    }
  }
}

TEST(RowPrograms, KeepToTheirRowsWhereRowsLieApart) {
  for (const ActivationKind kind : kKinds) {
    for (const Shape s : {Shape{19, 5, 3, 3}, Shape{33, 18, 1, 0}, Shape{20, 16, 0, 7}, Shape{3, 40, 9, 9}})
      expect_everywhere(kind, s, awkward_rows(s.in_floats(), 5));
  }
}

TEST(RowPrograms, DoNothingForNoRows) {
  for (const ActivationKind kind : kKinds) {
    for (const PlacedKernel& k : kernels_of(kind)) {
      float one = 5.0F;
      k.run(args_for({1, 1}, &one, &one, 1, 1));
      EXPECT_EQ(one, 5.0F) << k.place;
    }
  }
}

TEST(RowPrograms, AgreeWithDoublePrecision) {
  for (const ActivationKind kind : kKinds) {
    for (const float spread : {0.01F, 0.2F, 1.0F, 5.0F, 30.0F}) {
      for (const size_t length : {1, 2, 3, 10, 16, 100, 300}) {
        for (const float offset : {0.0F, -3.0F}) {
          std::vector<float> x = random_rows(length * 20, 3, spread);
          for (float& v : x) v += offset;
          const std::vector<float> y = run_rows(kind, x, static_cast<int64_t>(length));
          for (size_t row = 0; row < x.size(); row += length) {
            const Exact exact = exact_row(kind, std::span(x).subspan(row, length));
            for (size_t i = 0; i < length; ++i) {
              ASSERT_NEAR(y[row + i], exact.y[i], exact.bound[i])
                  << name_of(kind) << ", length " << length << ", spread " << spread << ", offset " << offset;
            }
          }
        }
      }
    }
  }
}

// Keras's formula as it stands: the published function would give (0.5, 0.5, 0) and (0.625, 0.375, 0).
TEST(RowPrograms, SparsemaxAddsRunningSums) {
  const auto sparse = [](const std::vector<float>& x) {
    return run_rows(ActivationKind::kSparsemax, x, std::ssize(x));
  };
  // Support 2; running sums 1 and 2: tau = (3 - 1) / 2.
  EXPECT_EQ(sparse({1, 1, -5}), (std::vector<float>{0, 0, 0}));
  // Running sums -0.25 and -0.75: tau = -1.
  EXPECT_EQ(sparse({-0.25F, -0.5F, -9}), (std::vector<float>{0.75F, 0.5F, 0}));
  // The second one is just no support: 1 - (3 - 1) / 2 = 0.
  EXPECT_EQ(sparse({2, 1}), (std::vector<float>{1, 0}));
}

TEST(RowPrograms, TreatSpecialValuesLikeKeras) {
  using Row = std::vector<float>;
  const auto softmax = [](const Row& x) { return run_rows(ActivationKind::kSoftmax, x, std::ssize(x)); };
  const auto log = [](const Row& x) { return run_rows(ActivationKind::kLogSoftmax, x, std::ssize(x)); };
  const auto sparse = [](const Row& x) { return run_rows(ActivationKind::kSparsemax, x, std::ssize(x)); };
  for (const float x : {0.0F, -0.0F, 3e38F, -3e38F, 1e-45F, 12.5F}) {
    EXPECT_EQ(bits_of(softmax({x})), bits_of(Row{1.0F})) << x;
    EXPECT_EQ(bits_of(log({x})), bits_of(Row{0.0F})) << x;
    EXPECT_EQ(bits_of(sparse({x})), bits_of(Row{1.0F})) << x;
  }
  EXPECT_EQ(bits_of(softmax({-kInf, 2, 2})), bits_of(Row{0, 0.5F, 0.5F}));
  EXPECT_EQ(bits_of(sparse({-kInf, 2, 0})), bits_of(Row{0, 1, 0}));
  EXPECT_EQ(log({-kInf, 2})[0], -kInf);
  EXPECT_EQ(log({-kInf, 2})[1], 0.0F);
  EXPECT_EQ(bits_of(softmax({3e38F, -3e38F})), bits_of(Row{1, 0}));
  EXPECT_EQ(bits_of(sparse({1e30F, 0, 5})), bits_of(Row{1, 0, 0}));
  for (const Row& row :
       {Row{kNaN}, Row{1, kNaN, 2, 3}, Row{kNaN, 1}, Row{1, 2, kNaN}, Row{kInf, 1}, Row{-kInf},
        Row{-kInf, -kInf, -kInf}, Row{1, kInf, kInf, kNaN}, Row{kInf, kInf}, Row{kNaN, kInf}}) {
    for (const ActivationKind kind : kKinds) {
      for (const float y : run_rows(kind, row, std::ssize(row))) EXPECT_TRUE(std::isnan(y)) << name_of(kind);
    }
  }
}

// --- Real Keras

using golden::Json;

// [outer][axis][inner] to [outer][inner][axis], by the program for it.
std::vector<float> swap_last(const std::vector<float>& in, int64_t outer, int64_t axis, int64_t inner) {
  std::vector<float> out(in.size());
  KernelArgs args{};
  args.kIn = in.data();
  args.kOut = out.data();
  args.kInSample = args.kOutSample = axis * inner;
  args.kInChannel = inner;
  args.kOutChannel = axis;
  args.kSampleEnd = outer;
  args.kStepEnd = axis;
  args.kBlockEnd = inner;
  kernels_everywhere(transpose_program).front().run(args);
  return out;
}

// The kind and axis of a golden case; false for all other cases.
bool along_axis(const Json& row, ActivationKind& kind, int64_t& axis) {
  std::string name;
  if (row.contains("activation")) {
    name = row["activation"]["name"];
    axis = row["activation"]["kwargs"].value("axis", -1);
  } else if (row["layer"]["class_name"] == "Softmax") {
    name = "softmax";
    axis = row["layer"]["config"]["axis"];
  }
  for (const ActivationKind k : kKinds) {
    if (name == name_of(k)) return kind = k, true;
  }
  return false;
}

TEST(RowPrograms, AgreeWithKeras) {
  const golden::Arrays<float> floats("activations.f32");
  const golden::Arrays<double> doubles("activations.f64");
  int cases = 0;
  for (const Json& row : golden::read_lines("activations.jsonl")) {
    ActivationKind kind{};
    int64_t axis = -1;
    if (!along_axis(row, kind, axis)) continue;
    SCOPED_TRACE(row["id"].get<std::string>());
    ++cases;
    const Json& tensors = row["tensors"];
    const std::span<const float> given = floats.get(tensors["input"]);
    std::vector<float> x(given.begin(), given.end());
    const auto shape = row["input_shape"].get<std::vector<int64_t>>();
    const bool last = axis == -1 || axis + 1 == std::ssize(shape);
    if (!last) x = swap_last(x, shape[0], shape[1], shape[2]);
    std::vector<float> y = run_rows(kind, x, last ? shape.back() : shape[1]);
    if (!last) y = swap_last(y, shape[0], shape[2], shape[1]);
    const std::span<const float> keras = floats.get(tensors["output"]);
    ASSERT_EQ(y.size(), keras.size());
    for (size_t i = 0; i < y.size(); ++i) {
      const double exact = tensors.contains("output_f64") ? doubles.get(tensors["output_f64"])[i] : keras[i];
      ASSERT_EQ(std::isfinite(y[i]), std::isfinite(exact)) << i;
      if (!std::isfinite(exact)) {
        EXPECT_EQ(y[i], keras[i]);
        continue;
      }
      EXPECT_TRUE(reference::ulp_error(y[i], exact) <= 4 || std::abs(y[i] - exact) <= 1e-6)
          << i << ": " << y[i] << ", not " << exact;
    }
  }
  EXPECT_EQ(cases, 18);
}

}  // namespace
}  // namespace convsmith::test
