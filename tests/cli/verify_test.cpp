// What verify is made of: random layers and models, small verifications that pass, and proof that wrong
// kernels, weights and sizes are found.
#include "cli/verify/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "cli/verify/random_model.hpp"
#include "cli/vir_file.hpp"
#include "codegen/interp/interp.hpp"
#include "codegen/vir/text.hpp"
#include "convsmith/activation.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "ir/graph/build_graph.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

LayerSpec spec_of(const std::string& text) {
  const auto layer = parse_layer(text, Rules::kAny);
  EXPECT_TRUE(layer) << layer.error().message;
  return layer->spec;
}

CheckedLayer checked(const std::string& text, Backend backend = Backend::kInterp) {
  const LayerSpec spec = spec_of(text);
  auto layer = make_checked_layer(spec, make_layer_problem(spec, Rules::kAny).value(),
                                  available_back_ends(backend, Isa::kAuto));
  EXPECT_TRUE(layer) << layer.error().message;
  return std::move(*layer);
}

TEST(RandomLayer, IsTheSameEverywhere) {
  EXPECT_EQ(to_call_text(random_layer(1, 2)), to_call_text(random_layer(1, 2)));
  Random random(1);
  EXPECT_EQ(random.next(), 0x910A2DEC89025CC1U);  // SplitMix64's published sequence
  EXPECT_EQ(random.next(), 0xBEEB8DA1658EEC67U);
  EXPECT_EQ(random.next(), 0xF893A2EEFB32555EU);
  Random units(7);
  EXPECT_EQ(units.signed_unit(), std::ldexp(std::round(std::ldexp(Random(7).signed_unit(), 24)), -24));
}

TEST(RandomLayer, IsLegalAndVaried) {
  std::set<std::string> texts;
  std::set<std::pair<LayerKind, ActivationKind>> pairs;
  int on_an_edge = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const LayerSpec spec = random_layer(seed, seed);
    const std::string text = to_call_text(spec);
    texts.insert(text);
    pairs.insert({spec.kind, spec.activation.kind});
    const auto problem = make_layer_problem(spec, Rules::kAny);
    ASSERT_TRUE(problem) << text << problem.error().message;
    ASSERT_EQ(make_layer_problem(spec_of(text), Rules::kAny).value().chain, problem->chain) << text;
    ASSERT_LE(problem->chain[0].channels, 80);
    ASSERT_LE(problem->chain.back().filters, 80);
    on_an_edge +=
        std::set<int64_t>{7, 8, 9, 15, 16, 17, 31, 32, 33}.count(problem->chain.back().filters) > 0 ? 1 : 0;
    const auto graph = ir::build_graph(spec, problem->chain.front().channels, Rules::kAny);
    ASSERT_TRUE(graph) << text << graph.error().message;
    for (uint64_t i = 0; i < 5; ++i) {
      const Call call = random_call(*graph, derive_seed(seed, i));
      ASSERT_LE(multiply_adds(*graph, call.batch, {&call.steps, 1}), 2'000'000) << text;
      ASSERT_LE(call.steps, 300);
    }
  }
  EXPECT_GT(texts.size(), 990U);
  EXPECT_GT(on_an_edge, 250);
  EXPECT_EQ(pairs.size(), 5U * (static_cast<size_t>(ActivationKind::kGlu) + 1));
}

TEST(RandomModel, IsLegalAndVaried) {
  std::set<std::string> plans;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    const ModelSpec model = random_model(seed);
    const auto graph = ir::build_graph(model, Rules::kAny);
    ASSERT_TRUE(graph) << "seed " << seed << ": " << graph.error().message;
    ASSERT_TRUE(ir::verify_graph(*graph)) << "seed " << seed;
    ASSERT_LE(multiply_adds(*graph, 1, input_steps(*graph, 40)), 5e6) << "seed " << seed;
    plans.insert(ir::print(*graph));
    ASSERT_EQ(ir::print(*ir::build_graph(random_model(seed), Rules::kAny)), ir::print(*graph));
  }
  EXPECT_GT(plans.size(), 290U);
}

TEST(Verify, FindsNothingWrong) {
  VerifyOptions options;
  options.count = 300;
  options.seed = 20;
  options.jobs = 2;
  options.back_ends = available_back_ends(Backend::kAuto, Isa::kAuto);
  const VerifyReport report = verify_random(options);
  EXPECT_THAT(report.failures, IsEmpty());
  EXPECT_EQ(report.cases, 300);
  EXPECT_GE(report.layers, 75);
  EXPECT_GE(report.models, 4);
}

