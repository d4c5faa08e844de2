// Operators line axes up as numpy does, so that the batch axis of one tensor may meet an axis of another: the
// batches that fit give the reference's values everywhere, beside fusion, chunks, threads and in artifacts;
// the others a sentence, in the C++ and C interfaces and on the command line. Keras's values are among
// data/model_ops (tests/frontend/models/model_cases_test.cpp).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <thread>

#include "cli/verify/check_model.hpp"
#include "cli/verify/reference_model.hpp"
#include "convsmith/activation.hpp"
#include "convsmith/convsmith.h"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/fitting_steps.hpp"
#include "ir/graph/graph_interp.hpp"
#include "runtime/aot/artifact.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/model.hpp"
#include "runtime/why_refused.hpp"
#include "tests/cli/call_cli.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/golden_arrays.hpp"
#include "tests/support/loaded_artifact.hpp"
#include "tests/support/model_maker.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using cli_test::call;
using ::testing::HasSubstr;

constexpr MergeKind kKinds[] = {MergeKind::kAdd,     MergeKind::kSubtract, MergeKind::kMultiply,
                                MergeKind::kMaximum, MergeKind::kMinimum,  MergeKind::kDivide};

class Meeting {
 public:
  explicit Meeting(unsigned seed) : m_(reals(seed)) {}

  int conv(const std::string& name, int in, int64_t channels, int64_t filters, int64_t taps = 3,
           DataFormat format = DataFormat::kChannelsLast) {
    LayerSpec spec;
    spec.filters = filters;
    spec.kernel_size = taps;
    spec.padding = Padding::kSame;
    spec.data_format = format;
    return m_.conv(name, in, spec, channels);
  }
  int pool(const std::string& name, int in) {
    return m_.add(name, "GlobalMaxPooling1D", GlobalPoolOp{}, {in}, {});
  }
  int merge(const std::string& name, MergeKind kind, int a, int b) {
    return m_.add(name, "keras.ops", MergeOp{kind, true}, {a, b}, {});
  }
  int relu(const std::string& name, int in) {
    return m_.activation(name, in, {ActivationKind::kRelu, {0.0F, INFINITY, 0.0F}});
  }
  ModelMaker& maker() { return m_; }

 private:
  ModelMaker m_;
};

// Convolutions before and behind, which fusion and chunks would take together.
ModelSpec network(MergeKind kind, bool pooled_first, unsigned seed) {
  Meeting m(seed);
  const int in = m.maker().input({std::nullopt, 3});
  const int x = m.relu("relu", m.conv("before", in, 3, 20));
  const int g = m.pool("pool", m.conv("side", in, 3, 20));
  int y = pooled_first ? m.merge("meet", kind, g, x) : m.merge("meet", kind, x, g);
  y = m.relu("again", y);
  y = m.conv("behind", y, 20, 4, 1);
  return m.maker().finish({y, m.merge("second", MergeKind::kAdd, m.conv("wide", y, 4, 20, 1), g)});
}

