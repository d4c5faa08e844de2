// How the functions of an artifact round and flush: as the caller, on all threads, or with denormals flushed;
// and the caller's control word afterwards.
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "codegen/control_word.hpp"
#include "convsmith/convsmith.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "ir/graph/build_graph.hpp"
#include "tests/support/c_api.hpp"
#include "tests/support/loaded_artifact.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

struct Parallel {
  void (*run)(void* pool, void (*task)(void* context, size_t i), void* context, size_t count);
  void* pool;
  int64_t threads;
};

constexpr int64_t kUsual = 0x1f80;

// Threads with a control word of their own, which must be theirs again after each task.
struct Workers {
  size_t tasks = 0;
  bool kept = true;

  static void run(void* self, void (*task)(void* context, size_t i), void* context, size_t count) {
    Workers& workers = *static_cast<Workers*>(self);
    for (size_t i = 0; i < count; ++i) {
      std::thread([&] {
        set_control_word(kUsual);
        task(context, i);
        workers.kept &= (control_word() & ~int64_t{0x3f}) == kUsual;
        ++workers.tasks;
      }).join();
    }
  }
};

struct LayerCase {
  const char* text;
  int64_t channels;
  int64_t steps;
};

constexpr LayerCase kCases[] = {
    {"Conv1D(16, 3, activation='relu', input_shape=(None, 16))", 16, 4001},
    {"Conv1D(3, 9, activation='tanh', input_shape=(None, 5))", 5, 9000},
    {"SeparableConv1D(24, 5, depth_multiplier=2, use_bias=False, input_shape=(None, 10))", 10, 3000},
    {"Conv1DTranspose(8, 4, strides=2, padding='same', input_shape=(None, 8))", 8, 3001},
};

class ArtifactModes : public testing::TestWithParam<LayerCase> {
 protected:
  void SetUp() override {
    const auto& [text, channels, steps] = GetParam();
    auto spec = parse_layer(text, Rules::kAny);
    ASSERT_TRUE(spec) << spec.error().message;
    layer_.emplace(compile(spec->spec).value());
    auto graph = ir::build_graph(spec->spec, channels, Rules::kAny);
    ASSERT_TRUE(graph) << graph.error().message;
    std::vector<std::span<const float>> arrays;
    for (size_t i = 0; i < graph->arrays.size(); ++i) {
      size_t floats = 1;
      for (const int64_t axis : graph->arrays[i].shape) floats *= static_cast<size_t>(axis);
      // A bias of zeros leaves denormal sums what they are.
      graph->arrays[i].data = graph->arrays[i].shape.size() == 1
                                  ? std::vector<float>(floats, 0.0F)
                                  : numbers(floats, static_cast<uint32_t>(i) + 3);
      arrays.emplace_back(graph->arrays[i].data);
    }
    weights_ = layer_->pack(arrays).value();
    in_ = numbers(static_cast<size_t>(steps * channels), 8);
    for (float& x : in_) x *= 0x1p-124F;
    std::vector<Isa> isas = {Isa::kAvx512, Isa::kAvx2};
    if (llvm_is_built()) isas.push_back(Isa::kBaseline);
    auto artifact = compile_artifact({std::move(*graph), text, {}}, {"layer", isas});
    ASSERT_TRUE(artifact) << artifact.error().message;
    artifact_ = std::move(*artifact);
    loaded_.emplace(artifact_, "layer");
  }

  std::vector<uint32_t> by_jit(Denormals denormals) const {
    std::vector<float> out(floats());
    EXPECT_EQ(layer_->run(weights_, in_.data(), out.data(), 1, GetParam().steps, {.denormals = denormals}),
              RunStatus::kOk);
    return bits_of(out);
  }

