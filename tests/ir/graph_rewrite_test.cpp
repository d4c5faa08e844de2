// fold, fuse and flatten_elementwise: fewer operations, the same values. Whole networks are counted, and
// every rewrite runs on random models against the graph as it was built.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "convsmith/activation.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/fold.hpp"
#include "ir/graph/fuse.hpp"
#include "ir/graph/graph_interp.hpp"
#include "ir/graph/plan_slots.hpp"
#include "tests/support/model_maker.hpp"

namespace convsmith::ir {
namespace {

using test::integers;
using test::ModelMaker;
using test::reals;
using ::testing::Contains;
using ::testing::HasSubstr;

float smooth_activation(const Activation& a, float x) {
  const auto wide = static_cast<double>(x);
  switch (a.kind) {
    case ActivationKind::kRelu:
      return x > 0 ? x : 0.0F;
    case ActivationKind::kElu:
      return x > 0 ? x : static_cast<float>(std::expm1(wide));
    case ActivationKind::kTanh:
      return static_cast<float>(std::tanh(wide));
    case ActivationKind::kSigmoid:
      return static_cast<float>(1 / (1 + std::exp(-wide)));
    default:
      return x;
  }
}

Graph build(const ModelSpec& model) {
  Result<Graph> graph = build_graph(model);
  EXPECT_TRUE(graph.has_value()) << graph.error().message;
  return graph ? *graph : Graph{};
}

void expect_valid(const Graph& graph) {
  const Result<void> verified = verify_graph(graph);
  EXPECT_TRUE(verified.has_value()) << verified.error().message << "\n" << print(graph);
}

using Arrays = std::vector<std::vector<float>>;

Arrays run(const Graph& graph, int64_t steps, unsigned seed, bool is_integer = true) {
  Arrays inputs;
  for (const int input : graph.inputs) {
    const auto next = is_integer ? integers(seed++) : reals(seed++);
    const int64_t size =
        2 * graph.tensors[static_cast<size_t>(input)].channels *
        evaluate_extents(graph,
                         std::vector<int64_t>(
                             graph.inputs.size(),
                             steps))[static_cast<size_t>(graph.tensors[static_cast<size_t>(input)].steps)];
    inputs.emplace_back();
    for (int64_t i = 0; i < size; ++i) inputs.back().push_back(next());
  }
  return interpret(graph, inputs, 2, std::vector<int64_t>(graph.inputs.size(), steps), smooth_activation);
}

int count_passes(const Graph& graph, const std::function<bool(const Op&)>& is_counted) {
  return static_cast<int>(std::count_if(graph.ops.begin(), graph.ops.end(), is_counted));
}
int copies(const Graph& graph) {
  return count_passes(graph, is_elementwise);
}
int norms(const Graph& graph) {
  return count_passes(graph, [](const Op& op) { return op.problem.starts_from_bias; });
}

void expect_close(const Arrays& a, const Arrays& b, float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_EQ(a[i].size(), b[i].size());
    float largest = 1e-3F;
    for (const float x : a[i]) largest = std::max(largest, std::fabs(x));
    for (size_t k = 0; k < a[i].size(); ++k) ASSERT_NEAR(a[i][k], b[i][k], tolerance * largest) << k;
  }
}

// Each slot is written only while nobody needs what it held.
void expect_sound_plan(const Graph& graph) {
  const Plan plan = plan_slots(graph);
  std::vector<int> holder(static_cast<size_t>(plan.slots), -1);
  const auto read = [&](int id) {
    if (id < 0) return;
    const int slot = plan.slot_of_tensor[static_cast<size_t>(id)];
    if (slot < 0) return;
    EXPECT_EQ(holder[static_cast<size_t>(slot)], root_of(graph, id));
  };
  for (const Op& op : graph.ops) {
    const int slot = plan.slot_of_tensor[static_cast<size_t>(op.out)];
    if (slot >= 0) holder[static_cast<size_t>(slot)] = root_of(graph, op.out);
    read(op.in);
    read(op.operand);
  }
}

TEST(Rewrite, EcgDenoiserHasOnePassALayer) {
  const Graph built = build(test::ecg_denoiser(reals(1)));
  const Graph graph = flatten_elementwise(fuse(fold(built)));
  expect_valid(graph);
  EXPECT_EQ(passes_over_memory(graph), 9) << print(graph);
  EXPECT_EQ(copies(graph) + norms(graph), 0);
  EXPECT_THAT(graph.decisions, Contains("enc0_bn is folded into enc0."));
  expect_close(run(built, 64, 5, false), run(graph, 64, 5, false), 1e-5F);
  EXPECT_EQ(plan_slots(graph).slots, 2);
  EXPECT_THAT(print(graph), HasSubstr("output t9[8 * ((steps + 7) / 8), 1]"));
  expect_sound_plan(graph);
}

TEST(Rewrite, WaveNetHasOnePassAConvolution) {
  const Graph built = build(test::wavenet(reals(2), 4));
  const Graph graph = flatten_elementwise(fuse(fold(built)));
  expect_valid(graph);
  EXPECT_EQ(passes_over_memory(graph), 1 + 2 * 4 + 3 + 4 + 2) << print(graph);
  EXPECT_EQ(copies(graph), 0);
  EXPECT_EQ(run(built, 40, 5, false), run(graph, 40, 5, false));
  EXPECT_LE(plan_slots(graph).slots, 5) << print(graph);  // whatever the number of blocks
  EXPECT_LE(plan_slots(fuse(build(test::wavenet(reals(2), 8)))).slots, 5);
  expect_sound_plan(graph);
}

TEST(Rewrite, InceptionHasOnlyConvolutionsAndPools) {
  const Graph built = build(test::inception(reals(3)));
  const Graph graph = flatten_elementwise(fuse(fold(built)));
  expect_valid(graph);
  EXPECT_EQ(copies(graph) + norms(graph), 0) << print(graph);
  EXPECT_EQ(passes_over_memory(graph), 5 + 6 + 1 + 1 + 2);
  EXPECT_THAT(graph.decisions, Contains("b0_bn is folded into b0_k40, b0_k20, b0_k10, b0_pool1x1."));
  expect_close(run(built, 150, 5, false), run(graph, 150, 5, false), 1e-5F);
  expect_sound_plan(graph);
}

TEST(Fold, NormBeforeAConvolutionGoesBehindOnlyWithoutPadding) {
  for (const bool pads : {false, true}) {
    ModelMaker m(reals(4));
    LayerSpec spec;
    spec.filters = 6;
    spec.kernel_size = 3;
    spec.groups = 2;
    spec.padding = pads ? Padding::kSame : Padding::kValid;
    const Graph built = build(m.finish({m.conv("conv", m.norm("bn", m.input({20, 4}), 4), spec, 4)}));
    const Graph graph = fold(built);
    expect_valid(graph);
    EXPECT_EQ(norms(graph), pads ? 1 : 0);
    EXPECT_THAT(graph.decisions[0],
                HasSubstr(pads ? "conv behind it pads its input" : "bn is folded into conv."));
    expect_close(run(built, 20, 5, false), run(graph, 20, 5, false), 1e-5F);
  }
}

TEST(Fold, LeavesWhatOthersRead) {
  ModelMaker m(reals(4));
  LayerSpec spec;
  spec.filters = 4;
  spec.kernel_size = 1;
  const int conv = m.conv("conv", m.input({20, 4}), spec, 4);
  const int norm = m.norm("bn", conv, 4);
  const Graph graph = fold(build(m.finish({norm, conv})));
  EXPECT_EQ(norms(graph), 1);
  EXPECT_THAT(graph.decisions, Contains("bn is a pass of its own: its input has other readers, and no single "
                                        "layer behind it reads it."));
}

// Two calls of a convolution and its norm share the folded weights, too.
TEST(Fold, SharedLayersStayShared) {
  ModelMaker m(reals(4));
  LayerSpec spec;
  spec.filters = 4;
  spec.kernel_size = 3;
  const int x = m.input({20, 4});
  const int first = m.norm("bn", m.conv("conv", x, spec, 4), 4);
  const int again = m.call(2, {m.call(1, {first})});
  const Graph built = build(m.finish({again}));
  const Graph graph = fold(built);
  expect_valid(graph);
  EXPECT_EQ(graph.ops.size(), 2U);
  EXPECT_EQ(graph.arrays.size(), 2U);
  expect_close(run(built, 20, 5, false), run(graph, 20, 5, false), 1e-5F);
}

TEST(Fold, SharedWeightsWithSeveralNormsAreFoldedOnce) {
  ModelMaker m(reals(4));
  LayerSpec spec;
  spec.filters = 4;
  spec.kernel_size = 3;
  const int x = m.input({20, 4});
  const int a = m.norm("bn1", m.conv("conv", x, spec, 4), 4);
  const int b = m.norm("bn2", m.call(1, {x}), 4);
  const Graph built = build(m.finish({a, b}));
  const Graph graph = fold(built);
  expect_valid(graph);
  EXPECT_EQ(norms(graph), 1);
  expect_close(run(built, 20, 5, false), run(graph, 20, 5, false), 1e-5F);
}

TEST(Fold, WeightsTakeAtMostTwoNorms) {
  ModelMaker m(reals(4));
  LayerSpec spec;
  spec.filters = 4;
  spec.kernel_size = 3;
  int x = m.conv("conv", m.input({20, 4}), spec, 4);
  for (int i = 0; i < 6; ++i) x = m.norm("bn" + std::to_string(i), x, 4);
  const Graph built = build(m.finish({x}));
  const Graph graph = fold(built);
  expect_valid(graph);
  expect_close(run(built, 20, 5, false), run(graph, 20, 5, false), 1e-4F);
  EXPECT_LT(graph.ops.size(), 4U);
}

// What float32 cannot hold stays apart: x * scale, and a convolution with one weight, one behind the other.
TEST(Fold, KeepsTheRangeOfFloats) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  constexpr auto kFloatInf = std::numeric_limits<float>::infinity();
  struct Case {
    std::vector<double> scales;  // a number: Rescaling; the sum behind it is folded where that is right
    float weight;
    bool is_first;  // the convolution
    float x, y;
    bool is_folded;
  };
  const Case cases[] = {
      {{1e20}, 1e20F, false, 1e-25F, 1e15F, false},
      {{1e20}, 1e20F, false, 0.0F, 0.0F, false},
      {{1e20}, 1e20F, true, 1e-25F, 1e15F, false},
      {{1e30, 1e30}, 1.0F, false, 1e-35F, 1e25F, true},  // one of the two goes into the weight
      {{-kInf}, 2.0F, true, 3.0F, -kFloatInf, false},
      {{-kInf}, 2.0F, false, 3.0F, -kFloatInf, false},
      {{kInf, -1.0}, 2.0F, false, -3.0F, kFloatInf, false},
      {{1e-30}, 1e-30F, false, 1e30F, 1e-30F, false},
      {{1e-30}, 1e-30F, true, 1e30F, 1e-30F, false},
      {{1e-25, 1e-25}, 1.0F, true, 1e30F, 1e-20F, true},
      {{0.0}, 2.0F, true, 3.0F, 0.0F, true},
      {{1e10}, 1e10F, false, 1e-5F, 1e15F, true},
      {{1e-5, 1e5}, 1e3F, true, 2.0F, 2e3F, true},
  };
  for (const Case& c : cases) {
    ModelMaker m([&] { return c.weight; });
    int x = m.input({std::nullopt, 1});
    LayerSpec spec;
    spec.filters = 1;
    spec.kernel_size = 1;
    spec.use_bias = false;
    if (c.is_first) x = m.conv("conv", x, spec, 1);
    for (const double scale : c.scales)
      x = m.add("scale" + std::to_string(x), "Rescaling", AffineOp{{{}, {scale}}, {{}, {0.0}}}, {x}, {});
    if (!c.is_first) x = m.conv("conv", x, spec, 1);
    const Graph graph = fold(build(m.finish({x})));
    SCOPED_TRACE(print(graph));
    expect_valid(graph);
    EXPECT_EQ(graph.ops.size() < 1 + c.scales.size(), c.is_folded || c.scales.size() > 1);
    const std::vector<float> input(1, c.x);
    const Arrays out = interpret(graph, std::span(&input, 1), 1, std::vector<int64_t>{1}, smooth_activation);
    if (std::isinf(c.y)) {
      EXPECT_EQ(out[0][0], c.y);
    } else {
      EXPECT_NEAR(out[0][0], c.y, 1e-6F * std::fabs(c.y));
    }
  }
}

