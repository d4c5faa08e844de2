// Runs on several threads: whoever provides them, however the work is cut, the bits are the same and the
// caller's rounding mode holds; what becomes of denormals is in denormals_test.cpp.
#include <fenv.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>

#include "codegen/control_word.hpp"
#include "convsmith/convsmith.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/run_kernel.hpp"
#include "tests/support/layer_shapes.hpp"
#include "tests/support/own_threads.hpp"
#include "tests/support/process.hpp"
#include "tests/support/random_problem.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

struct Shaped {
  const char* text;
  int64_t batch;
  int64_t steps;
};

// One to be cut along each axis: samples, steps, filter blocks, groups.
constexpr Shaped kShapes[] = {
    {"Conv1D(32, 3, padding='same', activation='tanh', input_shape=(None, 24))", 5, 129},
    {"Conv1D(33, 3, strides=2, activation='relu', input_shape=(None, 16))", 1, 1501},
    {"Conv1D(640, 16, input_shape=(None, 64))", 1, 17},
    {"Conv1D(96, 9, groups=3, padding='causal', dilation_rate=2, input_shape=(None, 48))", 1, 43},
    {"Conv1D(2, 9, padding='same', strides=2, input_shape=(None, 40))", 1, 2999},
    {"Conv1D(40, 5, data_format='channels_first', input_shape=(24, None))", 1, 333},
    {"Conv1D(64, 9, groups=64, padding='same', input_shape=(None, 64))", 1, 1801},
};

struct Prepared {
  CompiledLayer layer;
  PackedWeights weights;
  std::vector<float> input;
};

Prepared prepare(const Shaped& shaped, const Place& place, float scale = 1.0F) {
  const CompiledLayer layer = *compile(shaped.text, {.backend = place.backend, .isa = place.isa});
  Random r(9);
  const auto [taps, channels, filters] = test::kernel_shape(layer);
  const std::vector<float> kernel = r.floats(taps * channels * filters);
  const std::vector<float> bias = r.floats(filters);
  std::vector<float> input = r.floats(shaped.batch * shaped.steps * layer.channels());
  for (float& x : input) x *= scale;
  return {layer, *layer.pack(kernel, std::vector<float>(bias.size(), 0.0F)), std::move(input)};
}

std::vector<uint32_t> run(const Shaped& shaped, const Prepared& p, const ParallelFor& parallel,
                          void* scratch = nullptr) {
  const int64_t floats = shaped.batch * p.layer.output_steps(shaped.steps) * p.layer.filters();
  std::vector<float> output(static_cast<size_t>(floats), -7.0F);
  const RunOptions options{.workspace = scratch, .parallel = parallel};
  EXPECT_EQ(p.layer.run(p.weights, p.input.data(), output.data(), shaped.batch, shaped.steps, options),
            RunStatus::kOk);
  return bits_of(output);
}

class ThreadsTest : public testing::TestWithParam<Place> {};
INSTANTIATE_TEST_SUITE_P(Places, ThreadsTest, testing::ValuesIn(machine_code_places()),
                         [](const auto& info) { return name_of(info.param); });
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(ThreadsTest);

TEST_P(ThreadsTest, AnyNumberGivesTheSameBits) {
  for (const Shaped& shaped : kShapes) {
    SCOPED_TRACE(shaped.text);
    const Prepared p = prepare(shaped, GetParam());
    const std::vector<uint32_t> expected = run(shaped, p, {});
    for (const int threads : {1, 2, 3, 7}) {
      OwnThreads own;
      EXPECT_EQ(run(shaped, p, own.parallel_for(threads)), expected) << threads << " threads";
      EXPECT_LE(own.tasks, static_cast<size_t>(threads));
      // Each of these is worth cutting.
      EXPECT_TRUE(threads == 1 || own.tasks > 1) << own.tasks << " tasks for " << threads << " threads";
    }
    const ThreadPool pool(2);
    EXPECT_EQ(run(shaped, p, pool.parallel_for()), expected);
  }
}