// The batch meets the steps of a shorter tensor, channels, an axis of three, two that differ (the fourth
// model), comes from an input, and meets channels first.
std::vector<ModelSpec> other_meetings() {
  std::vector<ModelSpec> models;
  {
    Meeting m(11);
    const int in = m.maker().input({std::nullopt, 3});
    const int half = m.maker().add("half", "AveragePooling1D", PoolOp{.average = true}, {in}, {});
    models.push_back(m.maker().finish({m.merge("meet", MergeKind::kMultiply, m.pool("pool", in), half)}));
  }
  {
    Meeting m(12);
    const int in = m.maker().input({5, 3});
    const int turned = m.maker().add("turned", "Permute", PermuteOp{{2, 1}}, {in}, {});
    const int g = m.maker().add("max", "keras.ops.max", ReduceOp{false, {2}, false}, {in}, {});
    models.push_back(m.maker().finish({m.merge("meet", MergeKind::kSubtract, turned, g), in}));
  }
  {
    Meeting m(13);
    const int in = m.maker().input({std::nullopt, 4});
    const int wide = m.maker().add("wide", "Reshape", ReshapeOp{{-1, 2, 2}}, {in}, {});
    const int g = m.maker().add("square", "Reshape", ReshapeOp{{2, 2}}, {m.pool("pool", in)}, {});
    models.push_back(m.maker().finish({m.merge("meet", MergeKind::kAdd, wide, g)}));
  }
  {
    Meeting m(14);
    const int in = m.maker().input({std::nullopt, 4});
    const int g = m.pool("pool", in);
    const int half = m.maker().add("half", "MaxPooling1D", PoolOp{}, {in}, {});
    models.push_back(m.maker().finish(
        {m.merge("meet", MergeKind::kAdd, in, g), m.merge("other", MergeKind::kAdd, half, g)}));
  }
  {
    Meeting m(15);
    const int a = m.maker().input({std::nullopt, 4});
    const int b = m.maker().input({4});
    models.push_back(m.maker().finish({m.merge("meet", MergeKind::kMaximum, b, a)}));
  }
  {
    Meeting m(17);
    const int in = m.maker().input({std::nullopt, 4});
    const int mean = m.maker().add("mean", "keras.ops.mean", ReduceOp{true, {1, 2}, false}, {in}, {});
    models.push_back(
        m.maker().finish({m.merge("meet", MergeKind::kSubtract, m.conv("conv", in, 4, 5), mean)}));
  }
  {
    // Channels first, which is turned around the convolutions.
    Meeting m(16);
    const int in = m.maker().input({24, 10});
    const int x = m.conv("first", in, 24, 16, 7, DataFormat::kChannelsFirst);
    const int g = m.maker().add("max", "keras.ops.max", ReduceOp{false, {1}, false}, {x}, {});
    const int y = m.merge("meet", MergeKind::kSubtract, m.relu("relu", x), g);
    models.push_back(m.maker().finish({m.conv("behind", y, 16, 16, 7, DataFormat::kChannelsFirst)}));
  }
  return models;
}

void expect_reference(const ModelSpec& spec, bool meets_one_size = true) {
  int64_t most = 0;
  for (const bool small_chunks : {false, true}) {
    const auto model =
        cli::make_checked_model(spec, Rules::kAny, cli::available_back_ends(Backend::kAuto, Isa::kAuto),
                                {.small_chunks = small_chunks});
    ASSERT_TRUE(model) << model.error().message;
    cli::Pools pools;
    for (uint64_t seed = 0; seed < 12; ++seed) {
      const cli::Call drawn = cli::random_model_call(*model, seed);
      const auto finding = cli::check_call(*model, drawn, {}, pools);
      EXPECT_FALSE(finding) << finding->what << ": batch " << drawn.batch << ", " << drawn.steps << " steps";
      most = std::max(most, drawn.batch);
    }
  }
  EXPECT_EQ(most > 1, meets_one_size);
}

TEST(BatchAxis, EveryOperatorGivesTheReferencesValues) {
  unsigned seed = 0;
  for (const MergeKind kind : kKinds) {
    SCOPED_TRACE(static_cast<int>(kind));
    ++seed;
    expect_reference(network(kind, seed % 2 == 0, seed));
  }
}

TEST(BatchAxis, OtherAxesAreMet) {
  const std::vector<ModelSpec> models = other_meetings();
  for (size_t i = 0; i < models.size(); ++i) {
    SCOPED_TRACE(i);
    expect_reference(models[i], i != 3);
  }
}