TEST(Fuse, PartsThatOthersReadAreWrittenInPlace) {
  ModelMaker m(integers(4));
  LayerSpec spec;
  spec.filters = 4;
  spec.kernel_size = 1;
  const int x = m.input({20, 4});
  const int a = m.conv("a", x, spec, 4);
  const int b = m.conv("b", a, spec, 4);
  const int c = m.conv("c", m.concatenate("cat", {a, b}), spec, 8);
  const Graph built = build(m.finish({c}));
  const Graph graph = fuse(built);
  expect_valid(graph);
  EXPECT_EQ(run(built, 20, 7), run(graph, 20, 7));
  // b reads a and stands beside it, so one of the two is copied.
  EXPECT_EQ(passes_over_memory(graph), 4) << print(graph);
}

TEST(Fuse, SubtractionChangesSides) {
  for (const bool turned : {false, true}) {
    ModelMaker m(integers(4));
    LayerSpec spec;
    spec.filters = 4;
    spec.kernel_size = 1;
    const int x = m.input({20, 4});
    const int y = m.conv("conv", x, spec, 4);
    const Graph built = build(
        m.finish({m.merge("sub", turned ? std::vector{y, x} : std::vector{x, y}, MergeKind::kSubtract)}));
    const Graph graph = fuse(built);
    expect_valid(graph);
    EXPECT_EQ(passes_over_memory(graph), 1);
    EXPECT_EQ(graph.ops[0].problem.combine, turned ? Combine::kSubtract : Combine::kSubtractFrom);
    EXPECT_EQ(run(built, 20, 7), run(graph, 20, 7));
  }
}

