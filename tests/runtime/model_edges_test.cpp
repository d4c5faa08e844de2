// Models at the edges of what a graph can be: outputs that are views, operands in slices, pooling over all
// steps in both layouts, tensors that run empty inside, calls within calls.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "convsmith/model.hpp"
#include "tests/support/model_maker.hpp"

namespace convsmith {
namespace {

using test::integers;
using test::ModelMaker;

LayerSpec conv_spec(int64_t filters, int64_t taps) {
  LayerSpec spec;
  spec.filters = filters;
  spec.kernel_size = taps;
  return spec;
}

CompiledModel compiled(ModelSpec spec) {
  auto model = compile(Model(std::make_shared<const ModelSpec>(std::move(spec))));
  EXPECT_TRUE(model) << (model ? "" : model.error().message);
  return *model;
}

std::vector<float> ramp(size_t size) {
  std::vector<float> values(size);
  for (size_t i = 0; i < size; ++i) values[i] = static_cast<float>(i % 7) - 3.0F;
  return values;
}

std::vector<float> run(const CompiledModel& model, const std::vector<float>& input, int64_t batch,
                       int64_t steps, size_t output, const RunOptions& options = {}) {
  std::vector<std::vector<float>> arrays;
  std::vector<float*> pointers;
  for (const std::vector<int64_t>& shape : model.output_shapes(batch, {&steps, 1})) {
    const int64_t size = std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
    arrays.emplace_back(static_cast<size_t>(size), -7.0F);
  }
  for (std::vector<float>& array : arrays) pointers.push_back(array.data());
  const float* in = input.data();
  EXPECT_EQ(model.run({&in, 1}, pointers, batch, {&steps, 1}, options), RunStatus::kOk);
  return arrays.at(output);
}

TEST(ModelEdges, AnOutputMayBeAView) {
  const auto model = [](bool flat) {
    ModelMaker m(integers(1));
    int x = m.conv("conv", m.input({10, 8}), conv_spec(4, 3), 8);
    if (flat) x = m.add("flatten", "Flatten", FlattenOp{}, {x}, {});
    return compiled(m.finish({x}));
  };
  const std::vector<float> input = ramp(2 * 10 * 8);
  EXPECT_EQ(run(model(true), input, 2, 10, 0), run(model(false), input, 2, 10, 0));
}

// A softmax over all of a sample needs no length: one program suits every one.
TEST(ModelEdges, ASoftmaxOverAllAxesTakesEveryLength) {
  const auto model = [](std::optional<int64_t> steps, std::vector<int64_t> axes) {
    ModelMaker m(integers(1));
    const int x = m.conv("conv", m.input({steps, 3}), conv_spec(3, 1), 3);
    ActivationOp op{{ActivationKind::kSoftmax}, std::move(axes)};
    return compiled(m.finish({m.add("softmax", "Softmax", op, {x}, {})}));
  };
  const CompiledModel open = model(std::nullopt, {1, 2});
  for (const int64_t steps : {1, 2, 7, 40}) {
    const std::vector<float> input = ramp(static_cast<size_t>(2 * steps * 3));
    const std::vector<float> out = run(open, input, 2, steps, 0);
    EXPECT_EQ(out, run(model(steps, {-2, -1}), input, 2, steps, 0));
    const auto half = static_cast<std::ptrdiff_t>(steps * 3);
    EXPECT_NEAR(std::accumulate(out.begin(), out.begin() + half, 0.0), 1, 1e-5);
    EXPECT_NEAR(std::accumulate(out.begin() + half, out.end(), 0.0), 1, 1e-5);
  }
}

// Keras counts `count` among them, which files are read without.
TEST(ModelEdges, ANormalizationHasItsCountAmongItsParameters) {
  ModelMaker m(integers(1));
  const int in = m.input({std::nullopt, 3});
  const int x = m.add("norm", "Normalization", NormalizationOp{{-1}, {}, {}}, {in}, {{3}, {3}});
  const auto summary = Model(std::make_shared<const ModelSpec>(m.finish({x}))).summary();
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->back().parameters, 7);
}

TEST(ModelEdges, TheBatchAxisIsNamedAsWhatItIs) {
  for (const int64_t axis : {int64_t{0}, int64_t{-3}}) {
    ModelMaker m(integers(1));
    const int in = m.input({5, 3});
    const int x = m.concatenate("both", {in, in}, axis);
    const auto model = compile(Model(std::make_shared<const ModelSpec>(m.finish({x}))));
    ASSERT_FALSE(model);
    EXPECT_THAT(model.error().message, testing::HasSubstr("is the batch axis"));
  }
}

// The gate's values are a part of a concatenation that is an output too.
TEST(ModelEdges, AnOperandMayBeASliceWithoutSteps) {
  ModelMaker m(integers(2));
  const int c = m.conv("conv", m.input({std::nullopt, 4}), conv_spec(8, 3), 4);
  const int g =
      m.add("pool", "GlobalAveragePooling1D", GlobalPoolOp{.average = true, .keepdims = true}, {c}, {});
  LayerSpec dense = conv_spec(8, 0);
  dense.kind = LayerKind::kDense;
  const int d = m.dense("d", g, dense, 8);
  dense.filters = 5;
  const int e = m.dense("e", g, dense, 8);
  const int k = m.concatenate("k", {d, e});
  const int y = m.merge("y", {c, d}, MergeKind::kMultiply);
  const CompiledModel model = compiled(m.finish({y, k}));
  const std::vector<float> input = ramp(3 * 9 * 4);
  const std::vector<float> together = run(model, input, 3, 9, 0);
  for (size_t n = 0; n < 3; ++n) {
    const std::vector<float> one(input.begin() + static_cast<std::ptrdiff_t>(n * 36),
                                 input.begin() + static_cast<std::ptrdiff_t>(n * 36 + 36));
    const std::vector<float> alone = run(model, one, 1, 9, 0);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(),
                           together.begin() + static_cast<std::ptrdiff_t>(n * alone.size())))
        << "sample " << n;
  }
}