TEST(Verify, FindsNothingWrongBesideForbiddenPages) {
  VerifyOptions options;
  options.count = 150;
  options.seed = 21;
  options.guard = true;
  options.back_ends = available_back_ends(Backend::kXbyak, Isa::kAuto);
  EXPECT_THAT(verify_random(options).failures, IsEmpty());
}

TEST(Verify, ReachesEveryBlockOfTheCode) {
  VerifyOptions options;
  options.count = 1000;
  options.back_ends = available_back_ends(Backend::kInterp, Isa::kAvx2);
  for (const std::string& row : verify_random(options).coverage.missing()) {
    // Few of the outputs that bypass the caches begin at a cache line.
    if (row.ends_with(": stream") || row.ends_with(": aligned")) continue;
    EXPECT_FALSE(row.starts_with("block: ") || row.starts_with("operation: ")) << row;
  }
}

TEST(Verify, DoesNotDependOnTheNumberOfJobs) {
  VerifyOptions options;
  options.count = 60;
  options.back_ends = available_back_ends(Backend::kInterp, Isa::kBaseline);
  const VerifyReport one = verify_random(options);
  options.jobs = 3;
  EXPECT_EQ(verify_random(options).coverage.print(), one.coverage.print());
}

// The graph of another layer with arrays of the same sizes.
void replace_graph(CheckedLayer& layer, size_t variant, const std::string& text) {
  layer.variants[variant].graph = checked(text).variants.at(variant).graph;
}

constexpr Call kCall{2, 40, DataKind::kIntegers, 12};

TEST(Verify, FindsAnotherActivation) {
  CheckedLayer layer = checked("Conv1D(9, 3, padding='same', activation='relu', input_shape=(None, 5))");
  Pools pools;
  EXPECT_FALSE(check_call(layer, kCall, {}, pools));
  ASSERT_GE(layer.variants.size(), 2U);
  replace_graph(layer, 1, "Conv1D(9, 3, padding='same', input_shape=(None, 5))");
  const auto finding = check_call(layer, kCall, {}, pools);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->back_end, layer.variants[1].back_end);
  EXPECT_THAT(finding->what, HasSubstr("outputs differ"));
}

TEST(Verify, FindsAJudgeThatIsWrong) {
  CheckedLayer layer = checked("Conv1D(9, 3, padding='causal', input_shape=(None, 5))");
  Pools pools;
  for (size_t i = 0; i < layer.variants.size(); ++i)
    replace_graph(layer, i, "Conv1D(9, 3, padding='same', input_shape=(None, 5))");
  const auto finding = check_call(layer, kCall, {}, pools);
  ASSERT_TRUE(finding);
  EXPECT_FALSE(finding->back_end);
  EXPECT_THAT(finding->what, HasSubstr("of the interpreter"));
}

TEST(Verify, FindsALengthThatIsWrong) {
  CheckedLayer layer = checked("Conv1D(9, 3, padding='causal', input_shape=(None, 5))");
  layer.spec.padding = Padding::kValid;
  Pools pools;
  const auto finding = check_call(layer, kCall, {}, pools);
  ASSERT_TRUE(finding);
  EXPECT_THAT(finding->what, HasSubstr("output steps"));
}

// A wrong pass of each kind of layer, in the place of the judge and of another one.
TEST(Verify, FindsWrongPassesOfAllKinds) {
  const std::pair<const char*, const char*> kPairs[] = {
      {"Conv1DTranspose(9, 3, strides=2, input_shape=(None, 5))",
       "Conv1DTranspose(9, 3, strides=2, dilation_rate=1, padding=(1, 0), output_padding=2, "
       "input_shape=(None, 5))"},
      {"DepthwiseConv1D(3, padding='same', input_shape=(None, 5))",
       "DepthwiseConv1D(3, padding='causal', input_shape=(None, 5))"},
      {"SeparableConv1D(6, 3, padding='same', input_shape=(None, 5))",
       "SeparableConv1D(6, 3, padding='causal', input_shape=(None, 5))"},
      {"Dense(6, activation='softmax', input_shape=(5,))",
       "Dense(6, activation='sparsemax', input_shape=(5,))"},
      {"Conv1D(6, 3, activation='softmax', input_shape=(None, 5))",
       "Conv1D(6, 3, activation='log_softmax', input_shape=(None, 5))"},
  };
  Pools pools;
  for (const auto& [right, wrong] : kPairs) {
    SCOPED_TRACE(right);
    CheckedLayer layer = checked(right);
    EXPECT_FALSE(check_call(layer, kCall, {}, pools));
    ASSERT_GE(layer.variants.size(), 2U);
    replace_graph(layer, 1, wrong);
    const auto other = check_call(layer, kCall, {}, pools);
    ASSERT_TRUE(other);
    EXPECT_EQ(other->back_end, layer.variants[1].back_end);
    replace_graph(layer, 0, wrong);
    const auto judge = check_call(layer, kCall, {}, pools);
    ASSERT_TRUE(judge);
    EXPECT_FALSE(judge->back_end);
  }
}

