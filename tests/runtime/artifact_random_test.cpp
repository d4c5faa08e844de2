// Artifacts of random layers and models against the JIT. CONVSMITH_TEST_ARTIFACTS sets how many of each.
#include <gtest/gtest.h>

#include <cstdlib>

#include "cli/verify/check_graph.hpp"
#include "cli/verify/random_layer.hpp"
#include "cli/verify/random_model.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/weight_shapes.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/graph_extents.hpp"
#include "runtime/aot/artifact.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/model.hpp"
#include "tests/support/loaded_artifact.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {

namespace {

using cli::Arrays;

uint64_t rounds(uint64_t usual) {
  const char* const wanted = std::getenv("CONVSMITH_TEST_ARTIFACTS");
  return wanted == nullptr ? usual : std::strtoull(wanted, nullptr, 10);
}

std::vector<Isa> targets(uint64_t round) {
  std::vector<Isa> isas = {Isa::kAvx512, Isa::kAvx2};
  if (round % 5 == 0 && llvm_is_built()) isas.push_back(Isa::kBaseline);  // takes much longer to make
  if (round % 7 == 3) isas.erase(isas.begin());
  return isas;
}

int64_t floats_of(const ir::Graph& graph, int tensor, const std::vector<int64_t>& extents, int64_t batch) {
  const ir::GraphTensor& t = graph.tensors[static_cast<size_t>(tensor)];
  return batch * extents[static_cast<size_t>(t.steps)] * t.channels;
}

template <class T>
std::vector<T*> pointers(std::vector<std::vector<float>>& arrays) {
  std::vector<T*> all;
  for (std::vector<float>& array : arrays) all.push_back(array.data());
  return all;
}

// `graph` has its weights. Runs both for a few calls.
void compare_with_jit(const ir::Graph& graph, const cli::Call& call, uint64_t round) {
  const Isa isa = std::min(detect_isa(), Isa::kAvx512);
  KernelCache kernels;
  const auto jit =
      compile_graph(graph, isa == Isa::kBaseline ? Backend::kInterp : Backend::kXbyak, isa, {}, kernels);
  ASSERT_TRUE(jit) << jit.error().message;
  std::vector<std::span<const float>> weights;
  for (const ir::Array& array : graph.arrays) weights.emplace_back(array.data);
  const auto packed = pack_graph(*jit, weights);
  // Every other one with blocks of one sample, short chunks and rolling buffers wherever they can be.
  const std::string schedule =
      round % 2 == 0 ? std::string() : print(schedule_of(*cli::with_short_chains(**jit)));
  const auto artifact = compile_artifact(
      {graph, "random", {}},
      {.name = "random", .targets = targets(round), .backend = Backend::kAuto, .schedule = schedule});
  ASSERT_TRUE(artifact) << artifact.error().message;
  LoadedArtifact loaded(*artifact, "random");

  const std::vector<int64_t> steps = ir::input_steps(graph, call.steps);
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, steps);
  Arrays inputs = cli::make_inputs(graph, call);
  Arrays expected;
  for (const int t : graph.outputs)
    expected.emplace_back(static_cast<size_t>(floats_of(graph, t, extents, call.batch)) + 1, -3.0F);
  Arrays outputs = expected;
  const std::vector<const float*> in = pointers<const float>(inputs);
  const RunStatus wanted = run_graph(**jit, *packed, in, pointers<float>(expected), call.batch, steps,
                                     {.denormals = call.denormals});
  const std::string run = call.denormals == Denormals::kFlush ? "run_flush" : "run";
  for (uint32_t v = 0; v < artifact->variants.size(); ++v) {
    if (artifact->variants[v].isa > detect_isa()) continue;
    loaded.use_variant(v + 1);
    for (std::vector<float>& output : outputs) std::fill(output.begin(), output.end(), -4.0F);
    for (std::vector<float>& output : outputs) output.back() = -3.0F;
    int status = -1;
    if (in.size() == 1 && outputs.size() == 1) {
      const int64_t bytes =
          loaded.function<int64_t(int64_t, int64_t)>("workspace_bytes")(call.batch, steps[0]);
      ASSERT_GE(bytes, 0);
      std::vector<std::byte> workspace(static_cast<size_t>(bytes) + 16, std::byte{0x5a});
      using Run = int(const float*, float*, int64_t, int64_t, void*);
      status = loaded.function<Run>(run)(in[0], outputs[0].data(), call.batch, steps[0], workspace.data());
      for (size_t i = 0; i < 16; ++i) ASSERT_EQ(workspace[static_cast<size_t>(bytes) + i], std::byte{0x5a});
      EXPECT_EQ(loaded.function<int64_t(int64_t)>("output_steps")(steps[0]),
                extents[static_cast<size_t>(graph.tensors[static_cast<size_t>(graph.outputs[0])].steps)]);
    } else {
      const int64_t bytes =
          loaded.function<int64_t(int64_t, const int64_t*)>("workspace_bytes")(call.batch, steps.data());
      ASSERT_GE(bytes, 0);
      std::vector<std::byte> workspace(static_cast<size_t>(bytes) + 16);
      using Run = int(const float* const*, float* const*, int64_t, const int64_t*, void*);
      status = loaded.function<Run>(run)(in.data(), pointers<float>(outputs).data(), call.batch, steps.data(),
                                         workspace.data());
    }
    ASSERT_EQ(status, static_cast<int>(wanted));
    if (wanted != RunStatus::kOk || call.batch == 0) continue;
    for (size_t i = 0; i < outputs.size(); ++i)
      ASSERT_EQ(bits_of(outputs[i]), bits_of(expected[i])) << isa_name(artifact->variants[v].isa);
  }
}

TEST(ArtifactRandom, Layers) {
  for (uint64_t round = 0; round < rounds(60); ++round) {
    const LayerSpec spec = cli::random_layer(41, round);
    SCOPED_TRACE(testing::Message() << round << ": " << to_call_text(spec));
    const auto problem = make_layer_problem(spec, Rules::kAny);
    ASSERT_TRUE(problem);
    auto graph = ir::build_graph(spec, problem->chain.front().channels, Rules::kAny);
    ASSERT_TRUE(graph);
    cli::Call call = cli::random_call(*graph, cli::derive_seed(41, round));
    if (round % 3 != 0) call.data = cli::DataKind::kFloats;
    Arrays weights = cli::make_weights(*graph, call);
    for (size_t i = 0; i < weights.size(); ++i) graph->arrays[i].data = std::move(weights[i]);
    ASSERT_NO_FATAL_FAILURE(compare_with_jit(*graph, call, round));
  }
}

TEST(ArtifactRandom, Models) {
  for (uint64_t round = 0; round < rounds(48); ++round) {
    SCOPED_TRACE(round);
    const ModelSpec spec = cli::random_model(cli::kModelForms * 1000 + round);
    const auto graph = optimized_graph(spec, Rules::kAny);
    ASSERT_TRUE(graph) << graph.error().message;
    cli::Random random(round);
    cli::Call call{.batch = random.between(0, 3), .steps = random.between(1, 150)};
    for (const int64_t steps : {call.steps, int64_t{400}}) {
      call.steps = steps;
      call.seed = random.next();
      ASSERT_NO_FATAL_FAILURE(compare_with_jit(*graph, call, round));
    }
  }
}

}  // namespace

}  // namespace convsmith::test
