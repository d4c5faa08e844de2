// What a graph costs and sees, against sums by hand and against what changes when one step of an input does.
#include "ir/graph/graph_work.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "convsmith/activation.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/fold.hpp"
#include "ir/graph/fuse.hpp"
#include "ir/graph/graph_interp.hpp"
#include "tests/support/model_maker.hpp"

namespace convsmith::ir {
namespace {

using test::ModelMaker;
using test::reals;

LayerSpec layer(int64_t filters, int64_t taps, int64_t stride = 1, Padding padding = Padding::kValid,
                int64_t dilation = 1) {
  return {.filters = filters,
          .kernel_size = taps,
          .strides = stride,
          .padding = padding,
          .dilation_rate = dilation};
}

Graph build(const ModelSpec& model) {
  auto graph = build_graph(model);
  EXPECT_TRUE(graph) << graph.error().message;
  return graph ? std::move(*graph) : Graph{};
}

std::vector<float> run(const Graph& graph, const std::vector<float>& x, int64_t steps) {
  return interpret(graph, std::vector<std::vector<float>>{x}, 1, std::vector<int64_t>{steps},
                   [](const Activation&, float v) { return v; })[0];
}

// The most steps of the input, first to last, that one step of the output changes with.
int64_t measured_field(const Graph& graph, int64_t steps) {
  const int64_t channels = graph.tensors[static_cast<size_t>(graph.inputs[0])].channels;
  const std::function<float()> next = reals(1);
  std::vector<float> x(static_cast<size_t>(steps * channels));
  std::generate(x.begin(), x.end(), next);
  const std::vector<float> y = run(graph, x, steps);
  const size_t filters = static_cast<size_t>(graph.tensors[static_cast<size_t>(graph.outputs[0])].channels);
  std::vector<int64_t> first(y.size() / filters, -1);
  std::vector<int64_t> last = first;
  for (int64_t i = 0; i < steps; ++i) {
    std::vector<float> other = x;
    for (int64_t c = 0; c < channels; ++c) other[static_cast<size_t>(i * channels + c)] += 4.0F;
    const std::vector<float> changed = run(graph, other, steps);
    for (size_t k = 0; k < y.size(); ++k) {
      if (changed[k] == y[k]) continue;
      if (first[k / filters] < 0) first[k / filters] = i;
      last[k / filters] = i;
    }
  }
  int64_t most = 0;
  for (size_t k = 0; k < first.size(); ++k)
    if (first[k] >= 0) most = std::max(most, last[k] - first[k] + 1);
  return most;
}

struct Case {
  const char* name;
  std::function<int(ModelMaker&, int)> layers;
  int64_t field;
  double multiply_adds;  // for a step of the input, which has 2 channels
};

const Case kCases[] = {
    {"dilated", [](ModelMaker& m, int x) { return m.conv("a", x, layer(3, 3, 1, Padding::kCausal, 4), 2); },
     9, 18},
    {"strided_twice",
     [](ModelMaker& m, int x) {
       return m.conv("b", m.conv("a", x, layer(4, 5, 2, Padding::kSame), 2), layer(3, 3, 2), 4);
     },
     9, 20 + 9},
    {"stride_wider_than_taps", [](ModelMaker& m, int x) { return m.conv("a", x, layer(1, 2, 5), 2); }, 2,
     0.8},
    {"transposed", [](ModelMaker& m, int x) { return m.transposed("a", x, layer(3, 5, 2), 2); }, 3, 30},
    {"transposed_few_taps", [](ModelMaker& m, int x) { return m.transposed("a", x, layer(3, 2, 4), 2); }, 1,
     12},
    {"transposed_then_conv",
     [](ModelMaker& m, int x) {
       return m.conv("b", m.transposed("a", x, layer(2, 4, 3, Padding::kSame), 2), layer(2, 5), 2);
     },
     3, 16 + 60},
    {"up_sampled",
     [](ModelMaker& m, int x) {
       return m.conv("b", m.add("a", "UpSampling1D", UpSamplingOp{3}, {x}, {}), layer(1, 5), 2);
     },
     3, 30},
    {"pooled",
     [](ModelMaker& m, int x) {
       return m.conv("b", m.add("a", "AveragePooling1D", PoolOp{.average = true}, {x}, {}), layer(1, 3), 2);
     },
     6, 3},
    {"residual",
     [](ModelMaker& m, int x) {
       const int a = m.conv("a", x, layer(2, 3, 1, Padding::kSame), 2);
       const int b = m.conv("b", a, layer(2, 3, 1, Padding::kSame, 2), 2);
       return m.activation("tanh", m.merge("sum", {x, b}, MergeKind::kAdd), {ActivationKind::kTanh, {}});
     },
     7, 24},
    {"branches",
     [](ModelMaker& m, int x) {
       const int a = m.conv("a", x, layer(2, 7, 1, Padding::kSame), 2);
       const int b = m.conv("b", x, layer(1, 5, 1, Padding::kCausal), 2);
       return m.concatenate("both", {a, b});
     },
     8, 28 + 10},
    {"normalised",
     [](ModelMaker& m, int x) {
       return m.conv("b", m.norm("bn", m.conv("a", x, layer(3, 2), 2), 3), layer(1, 4), 3);
     },
     5, 12 + 12},
    {"padded_and_cropped",
     [](ModelMaker& m, int x) {
       const int a = m.add("a", "ZeroPadding1D", ZeroPaddingOp{5, 2}, {x}, {});
       return m.add("c", "Cropping1D", CroppingOp{1, 3}, {m.conv("b", a, layer(1, 4), 2)}, {});
     },
     4, 8},
};

class GraphWork : public testing::TestWithParam<Case> {};

INSTANTIATE_TEST_SUITE_P(Models, GraphWork, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(GraphWork, FieldIsWhatChangesAndWorkIsWhatIsWritten) {
  constexpr int64_t kSteps = 60;
  ModelMaker m(reals(2));
  const int in = m.input({std::nullopt, 2});
  const Graph graph = build(m.finish({GetParam().layers(m, in)}));
  EXPECT_EQ(measured_field(graph, kSteps), GetParam().field);
  EXPECT_EQ(receptive_fields(graph), std::vector(1, std::optional(GetParam().field))) << print(graph);
  EXPECT_DOUBLE_EQ(multiply_adds_per_step(graph), GetParam().multiply_adds);
  const Graph optimized = flatten_elementwise(fuse(fold(graph)));
  EXPECT_EQ(receptive_fields(optimized), receptive_fields(graph)) << print(optimized);
  EXPECT_DOUBLE_EQ(multiply_adds_per_step(optimized), GetParam().multiply_adds);
}

TEST(GraphWork, LargeNetworksByHand) {
  // 1 + 2 * (1 + 2 + ... + 128)
  EXPECT_EQ(receptive_fields(build(test::wavenet(reals(1), 8))), std::vector(1, std::optional<int64_t>(511)));
  // Backwards from one step: 16, 16, 16, 16 (dec3 to dec1), 31, 46, then twice as many and 14 more.
  EXPECT_EQ(receptive_fields(build(test::ecg_denoiser(reals(1)))),
            std::vector(1, std::optional<int64_t>(466)));
  // A mean over all steps.
  EXPECT_EQ(receptive_fields(build(test::inception(reals(1)))), std::vector(1, std::optional<int64_t>()));
}

TEST(GraphWork, MeansAndFixedLengthsSeeAll) {
  ModelMaker m(reals(1));
  const int mean = m.add("gap", "GlobalAveragePooling1D", GlobalPoolOp{.average = true},
                         {m.conv("a", m.input({std::nullopt, 2}), layer(3, 5), 2)}, {});
  EXPECT_EQ(receptive_fields(build(m.finish({mean}))), std::vector(1, std::optional<int64_t>()));

  ModelMaker fixed(reals(1));
  const int flat = fixed.add("flat", "Flatten", FlattenOp{}, {fixed.input({20, 2})}, {});
  const Graph graph = build(fixed.finish({fixed.dense("d", flat, {.filters = 3}, 40)}));
  EXPECT_EQ(receptive_fields(graph), std::vector(1, std::optional<int64_t>(20)));
  EXPECT_DOUBLE_EQ(multiply_adds_per_step(graph), 40 * 3 / 20.0);
}

TEST(GraphWork, EachInputHasItsOwnField) {
  ModelMaker m(reals(1));
  const int a = m.conv("a", m.input({std::nullopt, 2}), layer(2, 9, 1, Padding::kSame), 2);
  const int b = m.input({std::nullopt, 2});
  const Graph graph =
      build(m.finish({m.merge("sum", {a, b}, MergeKind::kAdd), m.conv("c", b, layer(1, 4), 2)}));
  EXPECT_EQ(receptive_fields(graph), (std::vector<std::optional<int64_t>>{9, 4}));
}

}  // namespace
}  // namespace convsmith::ir