TEST(ModelEdges, PoolsOverAllStepsInBothLayouts) {
  for (const bool average : {false, true}) {
    for (const bool keepdims : {false, true}) {
      ModelMaker m(integers(3));
      const int x =
          m.add("pool", "GlobalPooling1D", GlobalPoolOp{average, keepdims, DataFormat::kChannelsFirst},
                {m.input({3, std::nullopt})}, {});
      const CompiledModel model = compiled(m.finish({x}));
      const int64_t steps = 4;
      EXPECT_EQ(model.output_shapes(2, {&steps, 1})[0].size(), keepdims ? 3U : 2U);
      std::vector<float> input(24);
      std::iota(input.begin(), input.end(), 0.0F);
      const std::vector<float> largest = {3, 7, 11, 15, 19, 23};
      const std::vector<float> means = {1.5, 5.5, 9.5, 13.5, 17.5, 21.5};
      EXPECT_EQ(run(model, input, 2, steps, 0), average ? means : largest);
    }
  }
}

// A float counts to 2^24 only.
TEST(ModelEdges, AMeanOverManyStepsDividesByAllOfThem) {
  ModelMaker m(integers(3));
  const int x = m.add("pool", "GlobalAveragePooling1D", GlobalPoolOp{.average = true},
                      {m.input({std::nullopt, 1})}, {});
  const CompiledModel model = compiled(m.finish({x}));
  const auto steps = int64_t{1} << 25;
  std::vector<float> input(static_cast<size_t>(steps), 0.0F);
  std::fill_n(input.begin(), steps / 2, 1.0F);
  EXPECT_EQ(run(model, input, 1, steps, 0), std::vector<float>{0.5F});
}

TEST(ModelEdges, WhatRunsEmptyInsideIsSaid) {
  ModelMaker m(integers(4));
  int x = m.conv("conv", m.input({std::nullopt, 1}), conv_spec(2, 5), 1);
  x = m.add("pool", "GlobalMaxPooling1D", GlobalPoolOp{}, {x}, {});
  const CompiledModel model = compiled(m.finish({x}));
  const std::vector<float> input(5, 1.0F);
  std::vector<float> output(2);
  EXPECT_EQ(model.run(input.data(), output.data(), 1, 4), RunStatus::kEmptyOutput);
  EXPECT_EQ(model.run(input.data(), output.data(), 1, 5), RunStatus::kOk);
  EXPECT_EQ(model.run(input.data(), output.data(), 1, (int64_t{1} << 30) + 5), RunStatus::kBadSize);
}

// A pool may let the thread that waits for it run something else: another call of the model.
struct Nested {
  const CompiledModel* model;
  std::vector<float> input = ramp(3000 * 8);
  std::vector<float> output = std::vector<float>(3000 * 4);
  int calls = 0;
};

void run_nested(void* pool, void (*task)(void*, size_t), void* context, size_t count) {
  auto& nested = *static_cast<Nested*>(pool);
  if (nested.calls++ == 0) {
    EXPECT_EQ(nested.model->run(nested.input.data(), nested.output.data(), 1, 3000), RunStatus::kOk);
  }
  for (size_t i = 0; i < count; ++i) task(context, i);
}

TEST(ModelEdges, ACallWithinACallKeepsToItself) {
  ModelMaker m(integers(5));
  LayerSpec spec = conv_spec(16, 3);
  spec.padding = Padding::kSame;
  int x = m.conv("a", m.input({std::nullopt, 8}), spec, 8);
  x = m.conv("b", x, spec, 16);
  spec.filters = 4;
  x = m.conv("c", x, spec, 16);
  const CompiledModel model = compiled(m.finish({x}));
  const std::vector<float> input = ramp(2000 * 8);
  const std::vector<float> expected = run(model, input, 1, 2000, 0);
  Nested nested{&model};
  EXPECT_EQ(run(model, input, 1, 2000, 0, {.parallel = {run_nested, &nested, 4}}), expected);
  EXPECT_GT(nested.calls, 1);
}

TEST(ModelEdges, TooManyRepetitionsNameTheirArgument) {
  const auto refusal = [](ModelSpec spec) {
    const auto model = compile(Model(std::make_shared<const ModelSpec>(std::move(spec))));
    return model ? std::string() : model.error().message;
  };
  const auto repeated = [&](int64_t size) {
    ModelMaker m(integers(1));
    const int in = m.input({std::nullopt, 3});
    return refusal(m.finish({m.add("u", "UpSampling1D", UpSamplingOp{size}, {in}, {})}));
  };
  for (const int64_t size : {1025, 1000003}) {
    EXPECT_THAT(repeated(size), testing::HasSubstr(fmt::format(
                                    "`size` of UpSampling1D may be up to 1024, got {}. Several in a "
                                    "row repeat by the product",
                                    size)));
  }
  EXPECT_EQ(repeated(1024), "");
  LayerSpec transpose = conv_spec(1, 2);
  transpose.strides = 1025;
  ModelMaker m(integers(1));
  const int in = m.input({std::nullopt, 3});
  EXPECT_THAT(refusal(m.finish({m.transposed("u", in, transpose, 3)})),
              testing::HasSubstr("a transposed layer may have `strides` up to 1024, got 1025."));
}

}  // namespace
}  // namespace convsmith