TEST(Flatten, ElementwiseOpsRunOverOneChannel) {
  ModelMaker m(integers(4));
  const int x = m.input({std::nullopt, 4});
  const Graph built =
      build(m.finish({m.activation("relu", m.merge("add", {x, x}, MergeKind::kAdd), make_relu())}));
  const Graph graph = flatten_elementwise(fuse(built));
  expect_valid(graph);
  ASSERT_EQ(graph.ops.size(), 1U);
  EXPECT_EQ(graph.ops[0].problem.channels, 1);
  EXPECT_THAT(print(graph), HasSubstr("[4 * steps, 1]"));
  EXPECT_EQ(run(built, 20, 7), run(graph, 20, 7));
}

// A random model of everything that takes and gives (steps, 4) or (4, steps).
ModelSpec random_model(unsigned seed) {
  std::mt19937 random(seed);
  ModelMaker m(integers(seed));
  const bool first = seed % 4 == 3;
  const auto format = first ? DataFormat::kChannelsFirst : DataFormat::kChannelsLast;
  std::vector<int> values{m.input(first ? Shape{4, std::nullopt} : Shape{std::nullopt, 4})};
  const auto any = [&] { return values[values.size() - 1 - random() % std::min<size_t>(values.size(), 3)]; };
  LayerSpec spec;
  spec.filters = 4;
  spec.data_format = format;
  spec.padding = Padding::kSame;
  for (int i = 0; i < 10; ++i) {
    const std::string name = "l" + std::to_string(i);
    const int x = any();
    spec.kernel_size = 1 + static_cast<int64_t>(random() % 3);
    spec.activation = random() % 3 == 0 ? make_relu() : Activation{};
    switch (random() % 9) {
      case 0:
      case 1:
        values.push_back(m.conv(name, x, spec, 4));
        break;
      case 2:
        values.push_back(m.transposed(name, x, spec, 4));
        break;
      case 3:
        values.push_back(m.activation(name, x, make_relu()));
        break;
      case 4: {
        const MergeKind kinds[] = {MergeKind::kAdd, MergeKind::kSubtract, MergeKind::kMaximum,
                                   MergeKind::kMinimum};
        values.push_back(m.merge(name, {x, any()}, kinds[random() % 4]));
        break;
      }
      case 5:
        values.push_back(m.add(
            name, "MaxPooling1D",
            PoolOp{.pool_size = 3, .strides = 1, .padding = Padding::kSame, .data_format = format}, {x}, {}));
        break;
      case 6: {
        const int wide = m.concatenate(name + "c", {x, any()}, first ? 1 : -1);
        const int relu = m.activation(name + "r", wide, make_relu());
        values.push_back(m.conv(name, random() % 2 == 0 ? relu : wide, spec, 8));
        break;
      }
      case 7:
        values.push_back(m.add(name, "PReLU", PreluOp{}, {x},
                               {first ? std::vector<int64_t>{4, 1} : std::vector<int64_t>{1, 4}}));
        break;
      case 8:
        values.push_back(m.add(name, "Permute", PermuteOp{{2, 1}},
                               {m.add(name + "p", "Permute", PermuteOp{{2, 1}}, {x}, {})}, {}));
        break;
    }
  }
  std::vector<int> outputs{values.back()};
  if (seed % 3 == 0) outputs.push_back(any());
  return m.finish(outputs);
}

TEST(Rewrite, RandomModelsKeepEveryBit) {
  int saved = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    const Graph built = build(random_model(seed));
    expect_valid(built);
    const Graph fused = fuse(built);
    expect_valid(fused);
    const Graph flat = flatten_elementwise(fused);
    expect_valid(flat);
    expect_sound_plan(built);
    expect_sound_plan(flat);
    const Arrays expected = run(built, 9, seed);
    ASSERT_EQ(expected, run(fused, 9, seed)) << seed << "\n" << print(built) << print(fused);
    ASSERT_EQ(expected, run(flat, 9, seed)) << seed << "\n" << print(fused) << print(flat);
    saved += passes_over_memory(built) - passes_over_memory(fused);
    if (HasFailure()) break;
  }
  EXPECT_GT(saved, 300);
}

}  // namespace
}  // namespace convsmith::ir