// One sample that is long enough to be cut in steps, wherever the cuts fall.
int64_t steps_worth_cutting(const Problem& p, Random& r) {
  const int64_t step_work = p.filters * p.group_channels() * p.taps;
  const int64_t steps = p.stride * (1 + 700000 / step_work) + r.between(0, 60);
  return std::max(steps, p.span());
}

void run_last_first(void* tasks, void (*task)(void*, size_t), void* context, size_t count) {
  *static_cast<size_t*>(tasks) = count;
  while (count > 0) task(context, --count);
}

TEST_P(ThreadsTest, AnyCutGivesTheSameBits) {
  Random r(77);
  const int layers = GetParam().backend == Backend::kLlvm ? 12 : 100;
  const auto& memory = process_code_memory();
  ASSERT_TRUE(memory.has_value());
  for (int i = 0; i < layers; ++i) {
    const Problem problem = random_problem(r);
    SCOPED_TRACE(ir::problem_text(problem));
    Tensors t(problem, 1, steps_worth_cutting(problem, r), r);
    const auto compiled = compile_problem(problem, GetParam().backend, GetParam().isa, "", *memory);
    ASSERT_TRUE(compiled.has_value()) << compiled.error().message;
    const auto weights = pack_weights(*compiled, t.kernel, problem.has_bias ? t.bias : std::vector<float>());
    const auto run_on = [&](const ParallelFor& parallel) {
      std::fill(t.out.begin(), t.out.end(), -7.0F);
      EXPECT_EQ(run_kernel(**compiled, weights->data, t.in.data(), t.out.data(), 1, t.steps,
                           {.parallel = parallel}),
                RunStatus::kOk);
      return bits_of(t.out);
    };
    const std::vector<uint32_t> expected = run_on({});
    for (const int threads : {2, 3, 4}) {
      size_t tasks = 0;
      ASSERT_TRUE(run_on({run_last_first, &tasks, threads}) == expected) << threads << " threads";
      EXPECT_GT(tasks, 1U);
    }
  }
}

constexpr int64_t kStickyBits = 0x3f;

TEST_P(ThreadsTest, TheRoundingModeHoldsAndStays) {
  const Shaped& shaped = kShapes[1];
  const Prepared p = prepare(shaped, GetParam(), 1.0F / 3.0F);
  const std::vector<uint32_t> nearest = run(shaped, p, {});
  const ScopedControlWord upward((control_word() & ~int64_t{0x6000}) | 0x4000);
  const int64_t before = control_word();
  const std::vector<uint32_t> alone = run(shaped, p, {});
  OwnThreads own;
  EXPECT_EQ(run(shaped, p, own.parallel_for(3)), alone);
  EXPECT_EQ(control_word() & ~kStickyBits, before & ~kStickyBits);
  EXPECT_TRUE(own.control_word_kept);
  // The promise of equal bits between back ends holds for the default mode; here it only has to matter.
  if (GetParam().isa != Isa::kBaseline) {
    EXPECT_NE(alone, nearest);
  }
}

// Lanes beyond the tensors compute nothing that could hit a caller who traps exceptions, whatever the
// scratch holds.
TEST_P(ThreadsTest, MaskedLanesRaiseNoException) {
  const Place place = GetParam();
  for (const Shaped& shaped : kShapes) {
    SCOPED_TRACE(shaped.text);
    const Prepared p = prepare(shaped, place);
    // Signalling NaNs.
    std::vector<uint32_t> scratch(p.layer.workspace_bytes(1, 10) / sizeof(uint32_t), 0x7fa00000U);
    const std::string end = run_in_child([&] {
      feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
      run(shaped, p, {}, scratch.empty() ? nullptr : scratch.data());
      return true;
    });
    EXPECT_EQ(end, "exit 0") << "signal " << SIGFPE << " is a floating-point exception";
  }
}

}  // namespace
}  // namespace convsmith::test
