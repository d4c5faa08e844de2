// build_graph: shapes by Keras's rules, errors that name the layer, and values against sums written down
// here.
#include "ir/graph/build_graph.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "convsmith/activation.hpp"
#include "ir/graph/graph_interp.hpp"
#include "tests/support/model_maker.hpp"

namespace convsmith::ir {
namespace {

using test::integers;
using test::ModelMaker;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

float plain_activation(const Activation& a, float x) {
  if (a.kind == ActivationKind::kRelu) return std::fmax(x, 0.0F);
  if (a.kind == ActivationKind::kSigmoid) return 1.0F / (1.0F + std::exp(-x));
  return x;
}

Graph build(const ModelSpec& model) {
  Result<Graph> graph = build_graph(model);
  EXPECT_TRUE(graph.has_value()) << graph.error().message;
  if (!graph) return {};
  const Result<void> verified = verify_graph(*graph);
  EXPECT_TRUE(verified.has_value()) << verified.error().message << "\n" << print(*graph);
  return *graph;
}

std::vector<float> run(const Graph& graph, std::vector<float> input, int64_t steps) {
  return interpret(graph, std::vector<std::vector<float>>{std::move(input)}, 1, std::vector<int64_t>{steps},
                   plain_activation)[0];
}

std::string error_of(const ModelSpec& model) {
  Result<Graph> graph = build_graph(model);
  return graph ? "no error" : graph.error().message;
}

LayerSpec conv_spec(int64_t filters, int64_t taps) {
  LayerSpec spec;
  spec.filters = filters;
  spec.kernel_size = taps;
  return spec;
}

// A model of one layer without weights on the numbers 1, 2, 3, ...
std::vector<float> run_layer(const Shape& shape, LayerOp op, int64_t steps = 0) {
  ModelMaker m(integers(1));
  const int in = m.input(shape);
  Graph graph = build(m.finish({m.add("layer", "Layer", std::move(op), {in}, {})}));
  std::vector<float> input;
  int64_t size = 1;
  for (const auto& axis : shape) size *= axis ? *axis : steps;
  for (int64_t i = 0; i < size; ++i) input.push_back(static_cast<float>(i + 1));
  return run(graph, input, steps == 0 ? *shape[0] : steps);
}

TEST(BuildGraph, KeepsStepsOpenWhereTheModelDeclaresThem) {
  ModelMaker m(integers(1));
  LayerSpec spec = conv_spec(4, 3);
  spec.strides = 2;
  const Graph graph = build(m.finish({m.conv("c", m.input({100, 2}), spec, 2)}));
  EXPECT_FALSE(graph.pinned_steps[0]);
  const int steps = graph.tensors[static_cast<size_t>(graph.outputs[0])].steps;
  EXPECT_EQ(evaluate_extents(graph, std::vector<int64_t>{100})[static_cast<size_t>(steps)], 49);
  EXPECT_EQ(evaluate_extents(graph, std::vector<int64_t>{7})[static_cast<size_t>(steps)], 3);
  EXPECT_THAT(print(graph), HasSubstr("(steps - 1) / 2"));
}

TEST(BuildGraph, FlattenPinsDeclaredSteps) {
  ModelMaker m(integers(1));
  const int flat = m.add("flat", "Flatten", FlattenOp{}, {m.input({10, 2})}, {});
  const Graph graph = build(m.finish({m.dense("d", flat, conv_spec(3, 0), 20)}));
  EXPECT_EQ(graph.pinned_steps[0], 10);
  EXPECT_EQ(graph.ops.size(), 1U);
  EXPECT_EQ(graph.input_shapes[0][0].extent, -1);
}

TEST(BuildGraph, FlattenOfOpenStepsNamesTheLayer) {
  ModelMaker m(integers(1));
  EXPECT_EQ(error_of(m.finish({m.add("flat", "Flatten", FlattenOp{}, {m.input({std::nullopt, 2})}, {})})),
            "Layer 'flat' (Flatten): The layer needs a known number of steps, but input 1 of the model "
            "('input') declares None.");
}

TEST(BuildGraph, LayersWithoutWeightsMakeTheirValues) {
  EXPECT_THAT(run_layer({4, 2}, CroppingOp{1, 1}), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(run_layer({2, 2}, ZeroPaddingOp{1, 0}), ElementsAre(0, 0, 1, 2, 3, 4));
  EXPECT_THAT(run_layer({2, 3}, ZeroPaddingOp{1, 0, DataFormat::kChannelsFirst}, 3),
              ElementsAre(0, 1, 2, 3, 0, 4, 5, 6));
  EXPECT_THAT(run_layer({2, 2}, UpSamplingOp{2}), ElementsAre(1, 2, 1, 2, 3, 4, 3, 4));
  EXPECT_THAT(run_layer({3, 2}, PermuteOp{{2, 1}}), ElementsAre(1, 3, 5, 2, 4, 6));
  EXPECT_THAT(run_layer({3, 2}, FlattenOp{DataFormat::kChannelsFirst}, 2), ElementsAre(1, 3, 5, 2, 4, 6));
  EXPECT_THAT(run_layer({3, 2}, PoolOp{.pool_size = 2, .strides = 1}), ElementsAre(3, 4, 5, 6));
  EXPECT_THAT(run_layer({3, 1}, PoolOp{.average = true, .padding = Padding::kSame}), ElementsAre(1.5F, 3));
  EXPECT_THAT(run_layer({3, 2}, GlobalPoolOp{.average = true}), ElementsAre(3, 4));
  EXPECT_THAT(run_layer({3, 2}, GlobalPoolOp{.data_format = DataFormat::kChannelsFirst}, 2),
              ElementsAre(2, 4, 6));
}

TEST(BuildGraph, SoftmaxTakesAnyAxis) {
  const std::vector<float> last = run_layer({2, 2}, ActivationOp{{ActivationKind::kSoftmax, {-1, 0, 0}}});
  const std::vector<float> first = run_layer({2, 2}, ActivationOp{{ActivationKind::kSoftmax, {1, 0, 0}}});
  EXPECT_FLOAT_EQ(last[0] + last[1], 1.0F);
  EXPECT_FLOAT_EQ(first[0] + first[2], 1.0F);
  EXPECT_FLOAT_EQ(first[2] / first[0], std::exp(2.0F));
}

TEST(BuildGraph, GluHalvesTheAxis) {
  const std::vector<float> y = run_layer({1, 4}, ActivationOp{{ActivationKind::kGlu, {-1, 0, 0}}});
  ASSERT_EQ(y.size(), 2U);
  EXPECT_FLOAT_EQ(y[0], 1.0F / (1.0F + std::exp(-3.0F)));
  EXPECT_FLOAT_EQ(y[1], 2.0F / (1.0F + std::exp(-4.0F)));
}

TEST(BuildGraph, ReshapeKeepsOpenStepsWhereItCan) {
  ModelMaker m(integers(1));
  const int in = m.input({std::nullopt, 4});
  const Graph graph = build(m.finish({m.add("r", "Reshape", ReshapeOp{{-1, 2}}, {in}, {})}));
  EXPECT_EQ(graph.output_shapes[0][0].size, 2);
  EXPECT_GE(graph.output_shapes[0][0].extent, 0);
  ModelMaker wrong(integers(1));
  EXPECT_THAT(
      error_of(wrong.finish({wrong.add("r", "Reshape", ReshapeOp{{5, -1}}, {wrong.input({4, 3})}, {})})),
      HasSubstr(
          "An input of shape (None, 4, 3) has 12 values a sample and cannot take the shape (5, -1): its "
          "sizes must divide that."));
}

// Operators name the batch axis; what would change it says what keeps it.
TEST(BuildGraph, ReshapeOfOperatorsKeepsSamplesApart) {
  struct {
    Shape in;
    std::vector<int64_t> target;
    const char* said;
  } const cases[] = {
      {{20, 8},
       {8},
       "The shape (-1, 8) must keep samples apart: an input of shape (None, 20, 8) has 160 values"},
      {{20, 8}, {20, 4}, "multiply to that, as in (-1, 160). Dense and convolutions need no reshape"},
      {{8}, {4}, "has 8 values a sample"},
      {{std::nullopt, 8}, {3, 8}, "has an unknown number of values a sample"},
  };
  for (const auto& c : cases) {
    ModelMaker m(integers(1));
    const int in = m.input(c.in);
    EXPECT_THAT(error_of(m.finish({m.add("r", "keras.ops.reshape", ReshapeOp{c.target}, {in}, {})})),
                HasSubstr(c.said));
  }
  ModelMaker m(integers(1));
  const int in = m.input({20, 8});
  const Graph graph = build(m.finish({m.add("r", "keras.ops.reshape", ReshapeOp{{10, 16}}, {in}, {})}));
  EXPECT_EQ(graph.output_shapes[0].size(), 2U);
}

TEST(BuildGraph, MergesBroadcastAndKeepTheOrder) {
  ModelMaker m(integers(1));
  const int in = m.input({2, 2});
  const int mean = m.add("gap", "GlobalAveragePooling1D", GlobalPoolOp{true, true}, {in}, {});
  const Graph graph = build(m.finish({m.merge("sub", {mean, in}, MergeKind::kSubtract)}));
  EXPECT_THAT(run(graph, {1, 2, 3, 4}, 2), ElementsAre(1, 1, -1, -1));  // (2, 3) - x
  ModelMaker a(integers(1));
  const int x = a.input({2, 2});
  const Graph average = build(a.finish({a.merge("avg", {x, x, x, x}, MergeKind::kAverage)}));
  EXPECT_THAT(run(average, {1, 2, 3, 4}, 2), ElementsAre(1, 2, 3, 4));
}

TEST(BuildGraph, ConcatenatesBothAxes) {
  ModelMaker m(integers(1));
  const int in = m.input({2, 2});
  const int crop = m.add("crop", "Cropping1D", CroppingOp{1, 0}, {in}, {});
  const Graph channels = build(m.finish({m.concatenate("cat", {in, in})}));
  EXPECT_THAT(run(channels, {1, 2, 3, 4}, 2), ElementsAre(1, 2, 1, 2, 3, 4, 3, 4));
  EXPECT_FALSE(channels.pinned_steps[0]);
  ModelMaker s(integers(1));
  const int x = s.input({2, 2});
  const int y = s.add("crop", "Cropping1D", CroppingOp{1, 0}, {x}, {});
  const Graph steps = build(s.finish({s.concatenate("cat", {x, y}, 1)}));
  EXPECT_THAT(run(steps, {1, 2, 3, 4}, 1), ElementsAre(1, 2, 3, 4, 3, 4));
  EXPECT_EQ(steps.pinned_steps[0], 2);
  (void)crop;
}

TEST(BuildGraph, ChannelsFirstConcatenatesOpenSteps) {
  ModelMaker m(integers(1));
  const int in = m.input({2, std::nullopt});
  const Graph graph = build(m.finish({m.concatenate("cat", {in, in}, 1)}));
  EXPECT_THAT(run(graph, {1, 2, 3, 4}, 2), ElementsAre(1, 2, 3, 4, 1, 2, 3, 4));
}

TEST(BuildGraph, StepsThatMustBeEqualAreNoted) {
  ModelMaker m(integers(1));
  const int in = m.input({std::nullopt, 1});
  const int half = m.add("pool", "MaxPooling1D", PoolOp{}, {in}, {});
  const int up = m.add("up", "UpSampling1D", UpSamplingOp{2}, {half}, {});
  const Graph graph = build(m.finish({m.merge("add", {in, up}, MergeKind::kAdd)}));
  ASSERT_EQ(graph.same_steps.size(), 1U);
  EXPECT_EQ(graph.same_steps[0].name, "add");
  EXPECT_THAT(run(graph, {1, 2, 3, 4}, 4), ElementsAre(3, 4, 7, 8));
}

TEST(BuildGraph, PreluAndUnfoldedNormMakeTheirValues) {
  ModelMaker m(integers(3));
  const int in = m.input({2, 2});
  const int prelu = m.add("prelu", "PReLU", PreluOp{}, {in}, {{1, 2}});
  m.model().layers.back().weights[0].data = {2, 3};
  const int norm = m.norm("bn", prelu, 2);
  m.model().layers.back().weights = {{{2}, {2, 1}}, {{2}, {1, 0}}, {{2}, {3, 1}}, {{2}, {1, 1}}};
  std::get<BatchNormOp>(m.model().layers.back().op).epsilon = 0;
  const Graph graph = build(m.finish({norm}));
  EXPECT_THAT(run(graph, {1, 2, -1, -2}, 2), ElementsAre(-3, 1, -9, -7));
}

TEST(BuildGraph, OutputsHaveMemoryOfTheirOwn) {
  ModelMaker m(integers(1));
  const int in = m.input({4, 2});
  const int relu = m.activation("relu", in, make_relu());
  const Graph graph = build(m.finish({in, relu, relu}));
  EXPECT_EQ(graph.ops.size(), 3U);
}

TEST(BuildGraph, ErrorsNameLayerExpectedAndFound) {
  ModelMaker kernel(integers(1));
  EXPECT_EQ(error_of(kernel.finish({kernel.conv("c1", kernel.input({8, 3}), conv_spec(4, 3), 2)})),
            "Layer 'c1' (Conv1D): The kernel must have the shape (3, 3, 4) to fit an input of shape "
            "(None, 8, 3), found (3, 2, 4).");
  ModelMaker norm(integers(1));
  EXPECT_THAT(error_of(norm.finish({norm.norm("bn", norm.input({8, 3}), 4)})),
              HasSubstr("Layer 'bn' (BatchNormalization): The gamma must have the shape (3)"));
  ModelMaker prelu(integers(1));
  EXPECT_THAT(error_of(prelu.finish({prelu.add("p", "PReLU", PreluOp{}, {prelu.input({8, 3})}, {{8, 2}})})),
              HasSubstr("Layer 'p' (PReLU): alpha must have the input's shape (None, 8, 3)"));
  ModelMaker empty(integers(1));
  EXPECT_THAT(error_of(empty.finish({empty.conv("c2", empty.input({2, 3}), conv_spec(4, 3), 3)})),
              HasSubstr("Layer 'c2' (Conv1D): The output would be empty"));
  ModelMaker crop(integers(1));
  EXPECT_THAT(
      error_of(crop.finish({crop.add("cr", "Cropping1D", CroppingOp{1, 1}, {crop.input({2, 3})}, {})})),
      HasSubstr("Layer 'cr' (Cropping1D): The output would be empty"));
  ModelMaker add(integers(1));
  const int in = add.input({8, 3});
  const int c = add.conv("c", in, conv_spec(4, 1), 3);
  EXPECT_THAT(error_of(add.finish({add.merge("sum", {in, c}, MergeKind::kAdd)})),
              HasSubstr("Layer 'sum' (Merge): The inputs must have equal sizes or 1 along each axis, found "
                        "(None, 8, 3) and (None, 8, 4)."));
}

TEST(BuildGraph, ALayerAloneHasArraysWithoutData) {
  LayerSpec spec = conv_spec(4, 3);
  spec.kind = LayerKind::kSeparableConv1D;
  spec.depth_multiplier = 2;
  spec.data_format = DataFormat::kChannelsFirst;
  spec.activation = {ActivationKind::kSoftmax, {-1, 0, 0}};
  Result<Graph> graph = build_graph(spec, 3, Rules::kCommon);
  ASSERT_TRUE(graph) << graph.error().message;
  EXPECT_TRUE(verify_graph(*graph));
  EXPECT_EQ(graph->ops.size(), 3U);
  EXPECT_EQ(graph->arrays[0].shape, (std::vector<int64_t>{3, 1, 6}));
  EXPECT_TRUE(graph->arrays[0].data.empty());
  EXPECT_THAT(print(*graph), HasSubstr("softmax(t2[4, steps - 2])"));
}

// Sizes from files are no numbers to trust.
TEST(BuildGraph, HugeSizesAreErrors) {
  ModelMaker m(integers(1));
  int x = m.input({1024, 4});
  for (int i = 0; i < 8; ++i)
    x = m.add("up" + std::to_string(i), "UpSampling1D", UpSamplingOp{1 << 30}, {x}, {});
  EXPECT_THAT(error_of(m.finish({x})), HasSubstr("Layer 'up0' (UpSampling1D): The output would have"));
  ModelMaker open(integers(1));
  x = open.input({std::nullopt, 4});
  for (int i = 0; i < 8; ++i)
    x = open.add("up" + std::to_string(i), "UpSampling1D", UpSamplingOp{1 << 30}, {x}, {});
  const Graph graph = build(open.finish({x}));
  EXPECT_EQ(evaluate_extents(graph, std::vector<int64_t>{3}).back(), kMaxSteps);
  for (const int64_t padding : {int64_t{-1}, int64_t{1} << 62}) {
    ModelMaker pad(integers(1));
    EXPECT_THAT(error_of(pad.finish(
                    {pad.add("z", "ZeroPadding1D", ZeroPaddingOp{padding, 1}, {pad.input({4, 2})}, {})})),
                HasSubstr("`padding` must be an integer from 0 to"));
  }
}

}  // namespace
}  // namespace convsmith::ir
