// What verify is made of: the reference against hand-computed cases, the random layers, a small verification
// that passes, and proof that wrong kernels are found.
#include "cli/verify.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

#include "cli/compare.hpp"
#include "cli/reference.hpp"
#include "cli/vir_file.hpp"
#include "codegen/interp/interp.hpp"
#include "codegen/vir_text.hpp"
#include "frontend/make_problem.hpp"
#include "frontend/parse_layer.hpp"

namespace convsmith::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

LayerSpec spec_of(const std::string& text) {
  const auto layer = parse_layer(text, Rules::kAny);
  EXPECT_TRUE(layer) << layer.error().message;
  return layer->spec;
}

CheckedLayer checked(const std::string& text, Backend backend = Backend::kInterp) {
  const LayerSpec spec = spec_of(text);
  auto layer = make_checked_layer(spec, make_problem(spec, Rules::kAny).value(),
                                  available_back_ends(backend, Isa::kAuto));
  EXPECT_TRUE(layer) << layer.error().message;
  return std::move(*layer);
}

// One filter over 1, 2, 3, 4, 5 of one channel.
std::vector<double> sums_of(const std::string& text, const std::vector<float>& kernel,
                            std::vector<float> bias = {}) {
  const std::vector<float> input = {1, 2, 3, 4, 5};
  return reference_sums(spec_of(text), {input.data(), kernel.data(), bias.data(), 1, 5, 1}).sum;
}

TEST(Reference, FollowsKerasPadding) {
  EXPECT_THAT(sums_of("Conv1D(1, 3, use_bias=False)", {1, 10, 100}), ElementsAre(321, 432, 543));
  EXPECT_THAT(sums_of("Conv1D(1, 3, padding='same', use_bias=False)", {1, 10, 100}),
              ElementsAre(210, 321, 432, 543, 54));
  EXPECT_THAT(sums_of("Conv1D(1, 2, padding='same', use_bias=False)", {1, 10}),
              ElementsAre(21, 32, 43, 54, 5));
  EXPECT_THAT(sums_of("Conv1D(1, 3, padding='causal', use_bias=False)", {1, 10, 100}),
              ElementsAre(100, 210, 321, 432, 543));
  EXPECT_THAT(sums_of("Conv1D(1, 2, padding=(3, 1), use_bias=False)", {1, 10}),
              ElementsAre(0, 0, 10, 21, 32, 43, 54, 5));
}

TEST(Reference, FollowsStrideAndDilation) {
  EXPECT_THAT(sums_of("Conv1D(1, 2, strides=2, use_bias=False)", {1, 10}), ElementsAre(21, 43));
  // Three outputs see five steps and no zero; four steps of zeros would be needed for dilation 2.
  EXPECT_THAT(sums_of("Conv1D(1, 3, strides=2, padding='same', use_bias=False)", {1, 10, 100}),
              ElementsAre(210, 432, 54));
  EXPECT_THAT(sums_of("Conv1D(1, 2, dilation_rate=3, use_bias=False)", {1, 10}), ElementsAre(41, 52));
  EXPECT_THAT(sums_of("Conv1D(1, 2, dilation_rate=3, padding='causal')", {1, 10}, {0.5F}),
              ElementsAre(10.5, 20.5, 30.5, 41.5, 52.5));
  EXPECT_THAT(sums_of("Conv1D(1, 6, use_bias=False)", {1, 1, 1, 1, 1, 1}), IsEmpty());
}

TEST(Reference, KnowsBothLayoutsAndGroups) {
  // Two steps of channels (1, 2) and (3, 4); one tap; each group has one channel and two filters.
  const std::vector<float> kernel = {1, 10, 100, 1000};
  const std::vector<float> steps_outside = {1, 2, 3, 4};
  const auto last = reference_sums(spec_of("Conv1D(4, 1, groups=2, use_bias=False)"),
                                   {steps_outside.data(), kernel.data(), nullptr, 1, 2, 2});
  EXPECT_THAT(last.sum, ElementsAre(1, 10, 200, 2000, 3, 30, 400, 4000));
  const std::vector<float> channels_outside = {1, 3, 2, 4};
  const auto first =
      reference_sums(spec_of("Conv1D(4, 1, groups=2, use_bias=False, data_format='channels_first')"),
                     {channels_outside.data(), kernel.data(), nullptr, 1, 2, 2});
  EXPECT_THAT(first.sum, ElementsAre(1, 3, 10, 30, 200, 400, 2000, 4000));
}

