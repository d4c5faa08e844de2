// turn: which channels-first problems are computed channels last, that transposes meet and cancel, and that
// no bit changes.
#include "ir/graph/turn.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "convsmith/activation.hpp"
#include "ir/graph/graph_builder.hpp"
#include "ir/graph/graph_interp.hpp"
#include "tests/support/model_maker.hpp"

namespace convsmith::ir {
namespace {

Problem conv(int64_t channels, int64_t filters, int64_t taps) {
  Problem p;
  p.channels = channels;
  p.filters = filters;
  p.taps = taps;
  p.layout = Layout::kChannelsFirst;
  p.pad_same = true;
  return p;
}

Problem depthwise(int64_t channels, int64_t taps) {
  Problem p = conv(channels, channels, taps);
  p.groups = channels;
  return p;
}

Problem strided(Problem p, int64_t stride) {
  p.stride = stride;
  return p;
}

// A graph of channels-first operations, one behind the other unless said otherwise.
class Chain {
 public:
  explicit Chain(int64_t channels) : builder_("chain") {
    builder_.enter("layer", "Layer");
    values_.push_back(*builder_.add_input({channels, std::nullopt}, 1));
  }

  Chain& add(const Problem& p) {
    const std::vector<int64_t> kernel{p.taps, p.group_channels(), p.filters};
    const Extras extras{.kernel = array(kernel), .bias = array({p.filters})};
    values_.push_back(builder_.as_value(*builder_.add_problem(p, values_.back().tensor, extras)));
    return *this;
  }
  Chain& relu() {
    Problem p = copy();
    p.activation.kind = ActivationKind::kRelu;
    values_.push_back(*builder_.add_elementwise(p, values_.back()));
    return *this;
  }
  Chain& max_pool() {
    Problem p = copy();
    p.reduce = Reduce::kMax;
    p.taps = p.stride = 2;
    values_.push_back(builder_.as_value(*builder_.add_problem(p, values_.back().tensor)));
    return *this;
  }
  // Adds the result of the operation `back` before the last one.
  Chain& add_earlier(size_t back) {
    Problem p = copy();
    p.combine = Combine::kAdd;
    const int operand = values_[values_.size() - 1 - back].tensor;
    values_.push_back(*builder_.add_elementwise(p, values_.back(), {.operand = operand}));
    return *this;
  }
  Graph finish() { return *builder_.finish({values_.back()}); }

 private:
  Problem copy() const {
    return copy_problem(builder_.tensor(values_.back().tensor).channels, Layout::kChannelsFirst);
  }
  int array(std::vector<int64_t> shape) {
    size_t size = 1;
    for (const int64_t axis : shape) size *= static_cast<size_t>(axis);
    Array array{"array", std::move(shape), {}};
    for (size_t i = 0; i < size; ++i) array.data.push_back(next_());
    return builder_.add_array(std::move(array));
  }

  GraphBuilder builder_;
  std::vector<Value> values_;
  std::function<float()> next_ = test::reals(3);
};

int count(const Graph& graph, const std::function<bool(const Op&)>& is_counted) {
  return static_cast<int>(std::count_if(graph.ops.begin(), graph.ops.end(), is_counted));
}
int transposes(const Graph& graph) {
  return count(graph, [](const Op& op) { return op.kind == OpKind::kTranspose; });
}
int channels_first(const Graph& graph) {
  return count(graph, [](const Op& op) {
    return op.kind == OpKind::kNest && op.problem.layout == Layout::kChannelsFirst;
  });
}

std::vector<float> run(const Graph& graph) {
  constexpr int64_t kSamples = 2;
  constexpr int64_t kSteps = 21;
  const auto next = test::reals(5);
  std::vector<float> input;
  const int64_t channels = graph.tensors[static_cast<size_t>(graph.inputs[0])].channels;
  for (int64_t i = 0; i < kSamples * kSteps * channels; ++i) input.push_back(next());
  const auto relu = [](const Activation& a, float x) {
    return a.kind == ActivationKind::kRelu && !(x > 0) ? 0.0F : x;
  };
  const std::vector<std::vector<float>> inputs{input};
  return interpret(graph, inputs, kSamples, std::vector{kSteps}, relu)[0];
}

void expect_turned(Chain& chain, int expected_transposes, int expected_channels_first) {
  const Graph graph = chain.finish();
  const Graph turned = turn(graph);
  const Result<void> verified = verify_graph(turned);
  ASSERT_TRUE(verified.has_value()) << verified.error().message << "\n" << print(turned);
  EXPECT_EQ(transposes(turned), expected_transposes) << print(turned);
  EXPECT_EQ(channels_first(turned), expected_channels_first) << print(turned);
  EXPECT_EQ(run(graph), run(turned));
}

TEST(Turn, WideLayersAreTurned) {
  EXPECT_TRUE(prefers_channels_last(conv(64, 64, 3)));
  EXPECT_TRUE(prefers_channels_last(conv(128, 16, 8)));
  EXPECT_TRUE(prefers_channels_last(depthwise(64, 31)));
}

TEST(Turn, NarrowAndShortOnesAreNot) {
  EXPECT_FALSE(prefers_channels_last(conv(64, 8, 9)));
  EXPECT_FALSE(prefers_channels_last(conv(128, 32, 1)));
  EXPECT_FALSE(prefers_channels_last(depthwise(64, 3)));
  Problem grouped = conv(256, 256, 41);
  grouped.groups = 64;
  EXPECT_FALSE(prefers_channels_last(grouped));
}

TEST(Turn, AStrideAsksForLess) {
  const Problem p = conv(16, 24, 9);
  EXPECT_FALSE(prefers_channels_last(strided(conv(64, 24, 3), 2)));
  EXPECT_TRUE(prefers_channels_last(strided(p, 2)));
  EXPECT_TRUE(prefers_channels_last(strided(conv(1, 1, 8), 2)));
  EXPECT_FALSE(prefers_channels_last(strided(conv(1, 512, 10), 5)));
}

TEST(Turn, TransposedLayersAlwaysAre) {
  Problem p = conv(2, 2, 4);
  p.pad_same = false;
  p.transposed = true;
  EXPECT_TRUE(prefers_channels_last(p));
}

TEST(Turn, StandsBetweenTwoTransposes) {
  expect_turned(Chain(64).add(conv(64, 64, 3)), 2, 0);
}

TEST(Turn, LeavesOthersAsTheyAre) {
  expect_turned(Chain(64).add(conv(64, 8, 9)).relu(), 0, 2);
}

TEST(Turn, TransposesThatMeetCancel) {
  expect_turned(Chain(32).add(conv(32, 64, 5)).relu().max_pool().add(conv(64, 64, 3)), 2, 0);
}

TEST(Turn, OperandsAreTurnedOnce) {
  // The input is operand and input: one transpose serves both.
  expect_turned(Chain(64).add(conv(64, 64, 3)).add_earlier(1), 2, 0);
}

TEST(Turn, WhatReadsBothWaysKeepsOneTranspose) {
  // The narrow layer reads channels first, the residual addition channels last.
  expect_turned(Chain(64).add(conv(64, 64, 3)).relu().add(conv(64, 8, 1)), 2, 1);
}

TEST(Turn, OneChannelIsTheSameMemory) {
  expect_turned(Chain(1).add(strided(conv(1, 32, 60), 2)), 1, 0);
  expect_turned(Chain(1).add(strided(conv(1, 1, 9), 2)), 0, 0);
}

}  // namespace
}  // namespace convsmith::ir