  // With `workers`, on three threads.
  std::vector<uint32_t> by_artifact(bool flush, Workers* workers) const {
    const int64_t steps = GetParam().steps;
    std::vector<float> out(floats(), -9.0F);
    const int64_t threads = workers == nullptr ? 1 : 3;
    const auto bytes =
        loaded_->function<int64_t(int64_t, int64_t, int64_t)>("parallel_workspace_bytes")(1, steps, threads);
    std::vector<double> workspace(static_cast<size_t>(bytes) / sizeof(double) + 1);
    const std::string ending = flush ? "_flush" : "";
    const int64_t before = control_word();
    if (workers == nullptr) {
      using Run = int(const float*, float*, int64_t, int64_t, void*);
      EXPECT_EQ(loaded_->function<Run>("run" + ending)(in_.data(), out.data(), 1, steps, workspace.data()),
                0);
    } else {
      using Run = int(const float*, float*, int64_t, int64_t, void*, const Parallel*);
      const Parallel parallel{Workers::run, workers, threads};
      EXPECT_EQ(loaded_->function<Run>("run_parallel" + ending)(in_.data(), out.data(), 1, steps,
                                                                workspace.data(), &parallel),
                0);
    }
    // What was raised in between is forgotten with the modes.
    EXPECT_EQ(control_word() & ~int64_t{0x3f}, before & ~int64_t{0x3f});
    if (flush) {
      EXPECT_EQ(control_word(), before);
    }
    return bits_of(out);
  }

  size_t floats() const {
    return static_cast<size_t>(layer_->output_steps(GetParam().steps) * layer_->filters());
  }

  std::optional<CompiledLayer> layer_;
  PackedWeights weights_;
  std::vector<float> in_;
  Artifact artifact_;
  std::optional<LoadedArtifact> loaded_;
};

INSTANTIATE_TEST_SUITE_P(Layers, ArtifactModes, testing::ValuesIn(kCases),
                         [](const auto& info) { return "layer" + std::to_string(info.index); });

TEST_P(ArtifactModes, FlushGivesTheBitsOfTheJit) {
  const std::vector<uint32_t> kept = by_jit(Denormals::kKeep);
  const std::vector<uint32_t> flushed = by_jit(Denormals::kFlush);
  EXPECT_NE(kept, flushed);
  for (uint32_t v = 0; v < artifact_.variants.size(); ++v) {
    if (artifact_.variants[v].isa > detect_isa()) continue;
    SCOPED_TRACE(isa_name(artifact_.variants[v].isa));
    loaded_->use_variant(v + 1);
    Workers workers;
    for (Workers* const threads : {static_cast<Workers*>(nullptr), &workers}) {
      EXPECT_TRUE(by_artifact(false, threads) == kept);
      EXPECT_TRUE(by_artifact(true, threads) == flushed);
      const ScopedControlWord callers(Denormals::kFlush);
      EXPECT_TRUE(by_artifact(false, threads) == flushed);
      EXPECT_TRUE(by_artifact(true, threads) == flushed);
    }
    EXPECT_TRUE(workers.kept);
    EXPECT_GT(workers.tasks, 4U);
  }
}

TEST_P(ArtifactModes, TheCallersRoundingHoldsInEveryWorker) {
  // Upward, as numerics.md does not promise the same bits elsewhere: one thread is what three must give.
  const ScopedControlWord upward((control_word() & ~int64_t{0x6000}) | 0x4000);
  Workers workers;
  EXPECT_TRUE(by_artifact(false, &workers) == by_artifact(false, nullptr));
  EXPECT_TRUE(workers.kept);
  EXPECT_GT(workers.tasks, 1U);
}

TEST_P(ArtifactModes, ACallThatFailsLeavesTheControlWord) {
  using Run = int(const float*, float*, int64_t, int64_t, void*);
  using ParallelRun = int(const float*, float*, int64_t, int64_t, void*, const Parallel*);
  const auto run = loaded_->function<Run>("run_flush");
  const auto run_parallel = loaded_->function<ParallelRun>("run_parallel_flush");
  float x = 0;
  const int64_t before = control_word();
  EXPECT_EQ(run(nullptr, nullptr, 1, GetParam().steps, nullptr), 1);
  EXPECT_EQ(run(&x, &x, -1, 100, &x), 2);
  EXPECT_EQ(run_parallel(&x, &x, 1, int64_t{1} << 41, &x, nullptr), 2);
  EXPECT_EQ(control_word(), before);
  loaded_->use_variant(255);  // what a CPU without any of the variants gives
  EXPECT_EQ(run(&x, &x, 1, 100, &x), 7);
  EXPECT_EQ(run_parallel(&x, &x, 1, 100, &x, nullptr), 7);
  EXPECT_EQ(control_word(), before);
}

}  // namespace
}  // namespace convsmith::test