// One number for each sample has no axis that most layers ask for.
TEST(BatchAxis, LayersBehindANumberAreComputedOrRefused) {
  const auto built = [](const LayerOp& op, int inputs = 1) {
    ModelMaker m(reals(1));
    const int in = m.input({std::nullopt, 4});
    const int number = m.add("number", "keras.ops.max", ReduceOp{false, {1, 2}, false}, {in}, {});
    const std::vector<int> twice(static_cast<size_t>(inputs), number);
    return ir::build_graph(m.finish({m.add("behind", "Layer", op, twice, {})}), Rules::kAny);
  };
  LayerSpec dense;
  dense.kind = LayerKind::kDense;
  const Activation tanh{ActivationKind::kTanh, {}};
  for (const LayerOp& op : std::vector<LayerOp>{
           ActivationOp{tanh}, FlattenOp{}, ReshapeOp{{1, 1}}, AffineOp{{{}, {2.0}}, {{}, {1.0}}},
           LimitOp{{{}, {0.5}}, true}, NormalizationOp{{}, Constant{{}, {1.0}}, Constant{{}, {4.0}}}})
    EXPECT_TRUE(ir::verify_graph(built(op).value())) << op.index();
  EXPECT_TRUE(built(MergeOp{MergeKind::kMultiply, true}, 2));
  EXPECT_TRUE(built(MergeOp{MergeKind::kAverage}, 3));
  for (const LayerOp& op : std::vector<LayerOp>{
           LayerSpec{}, dense, ActivationOp{{ActivationKind::kSoftmax, {-1}}},
           ActivationOp{{ActivationKind::kGlu, {-1}}}, ActivationOp{tanh, {1}}, BatchNormOp{}, PoolOp{},
           GlobalPoolOp{}, GlobalPoolOp{.data_format = DataFormat::kChannelsFirst}, ZeroPaddingOp{},
           CroppingOp{}, UpSamplingOp{}, ReshapeOp{{2}}, PermuteOp{{1}},
           AffineOp{{{4}, {1, 2, 3, 4}}, {{4}, {1, 2, 3, 4}}}, ReduceOp{true, {1}, false},
           NormalizationOp{{-1}, Constant{{1}, {1.0}}, Constant{{1}, {4.0}}}}) {
    const auto refused = built(op);
    ASSERT_FALSE(refused) << op.index();
    EXPECT_THAT(refused.error().message, HasSubstr("Layer 'behind'")) << op.index();
  }
  EXPECT_FALSE(built(ConcatenateOp{}, 2));
}

// The interpreter of graphs is the definition of what the passes mean.
TEST(BatchAxis, TheGraphMeansTheReference) {
  const ir::ScalarActivation relu = [](const Activation& a, float x) {
    return a.kind == ActivationKind::kRelu ? std::max(x, 0.0F) : x;
  };
  for (const int64_t batch : {1, 5}) {
    const ModelSpec spec = network(MergeKind::kSubtract, true, 3);
    std::vector<float> x(static_cast<size_t>(batch) * 15);
    std::function<float()> next = reals(9);
    for (float& value : x) value = next();
    const auto expected = cli::reference_outputs(spec, {{{batch, 5, 3}, cli::exact_numbers(x)}});
    const ir::Graph graph = optimized_graph(spec, Rules::kAny).value();
    const std::vector<int64_t> steps{5};
    const auto made = ir::interpret(graph, std::vector<std::vector<float>>{x}, batch, steps, relu);
    for (size_t k = 0; k < made.size(); ++k) {
      for (size_t i = 0; i < made[k].size(); ++i)
        ASSERT_TRUE(cli::is_within(made[k][i], expected[k].values[i])) << batch << " " << k << " " << i;
    }
  }
}

