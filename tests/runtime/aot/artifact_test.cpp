// Artifacts against the JIT: the same bits and the same status from every variant, from every C function.
#include "runtime/aot/artifact.hpp"

#include <execinfo.h>
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <thread>

#include "convsmith/convsmith.hpp"
#include "convsmith/model.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/keras/weight_shapes.hpp"
#include "frontend/models/load_model.hpp"
#include "ir/graph/build_graph.hpp"
#include "runtime/model.hpp"
#include "tests/support/loaded_artifact.hpp"
#include "tests/support/places.hpp"
#include "tests/support/run_everywhere.hpp"
#include "tests/support/sanitizers.hpp"

namespace convsmith::test {

namespace {

struct Parallel {
  void (*run)(void* pool, void (*task)(void* context, size_t i), void* context, size_t count);
  void* pool;
  int64_t threads;
};

// Real threads, in no order.
void run_on_threads(void* pool, void (*task)(void* context, size_t i), void* context, size_t count) {
  *static_cast<size_t*>(pool) += count;
  std::vector<std::thread> threads;
  for (size_t i = count; i-- > 0;) threads.emplace_back([=] { task(context, i); });
  for (std::thread& thread : threads) thread.join();
}

std::vector<float> noise(int64_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> values(static_cast<size_t>(count));
  for (float& x : values) x = static_cast<float>(static_cast<int32_t>(random())) * 0x1p-31F;
  return values;
}

// What the three x86-64 targets need.
std::vector<Isa> all_targets() {
  std::vector<Isa> isas = {Isa::kAvx512, Isa::kAvx2};
  if (llvm_is_built()) isas.push_back(Isa::kBaseline);
  return isas;
}

struct LayerCase {
  const char* text;
  std::vector<int64_t> steps;
};

// Every form of loops, every kind of layer, tails everywhere.
const LayerCase kLayers[] = {
    {"Conv1D(32, 3, activation='relu', input_shape=(None, 128))", {1, 3, 64, 301}},
    {"Conv1D(24, 5, padding='same', input_shape=(None, 7))", {1, 2, 33, 100}},
    {"Conv1D(80, 3, padding='causal', dilation_rate=4, input_shape=(None, 17))", {1, 9, 77}},
    {"Conv1D(33, 4, strides=3, padding='same', input_shape=(None, 9))", {1, 2, 5, 64}},
    {"Conv1D(3, 9, activation='tanh', input_shape=(None, 5))", {9, 64, 130}},
    {"Conv1D(1, 31, input_shape=(None, 1))", {31, 64, 500}},
    {"Conv1D(1, 3, padding='same', input_shape=(None, 64))", {1, 65, 128}},
    {"Conv1D(12, 3, groups=3, input_shape=(None, 6))", {3, 40}},
    {"Conv1D(64, 3, groups=2, strides=2, input_shape=(None, 64))", {3, 40, 111}},
    {"Conv1D(16, 1, use_bias=False, input_shape=(None, 40))", {1, 30}},
    {"Conv1D(20, 3, data_format='channels_first', input_shape=(6, None))", {3, 17, 100}},
    {"Conv1D(6, 5, data_format='channels_first', groups=6, padding='valid', input_shape=(6, None))", {5, 61}},
    {"Conv1D(40, 3, activation='gelu', padding='same', input_shape=(None, 12))", {1, 50}},
    {"Conv1D(10, 3, activation='softmax', input_shape=(None, 4))", {3, 20}},
    {"Conv1D(7, 2, activation='log_softmax', input_shape=(None, 7))", {2, 20}},
    {"Conv1D(100, 11, activation='elu', input_shape=(None, 3))", {11, 90}},
    {"Conv1D(48, 7, strides=4, input_shape=(None, 2))", {7, 100, 400}},
    {"Conv1D(5, 3, activation='sigmoid', padding='same', input_shape=(None, 3))", {1, 8, 99}},
    {"Conv1DTranspose(16, 4, strides=2, input_shape=(None, 8))", {1, 30}},
    {"Conv1DTranspose(8, 8, strides=4, padding='same', activation='relu', input_shape=(None, 64))",
     {1, 2, 50}},
    {"Conv1DTranspose(3, 5, strides=3, padding='same', input_shape=(None, 5))", {1, 4, 41}},
    {"Conv1DTranspose(40, 3, strides=2, padding='same', input_shape=(None, 40))", {1, 33}},
    {"Conv1DTranspose(4, 2, strides=5, input_shape=(None, 3))", {1, 21}},
    {"Conv1DTranspose(9, 3, data_format='channels_first', strides=2, input_shape=(5, None))", {1, 19}},
    {"DepthwiseConv1D(5, padding='same', input_shape=(None, 48))", {1, 60}},
    {"DepthwiseConv1D(31, depth_multiplier=1, input_shape=(None, 20))", {31, 80}},
    {"DepthwiseConv1D(3, depth_multiplier=3, input_shape=(None, 10))", {3, 50}},
    {"SeparableConv1D(24, 5, depth_multiplier=2, activation='relu', input_shape=(None, 10))", {5, 64, 700}},
    {"SeparableConv1D(64, 9, padding='same', input_shape=(None, 32))", {1, 40, 3000}},
    {"Dense(19, activation='swish', input_shape=(33,))", {1, 5}},
    {"Dense(256, input_shape=(None, 128))", {1, 13, 200}},
};

struct LayerUnderTest {
  LayerSpec spec;
  int64_t channels;
  std::vector<WeightShape> shapes;
  std::vector<std::vector<float>> weights;
};

LayerUnderTest make_layer(const char* text) {
  const auto parsed = parse_layer(text, Rules::kAny);
  EXPECT_TRUE(parsed) << parsed.error().message;
  const auto problem = make_layer_problem(parsed->spec, Rules::kAny);
  EXPECT_TRUE(problem) << problem.error().message;
  LayerUnderTest layer{parsed->spec, problem->chain.front().channels, {}, {}};
  layer.shapes = weight_shapes(layer.spec, layer.channels);
  for (const WeightShape& shape : layer.shapes) {
    const int64_t count =
        std::accumulate(shape.shape.begin(), shape.shape.end(), int64_t{1}, std::multiplies<>());
    layer.weights.push_back(noise(count, static_cast<uint32_t>(count)));
  }
  return layer;
}

ArtifactSource source_of(const LayerUnderTest& layer, bool embedded) {
  auto graph = ir::build_graph(layer.spec, layer.channels, Rules::kAny);
  EXPECT_TRUE(graph);
  ArtifactSource source{std::move(*graph), to_call_text(layer.spec), {}};
  if (!embedded) source.weights = layer.shapes;
  for (size_t i = 0; embedded && i < layer.weights.size(); ++i)
    source.graph.arrays[i].data = layer.weights[i];
  return source;
}

// One layer's artifact, through the signature that its number of arrays gives NAME_pack.
std::vector<float> pack(const LoadedArtifact& loaded, const LayerUnderTest& layer) {
  std::vector<float> packed(static_cast<size_t>(loaded.function<int64_t()>("packed_bytes")()) / 4, -1.0F);
  const auto at = [&](size_t i) { return layer.weights[i].data(); };
  using P = const float*;
  int status = -1;
  if (layer.weights.size() == 1) status = loaded.function<int(P, void*)>("pack")(at(0), packed.data());
  if (layer.weights.size() == 2)
    status = loaded.function<int(P, P, void*)>("pack")(at(0), at(1), packed.data());
  if (layer.weights.size() == 3)
    status = loaded.function<int(P, P, P, void*)>("pack")(at(0), at(1), at(2), packed.data());
  EXPECT_EQ(status, 0);
  return packed;
}

using PlainRun = int(const float*, float*, int64_t, int64_t, void*);
using PackedRun = int(const void*, const float*, float*, int64_t, int64_t, void*);
using ParallelRun = int(const float*, float*, int64_t, int64_t, void*, const Parallel*);

class ArtifactLayer : public testing::TestWithParam<LayerCase> {};

INSTANTIATE_TEST_SUITE_P(Layers, ArtifactLayer, testing::ValuesIn(kLayers),
                         [](const auto& info) { return "layer" + std::to_string(info.index); });

TEST_P(ArtifactLayer, EveryVariantGivesTheBitsOfTheJit) {
  const LayerUnderTest layer = make_layer(GetParam().text);
  const auto jit = compile(layer.spec, {.rules = Rules::kAny});
  ASSERT_TRUE(jit) << jit.error().message;
  std::vector<std::span<const float>> arrays(layer.weights.begin(), layer.weights.end());
  const auto jit_weights = jit->pack(arrays);
  ASSERT_TRUE(jit_weights);

  const auto embedded = compile_artifact(source_of(layer, true), {"inside", all_targets()});
  ASSERT_TRUE(embedded) << embedded.error().message;
  const auto separate = compile_artifact(source_of(layer, false), {"outside", all_targets()});
  ASSERT_TRUE(separate) << separate.error().message;
  LoadedArtifact inside(*embedded, "inside");
  LoadedArtifact outside(*separate, "outside");
  const std::vector<float> packed = pack(outside, layer);

  std::vector<int64_t> all_steps = GetParam().steps;
  all_steps.insert(all_steps.end(), {0, -1});
  for (uint32_t v = 0; v < embedded->variants.size(); ++v) {
    if (embedded->variants[v].isa > detect_isa()) continue;
    inside.use_variant(v + 1);
    outside.use_variant(v + 1);
    EXPECT_EQ(pack(outside, layer), packed) << "packed on one CPU, run on another";
    for (const int64_t steps : all_steps) {
      for (const int64_t batch : {1, 3, 0}) {
        SCOPED_TRACE(testing::Message() << GetParam().text << " batch " << batch << " steps " << steps << " "
                                        << isa_name(embedded->variants[v].isa));
        const int64_t out_steps = inside.function<int64_t(int64_t)>("output_steps")(steps);
        ASSERT_EQ(out_steps, steps < 0 ? -1 : jit->output_steps(steps));
        const auto size = static_cast<size_t>(std::max<int64_t>(0, batch * out_steps * jit->filters()));
        using Floats = int64_t(int64_t, int64_t);
        ASSERT_EQ(inside.function<Floats>("input_floats")(batch, steps),
                  steps < 0 ? -1 : batch * steps * jit->channels());
        ASSERT_EQ(inside.function<Floats>("output_floats")(batch, steps),
                  steps < 0 ? -1 : static_cast<int64_t>(size));
        const std::vector<float> in = noise(std::max<int64_t>(0, batch * steps * jit->channels()), 7);
        std::vector<float> expected(size + 1, -5.0F);
        std::vector<float> out(size + 1, -5.0F);
        const RunStatus status = jit->run(*jit_weights, in.data(), expected.data(), batch, steps);
        const int64_t bytes = inside.function<int64_t(int64_t, int64_t)>("workspace_bytes")(batch, steps);
        ASSERT_EQ(bytes < 0, steps < 0);
        std::vector<std::byte> workspace(static_cast<size_t>(std::max<int64_t>(bytes, 0)));
        void* const memory = workspace.empty() ? nullptr : workspace.data();
        ASSERT_EQ(inside.function<PlainRun>("run")(in.data(), out.data(), batch, steps, memory),
                  static_cast<int>(status));
        ASSERT_EQ(bits_of(out), bits_of(expected));
        std::fill(out.begin(), out.end(), -5.0F);
        ASSERT_EQ(
            outside.function<PackedRun>("run")(packed.data(), in.data(), out.data(), batch, steps, memory),
            static_cast<int>(status));
        ASSERT_EQ(bits_of(out), bits_of(expected));
      }
    }
  }
}

TEST(Artifact, ThreadsShareAPass) {
  for (const char* text : {"Conv1D(64, 5, padding='same', input_shape=(None, 64))",
                           "Conv1D(6, 9, strides=2, activation='tanh', input_shape=(None, 12))",
                           "SeparableConv1D(64, 9, input_shape=(None, 48))",
                           "Conv1DTranspose(24, 4, strides=2, padding='same', input_shape=(None, 32))"}) {
    SCOPED_TRACE(text);
    const LayerUnderTest layer = make_layer(text);
    const auto artifact = compile_artifact(source_of(layer, true), {"shared", all_targets()});
    ASSERT_TRUE(artifact) << artifact.error().message;
    LoadedArtifact loaded(*artifact, "shared");
    for (uint32_t v = 0; v < artifact->variants.size(); ++v) {
      if (artifact->variants[v].isa > detect_isa()) continue;
      loaded.use_variant(v + 1);
      for (const auto& [batch, steps] : {std::pair<int64_t, int64_t>{1, 3001}, {5, 400}, {2, 40}}) {
        const std::vector<float> in = noise(batch * steps * layer.channels, 3);
        const int64_t out_steps = loaded.function<int64_t(int64_t)>("output_steps")(steps);
        const int64_t filters =
            layer.weights.back().size() ? static_cast<int64_t>(layer.weights.back().size()) : 1;
        std::vector<float> expected(static_cast<size_t>(batch * out_steps * filters));
        const auto bytes = static_cast<size_t>(
            loaded.function<int64_t(int64_t, int64_t, int64_t)>("parallel_workspace_bytes")(batch, steps, 7));
        std::vector<std::byte> workspace(bytes + 1);
        ASSERT_EQ(
            loaded.function<PlainRun>("run")(in.data(), expected.data(), batch, steps, workspace.data()), 0);
        for (const int64_t threads : {1, 2, 3, 7}) {
          std::vector<float> out(expected.size(), -5.0F);
          size_t tasks = 0;
          const Parallel parallel{run_on_threads, &tasks, threads};
          ASSERT_EQ(loaded.function<ParallelRun>("run_parallel")(in.data(), out.data(), batch, steps,
                                                                 workspace.data(), &parallel),
                    0);
          ASSERT_EQ(bits_of(out), bits_of(expected)) << threads << " threads";
          if (steps >= 400) {
            EXPECT_EQ(tasks > 0, threads > 1) << threads << " threads";
          }
        }
        ASSERT_EQ(loaded.function<ParallelRun>("run_parallel")(in.data(), expected.data(), batch, steps,
                                                               workspace.data(), nullptr),
                  0);
      }
    }
  }
}

// The addresses of all callers, as the C library's unwinder finds them by the tables of the artifact.
std::vector<void*> callers() {
  std::vector<void*> addresses(64);
  addresses.resize(static_cast<size_t>(backtrace(addresses.data(), static_cast<int>(addresses.size()))));
  return addresses;
}

void run_and_look_back(void* pool, void (*task)(void* context, size_t i), void* context, size_t count) {
  *static_cast<std::vector<void*>*>(pool) = callers();
  for (size_t i = 0; i < count; ++i) task(context, i);
}

TEST(Artifact, DebuggersFindTheirWayOut) {
  if (CONVSMITH_TEST_SANITIZED) GTEST_SKIP() << "a sanitizer has an unwinder of its own";
  const LayerUnderTest layer = make_layer("Conv1D(64, 5, padding='same', input_shape=(None, 64))");
  std::vector<Place> places = {{Backend::kXbyak, Isa::kAvx512}, {Backend::kXbyak, Isa::kAvx2}};
  if (llvm_is_built()) {
    for (const Isa isa : {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline}) places.push_back({Backend::kLlvm, isa});
  }
  for (const Place& place : places) {
    if (place.isa > detect_isa()) continue;
    SCOPED_TRACE(name_of(place));
    const auto artifact = compile_artifact(source_of(layer, true), {"deep", {place.isa}, place.backend});
    ASSERT_TRUE(artifact) << artifact.error().message;
    const LoadedArtifact loaded(*artifact, "deep");
    const std::vector<float> in = noise(1000 * 64, 1);
    std::vector<float> out(1000 * 64);
    std::vector<void*> seen;
    const Parallel parallel{run_and_look_back, &seen, 4};
    const std::vector<void*> here = callers();
    ASSERT_EQ(
        loaded.function<ParallelRun>("run_parallel")(in.data(), out.data(), 1, 1000, nullptr, &parallel), 0);
    // run_and_look_back, the call, the C function, and then whoever called this test.
    ASSERT_GT(seen.size(), here.size());
    EXPECT_TRUE(std::equal(here.end() - 4, here.end(), seen.end() - 4));
  }
}

TEST(Artifact, RefusesWhatItCannotDo) {
  const LayerUnderTest layer = make_layer("SeparableConv1D(24, 5, input_shape=(None, 10))");
  const auto artifact = compile_artifact(source_of(layer, true), {"checked", all_targets()});
  ASSERT_TRUE(artifact) << artifact.error().message;
  const LoadedArtifact loaded(*artifact, "checked");
  PlainRun* const run = loaded.function<PlainRun>("run");
  std::vector<float> in(10 * 100);
  std::vector<float> out(24 * 100);
  std::vector<std::byte> workspace(
      static_cast<size_t>(loaded.function<int64_t(int64_t, int64_t)>("workspace_bytes")(1, 100)));
  ASSERT_GT(workspace.size(), 0U);
  EXPECT_EQ(run(in.data(), out.data(), 1, 100, workspace.data()), 0);
  EXPECT_EQ(run(nullptr, out.data(), 1, 100, workspace.data()), 1);
  EXPECT_EQ(run(in.data(), nullptr, 1, 100, workspace.data()), 1);
  EXPECT_EQ(run(in.data(), out.data(), 1, 100, nullptr), 1);
  EXPECT_EQ(run(in.data(), out.data(), -1, 100, workspace.data()), 2);
  EXPECT_EQ(run(in.data(), out.data(), 1, (int64_t{1} << 40) + 1, workspace.data()), 2);
  EXPECT_EQ(run(in.data(), out.data(), INT64_MAX, INT64_MAX, workspace.data()), 2);
  EXPECT_EQ(run(in.data(), out.data(), INT64_MIN, INT64_MIN, workspace.data()), 2);
  EXPECT_EQ(run(in.data(), out.data(), 1, 4, workspace.data()), 3);
  EXPECT_EQ(run(nullptr, nullptr, 0, 100, nullptr), 0);
  EXPECT_EQ(loaded.function<int64_t(int64_t)>("output_steps")((int64_t{1} << 40) + 1), -1);
  EXPECT_EQ(loaded.function<int64_t(int64_t)>("output_steps")(INT64_MIN), -1);
  EXPECT_EQ(loaded.function<int64_t(int64_t, int64_t)>("workspace_bytes")(1, -3), -1);
  auto* const floats = loaded.function<int64_t(int64_t, int64_t)>("output_floats");
  EXPECT_EQ(floats(-1, 100), -1);
  EXPECT_EQ(floats(1, INT64_MAX), -1);
  EXPECT_GE(floats(int64_t{1} << 40, int64_t{1} << 40), int64_t{1} << 60);
}

TEST(Artifact, PicksWhatTheCpuRunsAndSaysSo) {
  const LayerUnderTest layer = make_layer("Conv1D(8, 3, input_shape=(None, 8))");
  const auto artifact = compile_artifact(source_of(layer, true), {"picks", all_targets()});
  ASSERT_TRUE(artifact) << artifact.error().message;
  LoadedArtifact loaded(*artifact, "picks");
  EXPECT_EQ(loaded.variant(), 0U) << "nothing runs when a library is loaded";
  const std::string info = loaded.function<const char*()>("info")();
  EXPECT_NE(info.find("variant: " + std::string(isa_name(detect_isa()))), std::string::npos) << info;
  EXPECT_NE(info.find("spec: Conv1D(8, 3"), std::string::npos) << info;
  EXPECT_NE(info.find("receptive_field: 3\n"), std::string::npos) << info;
  EXPECT_NE(info.find("multiply_adds_per_step: 192\n"), std::string::npos) << info;
  loaded.use_variant(255);  // what a CPU without any of the variants gives
  float x = 0;
  EXPECT_EQ(loaded.function<PlainRun>("run")(&x, &x, 1, 3, nullptr), 7);
  EXPECT_EQ(loaded.function<int64_t(int64_t)>("output_steps")(3), -1);
  EXPECT_NE(std::string(loaded.function<const char*()>("info")()).find("variant: none"), std::string::npos);
}

TEST(Artifact, TwoBuildsAreEqualByteForByte) {
  const LayerUnderTest layer =
      make_layer("SeparableConv1D(24, 5, activation='tanh', input_shape=(None, 10))");
  const auto one = compile_artifact(source_of(layer, true), {"twice", all_targets()});
  const auto two = compile_artifact(source_of(layer, true), {"twice", all_targets()});
  ASSERT_TRUE(one && two);
  EXPECT_EQ(one->object, two->object);
  EXPECT_EQ(one->header, two->header);
}

TEST(Artifact, ForeignNamesStayInTheirComment) {
  const LayerUnderTest layer = make_layer("Conv1D(8, 3, input_shape=(None, 8))");
  ArtifactSource source = source_of(layer, true);
  source.spec = "a*/ int evil; /*\n#error NAME";
  const auto artifact = compile_artifact(source, {"named", {Isa::kAvx2}});
  ASSERT_TRUE(artifact) << artifact.error().message;
  EXPECT_NE(artifact->header.find("a*? int evil; ?*?#error NAME"), std::string::npos) << artifact->header;
}

TEST(Artifact, RefusesNamesAndModelsThatItCannotHold) {
  const LayerUnderTest layer = make_layer("Conv1D(8, 3, input_shape=(None, 8))");
  ArtifactSource source = source_of(layer, true);
  EXPECT_FALSE(compile_artifact(source, {"convsmith", {Isa::kAvx2}}));
  source.graph.ops.resize(501, source.graph.ops[0]);
  const auto artifact = compile_artifact(source, {"deep", {Isa::kAvx2}});
  ASSERT_FALSE(artifact);
  EXPECT_EQ(artifact.error().message,
            "The model has 501 passes over memory; an artifact can hold up to 500.");
}

#ifdef CONVSMITH_HAVE_MODELS
class ArtifactModel : public testing::TestWithParam<const char*> {};

INSTANTIATE_TEST_SUITE_P(Models, ArtifactModel,
                         testing::Values("ecg_denoiser", "wavenet_clipper", "inception_gunpoint", "mobile_k3",
                                         "unet_k3", "two_in_two_out_k3", "trained_k3", "upsampler_k3",
                                         "activations_k3", "pad_crop_k3", "tcn_residual_k3"),
                         [](const auto& info) { return std::string(info.param); });

TEST_P(ArtifactModel, EveryVariantGivesTheBitsOfTheJit) {
  const std::string path = places::test_data(std::string("models/") + GetParam() + "/model.keras");
  const auto model = load_model(ModelFile{path});
  ASSERT_TRUE(model) << model.error().message;
  const auto jit = compile(*model);
  ASSERT_TRUE(jit) << jit.error().message;
  auto graph = optimized_graph(model->spec(), Rules::kCommon);
  ASSERT_TRUE(graph);
  const auto artifact = compile_artifact({std::move(*graph), "model", {}}, {"whole", all_targets()});
  ASSERT_TRUE(artifact) << artifact.error().message;
  LoadedArtifact loaded(*artifact, "whole");
  const size_t inputs = jit->input_count();
  const size_t outputs = jit->output_count();
  const bool one = inputs == 1 && outputs == 1;
  std::vector<int64_t> steps;
  for (const auto& fixed : jit->fixed_steps()) steps.push_back(fixed.value_or(256));
  for (const int64_t batch : {1, 2}) {
    std::vector<std::vector<float>> in;
    for (size_t i = 0; i < inputs; ++i) {
      int64_t count = batch;
      const Shape shape = jit->input_shapes()[i];
      for (const auto& axis : shape) count *= axis.value_or(steps[i]);
      in.push_back(noise(count, static_cast<uint32_t>(i)));
    }
    std::vector<std::vector<float>> expected;
    for (const std::vector<int64_t>& shape : jit->output_shapes(batch, steps)) {
      const int64_t count = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
      expected.emplace_back(static_cast<size_t>(count), -5.0F);
    }
    std::vector<std::vector<float>> out = expected;
    const auto pointers = [](auto& arrays) {
      std::vector<float*> all;
      for (auto& array : arrays) all.push_back(array.data());
      return all;
    };
    const std::vector<float*> in_at = pointers(in);
    const std::vector<float*> expected_at = pointers(expected);
    const std::vector<float*> out_at = pointers(out);
    const std::vector<const float*> const_in(in_at.begin(), in_at.end());
    ASSERT_EQ(jit->run(const_in, expected_at, batch, steps), RunStatus::kOk);
    for (uint32_t v = 0; v < artifact->variants.size(); ++v) {
      if (artifact->variants[v].isa > detect_isa()) continue;
      loaded.use_variant(v + 1);
      SCOPED_TRACE(testing::Message() << "batch " << batch << " " << isa_name(artifact->variants[v].isa));
      for (auto& array : out) std::fill(array.begin(), array.end(), -7.0F);
      int status = -1;
      if (one) {
        using Floats = int64_t(int64_t, int64_t);
        EXPECT_EQ(loaded.function<Floats>("input_floats")(batch, steps[0]),
                  static_cast<int64_t>(in[0].size()));
        EXPECT_EQ(loaded.function<Floats>("output_floats")(batch, steps[0]),
                  static_cast<int64_t>(out[0].size()));
        const int64_t bytes = loaded.function<int64_t(int64_t, int64_t)>("workspace_bytes")(batch, steps[0]);
        std::vector<std::byte> workspace(static_cast<size_t>(bytes) + 1);
        status =
            loaded.function<PlainRun>("run")(in[0].data(), out[0].data(), batch, steps[0], workspace.data());
      } else {
        using Floats = int64_t(int64_t, const int64_t*, int64_t);
        for (size_t i = 0; i < inputs; ++i)
          EXPECT_EQ(loaded.function<Floats>("input_floats")(batch, steps.data(), static_cast<int64_t>(i)),
                    static_cast<int64_t>(in[i].size()));
        for (size_t i = 0; i < outputs; ++i)
          EXPECT_EQ(loaded.function<Floats>("output_floats")(batch, steps.data(), static_cast<int64_t>(i)),
                    static_cast<int64_t>(out[i].size()));
        EXPECT_EQ(
            loaded.function<Floats>("output_floats")(batch, steps.data(), static_cast<int64_t>(outputs)), -1);
        const int64_t bytes =
            loaded.function<int64_t(int64_t, const int64_t*)>("workspace_bytes")(batch, steps.data());
        std::vector<std::byte> workspace(static_cast<size_t>(bytes) + 1);
        using RunMany = int(const float* const*, float* const*, int64_t, const int64_t*, void*);
        RunMany* const run = loaded.function<RunMany>("run");
        status = run(const_in.data(), out_at.data(), batch, steps.data(), workspace.data());
        EXPECT_EQ(run(nullptr, out_at.data(), batch, steps.data(), workspace.data()), 1);
        EXPECT_EQ(run(const_in.data(), out_at.data(), batch, nullptr, workspace.data()), 1);
      }
      ASSERT_EQ(status, 0);
      for (size_t i = 0; i < outputs; ++i) ASSERT_EQ(bits_of(out[i]), bits_of(expected[i])) << "output " << i;
    }
  }
}
#endif

}  // namespace

}  // namespace convsmith::test