// The graph with the kernel of its only part made of another program.
std::shared_ptr<const CompiledGraph> with_program(const CompiledGraph& graph, const vir::Program& program) {
  const CompiledKernel& right = *graph.ops[0].parts[0].kernel;
  auto changed = std::make_shared<CompiledKernel>();
  changed->problem = right.problem;
  changed->backend = right.backend;
  changed->isa = right.isa;
  changed->weights = right.weights;
  changed->blocks = right.blocks;
  changed->tile_steps = right.tile_steps;
  changed->scratch_bytes = right.scratch_bytes;
  changed->kernel = interp::make_kernel(program);
  auto copy = std::make_shared<CompiledGraph>(graph);
  copy->ops[0].parts[0].kernel = changed;
  return copy;
}

// The chosen program of the judge's instruction set, changed.
template <class Change>
std::optional<Finding> check_changed(const std::string& text, const Change& change) {
  CheckedLayer layer = checked(text);
  const Variant judge = layer.variants[0];
  const Problem& problem = judge.graph->ops[0].parts[0].kernel->problem;
  vir::Program program = lower_layer(problem, target_for(judge.back_end.isa), "").value().program;
  change(program);
  layer.variants = {judge, {judge.back_end, with_program(*judge.graph, program)}};
  Pools pools;
  return check_call(layer, kCall, {}, pools);
}

TEST(Verify, FindsAChangedInstruction) {
  const std::string text = "Conv1D(17, 3, input_shape=(None, 5))";
  EXPECT_FALSE(check_changed(text, [](vir::Program&) {}));
  const auto change_all = [](vir::Opcode from, auto&& change) {
    return [from, change](vir::Program& program) {
      int changed = 0;
      for (vir::Inst& inst : program.body) {
        if (inst.op != from) continue;
        change(inst);
        ++changed;
      }
      EXPECT_GT(changed, 0);
    };
  };
  EXPECT_TRUE(check_changed(
      text, change_all(vir::Opcode::kFma, [](vir::Inst& inst) { inst.op = vir::Opcode::kAdd; })));
  EXPECT_TRUE(check_changed(text, change_all(vir::Opcode::kBcast, [](vir::Inst& inst) { inst.imm += 4; })));
  // A store that lost its mask writes behind the last filter of a row.
  const auto unmasked = [](vir::Inst& inst) {
    inst.op = vir::Opcode::kStore;
    inst.regs[2] = 0;
  };
  EXPECT_TRUE(check_changed(text, change_all(vir::Opcode::kStoreMask, unmasked)));
}

// A model with a batch normalization that is folded.
CheckedModel checked_model(uint64_t seed) {
  auto model =
      make_checked_model(random_model(seed), Rules::kAny, available_back_ends(Backend::kInterp, Isa::kAuto));
  EXPECT_TRUE(model) << model.error().message;
  return std::move(*model);
}

// A model that ends with a convolution, its batch normalization and an activation.
uint64_t folded_seed() {
  for (uint64_t seed = 7; seed < 400 * kModelForms; seed += kModelForms) {
    const std::vector<ModelLayer> layers = random_model(seed).layers;
    if (layers.size() < 4 || !std::holds_alternative<ActivationOp>(layers.back().op)) continue;
    const bool is_elementwise_last = is_elementwise(std::get<ActivationOp>(layers.back().op).activation.kind);
    const LayerOp& before = layers[layers.size() - 2].op;
    const LayerOp& first = layers[layers.size() - 3].op;
    if (is_elementwise_last && std::holds_alternative<BatchNormOp>(before) &&
        std::holds_alternative<LayerSpec>(first))
      return seed;
  }
  ADD_FAILURE() << "no seed gives such a model";
  return 0;
}