TEST(Reference, KnowsMagnitudesAndBounds) {
  const std::vector<float> input = {1, -2};
  const std::vector<float> kernel = {-3, 4};
  const std::vector<float> bias = {-5};
  const auto sums =
      reference_sums(spec_of("Conv1D(1, 2)"), {input.data(), kernel.data(), bias.data(), 1, 2, 1});
  EXPECT_THAT(sums.sum, ElementsAre(-16));
  EXPECT_THAT(sums.magnitude, ElementsAre(16));
  EXPECT_DOUBLE_EQ(error_factor(1), 2 * 0x1p-24 / (1 - 2 * 0x1p-24));
}

TEST(Reference, MeasuresUlp) {
  EXPECT_EQ(ulp_error(1.0F, 1.0), 0);
  EXPECT_DOUBLE_EQ(ulp_error(1.0F + 0x1p-23F, 1.0), 1);
  EXPECT_DOUBLE_EQ(ulp_error(1.0F - 0x1p-24F, 1.0), 0.5);
  EXPECT_EQ(ulp_error(std::numeric_limits<float>::quiet_NaN(), std::nan("")), 0);
  EXPECT_EQ(ulp_error(1.0F, std::nan("")), std::numeric_limits<double>::infinity());
  EXPECT_EQ(ulp_error(std::numeric_limits<float>::infinity(), 1e60), 0);
}

TEST(Reference, KnowsKerasValuesOfActivations) {
  using Kind = ActivationKind;
  EXPECT_NEAR(reference_activation({Kind::kSelu, {}}, -2.6), -1.627519, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kMish, {}}, 3), 2.986535, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kGelu, {}}, -1), -0.158655, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kGeluTanh, {}}, -1), -0.158808, 1e-6);
  EXPECT_NEAR(reference_activation({Kind::kHardSigmoidKeras2, {}}, -1), 0.3, 1e-12);
  EXPECT_EQ(reference_activation(make_relu(0.5F, 4, 1), 1), 0);
  EXPECT_EQ(reference_activation(make_relu(0.5F, 4, 1), -1), -1);
  EXPECT_EQ(reference_activation(make_relu(0.5F, 4, 1), 9), 4);
}

TEST(RandomLayer, IsTheSameEverywhere) {
  EXPECT_EQ(to_call_text(random_layer(1)), to_call_text(random_layer(1)));
  Random random(1);
  EXPECT_EQ(random.next(), 0x910A2DEC89025CC1U);  // SplitMix64's published sequence
  EXPECT_EQ(random.next(), 0xBEEB8DA1658EEC67U);
  EXPECT_EQ(random.next(), 0xF893A2EEFB32555EU);
  Random units(7);
  EXPECT_EQ(units.signed_unit(), std::ldexp(std::round(std::ldexp(Random(7).signed_unit(), 24)), -24));
}

TEST(RandomLayer, IsLegalAndVaried) {
  std::set<std::string> texts;
  int on_an_edge = 0;
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    const LayerSpec spec = random_layer(seed);
    const std::string text = to_call_text(spec);
    texts.insert(text);
    const auto problem = make_problem(spec, Rules::kAny);
    ASSERT_TRUE(problem) << text << problem.error().message;
    ASSERT_EQ(make_problem(spec_of(text), Rules::kAny).value(), *problem) << text;
    ASSERT_LE(problem->channels, 80);
    ASSERT_LE(problem->filters, 80);
    on_an_edge += std::set<int64_t>{7, 8, 9, 15, 16, 17, 31, 32, 33}.count(problem->filters) > 0 ? 1 : 0;
    for (uint64_t i = 0; i < 5; ++i) {
      const Call call = random_call(spec, *problem, derive_seed(seed, i));
      ASSERT_LE(multiply_adds(*problem, call.batch, call.steps), 2'000'000) << text;
      ASSERT_LE(call.steps, 300);
    }
  }
  EXPECT_GT(texts.size(), 990U);
  EXPECT_GT(on_an_edge, 250);
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
}

TEST(Verify, FindsNothingWrongBesideForbiddenPages) {
  VerifyOptions options;
  options.count = 150;
  options.seed = 21;
  options.guard = true;
  options.back_ends = available_back_ends(Backend::kXbyak, Isa::kAuto);
  EXPECT_THAT(verify_random(options).failures, IsEmpty());
}

TEST(Verify, DoesNotDependOnTheNumberOfJobs) {
  VerifyOptions options;
  options.count = 60;
  options.back_ends = available_back_ends(Backend::kInterp, Isa::kBaseline);
  const VerifyReport one = verify_random(options);
  options.jobs = 3;
  EXPECT_EQ(verify_random(options).coverage.print(), one.coverage.print());
}