TEST(BatchAxis, OtherBatchesAreRefusedInASentence) {
  const auto model = compile(Model(std::make_shared<const ModelSpec>(network(MergeKind::kAdd, false, 1))),
                             {.rules = Rules::kAny});
  ASSERT_TRUE(model) << model.error().message;
  std::vector<float> x(300);
  std::vector<float> first(300);
  std::vector<float> second(2000);
  const float* const in[] = {x.data()};
  float* const out[] = {first.data(), second.data()};
  const int64_t steps = 5;
  for (const int64_t batch : {0, 2, 4, 6}) {
    EXPECT_EQ(model->run(in, out, batch, {&steps, 1}), RunStatus::kWrongSteps) << batch;
    EXPECT_EQ(
        why_refused(*model, RunStatus::kWrongSteps, batch, {&steps, 1}),
        "Layer 'meet' lines axes up from the right, as numpy does, so that the batch axis of one tensor, " +
            std::to_string(batch) +
            ", meets an axis of 5 of the other, of 5 input steps; the batches that fit are 1 and 5, and any "
            "would if the model gave both as many axes (keepdims=True).");
    EXPECT_FALSE(model->check(batch, {&steps, 1}));
  }
  for (const int64_t batch : {1, 5}) {
    EXPECT_EQ(model->run(in, out, batch, {&steps, 1}), RunStatus::kOk) << batch;
    EXPECT_TRUE(model->check(batch, {&steps, 1}));
  }
  EXPECT_EQ(model->run(in, out, -1, {&steps, 1}), RunStatus::kBadSize);
  const int64_t one = 1;
  EXPECT_THAT(model->check(3, {&one, 1}).error().message,
              HasSubstr("as long as the batch, which is not computed; the only batch that fits is 1, and"));
  const ir::Graph graph = ir::build_graph(other_meetings()[3]).value();
  const std::vector<int64_t> eight{8};
  EXPECT_THAT(ir::why_not(graph, eight, 8), HasSubstr("'other' lines"));
  EXPECT_THAT(ir::why_not(graph, eight, 8),
              HasSubstr("an axis of 4 of the other, of 8 input steps; the only"));
  EXPECT_EQ(ir::nearest_batch(graph, eight, 8), 1);
  const ir::Graph half = ir::build_graph(other_meetings()[0]).value();
  EXPECT_EQ(ir::nearest_batch(half, eight, 3), 4);
  EXPECT_EQ(ir::nearest_fit(half, 100, 4), 9);
}

// The model of a line of data/model_ops, as a file.
std::string write_model(const cli_test::TemporaryFolder& folder, const std::string& name) {
  for (const golden::Json& item : golden::read_lines("model_ops/cases.jsonl"))
    if (item["name"] == name) return folder.write(name + ".json", item["json"].dump());
  ADD_FAILURE() << name;
  return {};
}

TEST(BatchAxis, TheCInterfaceRefusesOtherBatches) {
  const cli_test::TemporaryFolder folder;
  convsmith_model* model = nullptr;
  const std::string file = write_model(folder, "add_pooled");
  const convsmith_status loaded = convsmith_load_model(file.c_str(), nullptr, nullptr, &model);
  if (loaded == CONVSMITH_UNAVAILABLE) GTEST_SKIP() << "built without models";
  ASSERT_EQ(loaded, CONVSMITH_OK) << convsmith_last_error();
  const std::vector<float> x(100);
  std::vector<float> y(100);
  EXPECT_EQ(convsmith_run(model, nullptr, x.data(), y.data(), 4, 4, nullptr), CONVSMITH_OK);
  EXPECT_EQ(convsmith_run(model, nullptr, x.data(), y.data(), 1, 4, nullptr), CONVSMITH_OK);
  EXPECT_EQ(convsmith_run(model, nullptr, x.data(), y.data(), 3, 4, nullptr), CONVSMITH_WRONG_STEPS);
  EXPECT_THAT(convsmith_last_error(), HasSubstr("the batches that fit are 1 and 4, and any would"));
  convsmith_model_destroy(model);
}