std::optional<Finding> check_first_call(const CheckedModel& model) {
  Call call = random_model_call(model, 4);
  call.batch = 2;
  call.data = DataKind::kFloats;
  Pools pools;
  return check_call(model, call, {}, pools);
}

TEST(VerifyModel, FindsWeightsThatAreWrong) {
  const CheckedModel model = checked_model(folded_seed());
  EXPECT_FALSE(check_first_call(model));
  // A weight of the last batch normalization, after compilation, so that only the reference knows.
  auto spec = std::make_shared<ModelSpec>(*model.spec);
  ModelLayer* norm = nullptr;
  for (ModelLayer& layer : spec->layers) norm = std::holds_alternative<BatchNormOp>(layer.op) ? &layer : norm;
  ASSERT_NE(norm, nullptr);
  for (float& mean : norm->weights[norm->weights.size() - 2].data) mean += 1e-3F;
  CheckedModel changed = model;
  changed.spec = spec;
  const auto finding = check_first_call(changed);
  ASSERT_TRUE(finding);
  EXPECT_THAT(finding->what, HasSubstr("of the interpreter is"));
}

TEST(VerifyModel, FindsAFusionThatChangesBits) {
  CheckedModel model = checked_model(folded_seed());
  // As if folding were a fusion: it rounds once less.
  model.folded = model.plain;
  const auto finding = check_first_call(model);
  ASSERT_TRUE(finding);
  EXPECT_THAT(finding->what, HasSubstr("without fusion"));
}

TEST(VerifyModel, FindsABackEndThatIsWrong) {
  CheckedModel model = checked_model(folded_seed());
  ASSERT_GE(model.variants.size(), 2U);
  ModelSpec other = *model.spec;
  ASSERT_EQ(other.layers.back().class_name, "Activation");
  other.layers.back().op = ActivationOp{{ActivationKind::kExponential, {}}};
  const auto wrong =
      make_checked_model(other, Rules::kAny, available_back_ends(Backend::kInterp, Isa::kAuto));
  ASSERT_TRUE(wrong) << wrong.error().message;
  model.variants[1].graph = wrong->variants[1].graph;
  const auto finding = check_first_call(model);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->back_end, model.variants[1].back_end);
}

TEST(Verify, CommandReproducesTheCase) {
  const LayerSpec spec = spec_of("Conv1D(9, 3, padding=(1, 2), input_shape=(None, 5))");
  EXPECT_EQ(reproducing_command(spec) + call_options(kCall, true),
            "convsmith verify \"Conv1D(9, 3, padding=(1, 2), input_shape=(None, 5))\" --rules any --batch 2 "
            "--steps 40 "
            "--data integers --seed 12 --guard");
}

constexpr const char* kVirFile = R"(# run in=16 out=16 steps=3
vir twice lanes 16 scratch 0 {
  p0 = arg.ptr in
  p1 = arg.ptr out
  v0 = load [p0+0]
  v1 = add v0 v0
  store [p1+0] v1
}
)";

TEST(VirFile, RunsOnEveryBackEndWithItsLanes) {
  const auto program = vir::parse(kVirFile);
  ASSERT_TRUE(program) << program.error().message;
  const auto call = parse_vir_call(kVirFile, *program);
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_EQ(call->in, 16);
  EXPECT_EQ(call->args.kSteps, 3);
  int ran = 0;
  const auto back_ends = available_back_ends(Backend::kAuto, Isa::kAuto);
  const auto findings = check_vir(*program, *call, DataKind::kSpecial, 3, back_ends, true, ran);
  ASSERT_TRUE(findings) << findings.error().message;
  EXPECT_THAT(*findings, IsEmpty());
  EXPECT_GE(ran, 1);
}

TEST(VirFile, SaysWhatIsWrongWithItsCall) {
  const auto program = vir::parse(kVirFile).value();
  EXPECT_THAT(parse_vir_call("vir", program).error().message, HasSubstr("# run in="));
  EXPECT_THAT(parse_vir_call("# run in=x", program).error().message, HasSubstr("'in=x'"));
  EXPECT_THAT(parse_vir_call("# run speed=1", program).error().message, HasSubstr("'speed=1'"));
  EXPECT_THAT(parse_vir_call("# run out=-1", program).error().message, HasSubstr("from 0 to"));
}

}  // namespace
}  // namespace convsmith::cli
