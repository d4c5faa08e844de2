// Which lengths a model takes, and the sentences about those that it does not.
#include "ir/graph/fitting_steps.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/graph/build_graph.hpp"
#include "tests/support/model_maker.hpp"

namespace convsmith::ir {
namespace {

using test::integers;
using test::ModelMaker;
using ::testing::HasSubstr;

LayerSpec conv_spec(int64_t taps, int64_t stride = 1, int64_t dilation = 1) {
  LayerSpec spec;
  spec.filters = 1;
  spec.kernel_size = taps;
  spec.strides = stride;
  spec.dilation_rate = dilation;
  return spec;
}

std::string why(const Graph& graph, std::vector<int64_t> steps) {
  return why_not(graph, steps);
}

// x and what is left of it after `depth` poolings by `stride` and as many repetitions.
Graph unet(int64_t stride, int depth) {
  ModelMaker m(integers(1));
  const int in = m.input({std::nullopt, 1});
  int x = in;
  for (int i = 0; i < depth; ++i)
    x = m.add("down" + std::to_string(i), "MaxPooling1D", PoolOp{.pool_size = stride, .strides = stride}, {x},
              {});
  for (int i = 0; i < depth; ++i)
    x = m.add("up" + std::to_string(i), "UpSampling1D", UpSamplingOp{stride}, {x}, {});
  return build_graph(m.finish({m.merge("skip", {in, x}, MergeKind::kAdd)})).value();
}

TEST(FittingSteps, SkipsThatDoNotMeetNameTheLayerAndWhatFits) {
  const Graph graph = unet(4, 1);
  EXPECT_EQ(why(graph, {1000}), "");
  EXPECT_EQ(
      why(graph, {1001}),
      "Layer 'skip' combines tensors that must have as many steps, and of 1001 input steps they have 1001 "
      "and 1000; the nearest that fit are 1000 and 1004.");
  EXPECT_THAT(why(unet(3, 3), {100}), HasSubstr("they have 100 and 81; the nearest that fit are 81 and 108"));
  EXPECT_THAT(why(unet(16, 3), {5000}), HasSubstr("the nearest that fit are 4096 and 8192"));
  EXPECT_EQ(nearest_fit(graph, 1001), 1000);
  EXPECT_EQ(nearest_fit(graph, 1003), 1004);
  EXPECT_EQ(nearest_fit(graph, 1004), 1004);
  EXPECT_EQ(nearest_fit(unet(16, 3), 3), 4096);
}

TEST(FittingSteps, TooFewNameTheLayerAndTheLeast) {
  ModelMaker m(integers(2));
  int x = m.conv("first", m.input({std::nullopt, 1}), conv_spec(5), 1);
  x = m.conv("second", x, conv_spec(3, 1, 8), 1);
  const Graph graph = build_graph(m.finish({x})).value();
  EXPECT_EQ(why(graph, {21}), "");
  EXPECT_EQ(why(graph, {20}),
            "Layer 'second' looks at 17 steps, and 16 arrive there, of 20 input steps; the nearest that fits "
            "is 21.");
  EXPECT_THAT(why(graph, {3}), HasSubstr("Layer 'first' looks at 5 steps, and 3 arrive there"));
  EXPECT_EQ(why(graph, {0}), "") << "nothing is asked for";
  EXPECT_EQ(nearest_fit(graph, 7), 21);
}

TEST(FittingSteps, ALayerThatFixesThemIsNamed) {
  ModelMaker m(integers(3));
  int x = m.conv("conv", m.input({12, 1}), conv_spec(3), 1);
  x = m.add("flat", "Flatten", FlattenOp{}, {x}, {});
  const Graph graph = build_graph(m.finish({x})).value();
  EXPECT_EQ(why(graph, {12}), "");
  EXPECT_THAT(why(graph, {13}), HasSubstr("Layer 'flat' fixes the number of steps"));
  EXPECT_THAT(why(graph, {13}), HasSubstr("must have 12, and has 13"));
}

TEST(FittingSteps, InputsThatDifferAreListed) {
  ModelMaker m(integers(4));
  const int a = m.input({std::nullopt, 1});
  const int b = m.input({std::nullopt, 1});
  const int half = m.add("half", "MaxPooling1D", PoolOp{.pool_size = 2, .strides = 2}, {a}, {});
  const Graph graph = build_graph(m.finish({m.merge("sum", {half, b}, MergeKind::kAdd)})).value();
  EXPECT_EQ(why(graph, {20, 10}), "");
  const std::string sentence = why(graph, {20, 12});
  EXPECT_THAT(sentence, HasSubstr("Layer 'sum'"));
  EXPECT_THAT(sentence, HasSubstr("20 ("));
  EXPECT_THAT(sentence, HasSubstr("12 ("));
  EXPECT_THAT(sentence, HasSubstr("beside the others the nearest that fits is 10"));
}

}  // namespace
}  // namespace convsmith::ir