TEST(BatchAxis, TheProgramDrawsBatchesThatFitAndRefusesOthers) {
  const cli_test::TemporaryFolder folder;
  const std::string file = write_model(folder, "multiply_pooled");
  for (const std::vector<std::string>& more :
       {std::vector<std::string>{}, {"--batch", "3"}, {"--steps", "4"}, {"--batch", "6", "--steps", "6"}}) {
    std::vector<std::string> line{"verify", file, "--random", "6", "--backend", "interp"};
    line.insert(line.end(), more.begin(), more.end());
    const auto verified = call(line);
    if (verified.err.find("CONVSMITH_MODELS") != std::string::npos) GTEST_SKIP() << "built without models";
    EXPECT_EQ(verified.exit_code, 0) << verified.out << verified.err;
  }
  for (const char* command : {"verify", "compare"}) {
    const auto refused = call({command, file, "--batch", "3", "--steps", "4", "--backend", "interp"});
    EXPECT_EQ(refused.exit_code, 2) << refused.out;
    EXPECT_THAT(refused.err, HasSubstr("the batches that fit are 1 and 4, and any would"));
  }
  const auto compared = call({"compare", file, "--batch", "3", "--backend", "interp"});
  EXPECT_EQ(compared.exit_code, 0) << compared.err;
  EXPECT_THAT(compared.err, HasSubstr("steps do not fit: 3 are taken."));
  const std::string sample = folder.write("x.csv", "1,2,3,4\n5,6,7,8\n");
  const auto run = call({"run", file, "--input", sample, "--output", folder / "y.csv"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
}

struct Parallel {
  void (*run)(void* pool, void (*task)(void* context, size_t i), void* context, size_t count);
  void* pool;
  int64_t threads;
};

void run_on_threads(void*, void (*task)(void* context, size_t i), void* context, size_t count) {
  std::vector<std::thread> threads;
  for (size_t i = count; i-- > 0;) threads.emplace_back([=] { task(context, i); });
  for (std::thread& thread : threads) thread.join();
}

// A file of object code says which batches there are, takes them and refuses the others.
TEST(BatchAxis, ArtifactsGiveTheBitsOfTheJit) {
  Meeting m(21);
  const int in = m.maker().input({std::nullopt, 3});
  const int x = m.conv("conv", in, 3, 64);
  const auto spec = std::make_shared<const ModelSpec>(
      m.maker().finish({m.conv("behind", m.merge("meet", MergeKind::kAdd, m.pool("pool", x), x), 64, 8)}));
  const auto jit = compile(Model(spec));
  ASSERT_TRUE(jit) << jit.error().message;
  auto graph = optimized_graph(*spec, Rules::kCommon);
  ASSERT_TRUE(graph);
  const auto artifact =
      compile_artifact({std::move(*graph), "model", {}}, {"meets", {Isa::kAvx512, Isa::kAvx2}});
  ASSERT_TRUE(artifact) << artifact.error().message;
  EXPECT_THAT(artifact->header, HasSubstr("batch == 1 or batch == steps (meet)"));
  LoadedArtifact loaded(*artifact, "meets");
  using Run = int(const float*, float*, int64_t, int64_t, void*, const Parallel*);
  Run* const run = loaded.function<Run>("run_parallel");
  std::function<float()> next = reals(2);
  for (uint32_t v = 0; v < artifact->variants.size(); ++v) {
    if (artifact->variants[v].isa > detect_isa()) continue;
    loaded.use_variant(v + 1);
    for (const auto& [batch, steps] : {std::pair<int64_t, int64_t>{60, 60}, {1, 60}, {7, 7}, {1, 1}}) {
      std::vector<float> input(static_cast<size_t>(batch * steps * 3));
      for (float& value : input) value = next();
      std::vector<float> expected(static_cast<size_t>(batch * steps * 8));
      ASSERT_EQ(jit->run(input.data(), expected.data(), batch, steps), RunStatus::kOk);
      std::vector<std::byte> workspace(
          static_cast<size_t>(loaded.function<int64_t(int64_t, int64_t, int64_t)>("parallel_workspace_bytes")(
              batch, steps, 4)) +
          1);
      for (const int64_t threads : {1, 2, 3, 4}) {
        const Parallel parallel{run_on_threads, nullptr, threads};
        std::vector<float> out(expected.size(), -5.0F);
        ASSERT_EQ(run(input.data(), out.data(), batch, steps, workspace.data(), &parallel), 0);
        ASSERT_EQ(bits_of(out), bits_of(expected)) << batch << " samples, " << threads << " threads";
      }
    }
    for (const int64_t batch : {0, 2, 61})
      EXPECT_EQ(run(nullptr, nullptr, batch, 60, nullptr, nullptr), CONVSMITH_WRONG_STEPS) << batch;
  }
}

// A pass that looks at all samples at once can't run for some of them.
TEST(BatchAxis, SamplesThatMeetStayTogether) {
  KernelCache kernels;
  auto graph = optimized_graph(network(MergeKind::kAdd, false, 3), Rules::kAny).value();
  const auto compiled = compile_graph(std::move(graph), Backend::kInterp, Isa::kAvx2, {}, kernels).value();
  EXPECT_EQ(compiled->samples_within, 0);
  const auto refused = with_schedule(*compiled, {1 << 20, {}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("looks at all samples"));
}

}  // namespace
}  // namespace convsmith::test