// A kernel for another problem with arrays of the same sizes.
void replace_kernel(CheckedLayer& layer, size_t variant, const std::string& text) {
  layer.variants[variant].kernel = checked(text).variants.at(variant).kernel;
}

constexpr Call kCall{2, 40, DataKind::kIntegers, 12};

TEST(Verify, FindsAnotherActivation) {
  CheckedLayer layer = checked("Conv1D(9, 3, padding='same', activation='relu', input_shape=(None, 5))");
  Pools pools;
  EXPECT_FALSE(check_call(layer, kCall, {}, pools));
  ASSERT_GE(layer.variants.size(), 2U);
  replace_kernel(layer, 1, "Conv1D(9, 3, padding='same', input_shape=(None, 5))");
  const auto finding = check_call(layer, kCall, {}, pools);
  ASSERT_TRUE(finding);
  EXPECT_EQ(finding->back_end, layer.variants[1].back_end);
  EXPECT_THAT(finding->what, HasSubstr("outputs differ"));
}

TEST(Verify, FindsAJudgeThatIsWrong) {
  CheckedLayer layer = checked("Conv1D(9, 3, padding='causal', input_shape=(None, 5))");
  Pools pools;
  for (size_t i = 0; i < layer.variants.size(); ++i)
    replace_kernel(layer, i, "Conv1D(9, 3, padding='same', input_shape=(None, 5))");
  const auto finding = check_call(layer, kCall, {}, pools);
  ASSERT_TRUE(finding);
  EXPECT_FALSE(finding->back_end);
  EXPECT_THAT(finding->what, HasSubstr("of the interpreter"));
}

TEST(Verify, FindsAProblemThatIsWrong) {
  CheckedLayer layer = checked("Conv1D(9, 3, padding='causal', input_shape=(None, 5))");
  layer.naive.problem.pad_left = 1;
  Pools pools;
  const auto finding = check_call(layer, kCall, {}, pools);
  ASSERT_TRUE(finding);
  EXPECT_THAT(finding->what, HasSubstr("float64 loop"));
}

// The chosen program of the judge's instruction set, changed.
template <class Change>
std::optional<Finding> check_changed(const std::string& text, const Change& change) {
  CheckedLayer layer = checked(text);
  const Isa isa = layer.variants[0].back_end.isa;
  vir::Program program = lower_layer(layer.problem, target_for(isa), "").value().program;
  change(program);
  auto changed = std::make_shared<CompiledKernel>();
  const CompiledKernel& right = *layer.variants[0].kernel;
  changed->problem = right.problem;
  changed->backend = right.backend;
  changed->isa = right.isa;
  changed->weights = right.weights;
  changed->blocks = right.blocks;
  changed->tile_steps = right.tile_steps;
  changed->scratch_bytes = right.scratch_bytes;
  changed->kernel = interp::make_kernel(program);
  layer.variants = {layer.variants[0], {layer.variants[0].back_end, changed}};
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

TEST(Compare, CountsUlpAlongTheNumberLine) {
  EXPECT_EQ(largest_ulp({1.0F, 2.0F}, {1.0F, 2.0F}), 0);
  EXPECT_EQ(largest_ulp({1.0F}, {1.0F + 0x1p-22F}), 2);
  EXPECT_EQ(largest_ulp({0x1p-149F}, {-0x1p-149F}), 2);
  EXPECT_EQ(largest_ulp({0.0F}, {-0.0F}), 1);
  EXPECT_EQ(largest_ulp({std::nanf("1")}, {-std::nanf("2")}), 0);
}

TEST(Compare, FillsEveryRow) {
  const CheckedLayer layer = checked("Conv1D(9, 3, padding='same', input_shape=(None, 5))", Backend::kAuto);
  const auto timer = [](BackEnd) -> Result<CompileCost> { return CompileCost{1, 0.5}; };
  Comparison comparison;
  ASSERT_TRUE(compare_layer(layer, {.steps = 100, .seconds = 0.002}, timer, comparison));
  ASSERT_EQ(comparison.rows.size(), layer.variants.size());
  for (const CompareRow& row : comparison.rows) {
    EXPECT_TRUE(row.bit_equal) << back_end_name(row.back_end);
    EXPECT_GT(row.gflops(), 0);
    EXPECT_GT(row.peak_share(), 0) << back_end_name(row.back_end);
    EXPECT_LT(row.peak_share(), 1.2) << back_end_name(row.back_end);
    EXPECT_LE(row.timing.min_us, row.timing.p50_us);
    EXPECT_LE(row.timing.p50_us, row.timing.p99_us);
  }
}

}  // namespace
}  // namespace convsmith::cli
