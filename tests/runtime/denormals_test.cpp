// Denormals, kept and flushed: values against a reference that flushes by itself, equal bits from every back
// end and number of threads, in every interface, and the caller's control word as it was.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "codegen/control_word.hpp"
#include "convsmith/layers.hpp"
#include "convsmith/model.hpp"
#include "runtime/model.hpp"
#include "runtime/objects/draw_weight.hpp"
#include "tests/support/c_api.hpp"
#include "tests/support/model_maker.hpp"
#include "tests/support/own_threads.hpp"
#include "tests/support/places.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

constexpr float kSmallest = 0x1p-126F;  // normal

bool is_denormal(float x) {
  return x != 0 && std::fabs(x) < kSmallest;
}

bool has_denormals(const std::vector<float>& values) {
  return std::any_of(values.begin(), values.end(), is_denormal);
}

std::vector<float> tiny_numbers(size_t count, uint32_t seed) {
  std::vector<float> values = numbers(count, seed);
  for (size_t i = 0; i < count; ++i) values[i] = std::ldexp(values[i], -118 - static_cast<int>(i * 7 % 27));
  return values;
}

float flushed(float x) {
  return is_denormal(x) ? std::copysign(0.0F, x) : x;
}

// What a CPU that flushes gives, of numbers below 2^50 computed where nothing is denormal: what the exact sum
// is rounded to, or zero where that is below the smallest normal number.
float flushing_fma(float x, float w, float sum) {
  const float scaled = std::fma(flushed(x) * 0x1p32F, flushed(w) * 0x1p32F, flushed(sum) * 0x1p64F);
  return std::fabs(scaled) < 0x1p-62F ? std::copysign(0.0F, scaled) : scaled * 0x1p-64F;
}

struct Sizes {
  int64_t taps, channels, filters, steps;
};

// Conv1D without bias, from its definition.
std::vector<float> reference(const Sizes& s, const std::vector<float>& in, const std::vector<float>& kernel,
                             bool flush) {
  std::vector<float> out;
  for (int64_t o = 0; o + s.taps <= s.steps; ++o) {
    for (int64_t f = 0; f < s.filters; ++f) {
      float sum = 0;
      for (int64_t k = 0; k < s.taps; ++k) {
        for (int64_t c = 0; c < s.channels; ++c) {
          const float x = in[static_cast<size_t>((o + k) * s.channels + c)];
          const float w = kernel[static_cast<size_t>((k * s.channels + c) * s.filters + f)];
          sum = flush ? flushing_fma(x, w, sum) : std::fma(x, w, sum);
        }
      }
      out.push_back(sum);
    }
  }
  return out;
}

std::string conv_text(const Sizes& s, const char* more = "") {
  return "Conv1D(" + std::to_string(s.filters) + ", " + std::to_string(s.taps) +
         ", use_bias=False, input_shape=(None, " + std::to_string(s.channels) + ")" + more + ")";
}

class DenormalsTest : public testing::TestWithParam<Place> {};
INSTANTIATE_TEST_SUITE_P(Places, DenormalsTest, testing::ValuesIn(all_places()),
                         [](const auto& info) { return name_of(info.param); });

// Lanes over filters, over steps, lifted, one channel.
constexpr Sizes kSizes[] = {
    {3, 16, 16, 3001}, {5, 3, 1, 4000}, {1, 40, 33, 700}, {31, 1, 1, 9000}, {3, 7, 12, 65}};

TEST_P(DenormalsTest, ValuesAreThoseOfTheReference) {
  for (const Sizes& s : kSizes) {
    SCOPED_TRACE(conv_text(s));
    const auto layer = compile(conv_text(s), {.backend = GetParam().backend, .isa = GetParam().isa});
    ASSERT_TRUE(layer) << layer.error().message;
    const std::vector<float> kernel = numbers(static_cast<size_t>(s.taps * s.channels * s.filters), 3);
    const std::vector<float> in = tiny_numbers(static_cast<size_t>(s.steps * s.channels), 4);
    const auto weights = layer->pack(kernel, {});
    ASSERT_TRUE(weights) << weights.error().message;
    for (const Denormals denormals : {Denormals::kKeep, Denormals::kFlush}) {
      const bool flush = denormals == Denormals::kFlush;
      const std::vector<float> expected = reference(s, in, kernel, flush);
      EXPECT_EQ(has_denormals(expected), !flush);
      const auto expect = [&](const ParallelFor& parallel) {
        std::vector<float> out(expected.size(), -7.0F);
        const int64_t before = control_word();
        EXPECT_EQ(layer->run(*weights, in.data(), out.data(), 1, s.steps,
                             {.parallel = parallel, .denormals = denormals}),
                  RunStatus::kOk);
        if (flush) {
          EXPECT_EQ(control_word(), before);
        }
        EXPECT_EQ(bits_of(out), bits_of(expected)) << (flush ? "flush, " : "keep, ") << parallel.threads;
      };
      expect({});
      const ThreadPool pool(2);
      expect(pool.parallel_for());
      for (const int threads : {2, 3, 7}) {
        OwnThreads own;
        expect(own.parallel_for(threads));
        EXPECT_TRUE(own.control_word_kept);
      }
    }
  }
}

// A result is flushed where it is below the smallest normal number after rounding, as x86 has it: the first
// product has 24 bits and is below, the second one rounds up to 2^-126.
TEST_P(DenormalsTest, TheEdgeIsLookedAtAfterRounding) {
  const auto layer = compile("Conv1D(1, 1, use_bias=False, input_shape=(None, 1))",
                             {.backend = GetParam().backend, .isa = GetParam().isa});
  ASSERT_TRUE(layer) << layer.error().message;
  const auto weights = layer->pack(std::vector<float>{0x1.fffffep-1F}, {});
  const std::vector<float> in = {0x1p-126F, 0x1.000002p-126F, -0x1p-126F, 0x1p-125F};
  std::vector<float> out(4);
  layer->run(*weights, in.data(), out.data(), 1, 4, {.denormals = Denormals::kFlush});
  EXPECT_EQ(bits_of(out), bits_of(std::vector<float>{0.0F, 0x1p-126F, -0.0F, 0x1.fffffep-126F}));
}

// A caller that flushes by itself, as audio hosts do, gets with Denormals::kKeep what Denormals::kFlush
// gives.
TEST_P(DenormalsTest, WithKeepTheCallersModeHoldsInEveryWorker) {
  const Sizes s = kSizes[0];
  const auto layer =
      compile(conv_text(s, ", activation='relu'"), {.backend = GetParam().backend, .isa = GetParam().isa});
  ASSERT_TRUE(layer) << layer.error().message;
  const std::vector<float> in = tiny_numbers(static_cast<size_t>(s.steps * s.channels), 4);
  const auto weights = layer->pack(numbers(static_cast<size_t>(s.taps * s.channels * s.filters), 3), {});
  const auto run = [&](const RunOptions& options) {
    std::vector<float> out(static_cast<size_t>((s.steps - s.taps + 1) * s.filters));
    EXPECT_EQ(layer->run(*weights, in.data(), out.data(), 1, s.steps, options), RunStatus::kOk);
    return out;
  };
  const std::vector<float> flushed_by_us = run({.denormals = Denormals::kFlush});
  EXPECT_TRUE(has_denormals(run({})));
  EXPECT_FALSE(has_denormals(flushed_by_us));
  const ThreadPool pool(2);
  OwnThreads own;
  {
    const ScopedControlWord callers(control_word() | kFlushBits);
    for (const ParallelFor& parallel : {ParallelFor{}, pool.parallel_for(), own.parallel_for(3)})
      EXPECT_EQ(bits_of(run({.parallel = parallel})), bits_of(flushed_by_us)) << parallel.threads;
    EXPECT_EQ(control_word() & kFlushBits, kFlushBits);
  }
  EXPECT_TRUE(own.control_word_kept);
  EXPECT_GT(own.tasks, 1U);
  // The threads of the pool have forgotten it.
  EXPECT_TRUE(has_denormals(run({.parallel = pool.parallel_for()})));
}

TEST(Denormals, ACallThatFailsLeavesTheControlWord) {
  const auto layer = compile("Conv1D(3, 4, input_shape=(None, 2))");
  ASSERT_TRUE(layer) << layer.error().message;
  const auto weights = layer->pack(std::vector<float>(24, 1.0F), std::vector<float>(3, 0.0F));
  float x[64] = {};
  const int64_t before = control_word();
  const RunOptions flush{.denormals = Denormals::kFlush};
  EXPECT_EQ(layer->run({}, x, x, 1, 8, flush), RunStatus::kNullPointer);
  EXPECT_EQ(layer->run(*weights, nullptr, x, 1, 8, flush), RunStatus::kNullPointer);
  EXPECT_EQ(layer->run(*weights, x, x, -1, 8, flush), RunStatus::kBadSize);
  EXPECT_EQ(layer->run(*weights, x, x, 1, 3, flush), RunStatus::kEmptyOutput);
  EXPECT_EQ(control_word(), before);
}

// Networks with activations, sums, pooling and softmax: one answer from every back end, with any threads.
TEST(Denormals, ModelsFlushToTheSameBitsEverywhere) {
  for (const char* name : {"wavenet_clipper", "inception_gunpoint"}) {
    SCOPED_TRACE(name);
    const auto model = load_model({places::test_data("models/" + std::string(name) + "/model.keras")});
    ASSERT_TRUE(model) << model.error().message;
    for (const Denormals denormals : {Denormals::kKeep, Denormals::kFlush}) {
      std::vector<uint32_t> expected;
      for (const Place& place : all_places()) {
        SCOPED_TRACE(name_of(place));
        const auto compiled = compile(*model, {.backend = place.backend, .isa = place.isa});
        ASSERT_TRUE(compiled) << compiled.error().message;
        const int64_t steps = compiled->fixed_steps()[0].value_or(150);
        const std::vector<float> in =
            tiny_numbers(static_cast<size_t>(steps * *compiled->input_shapes()[0].back()), 6);
        int64_t floats = 1;
        const auto shapes = compiled->output_shapes(1, {&steps, 1});
        for (const int64_t axis : shapes[0]) floats *= axis;
        std::vector<float> out(static_cast<size_t>(floats));
        const int64_t before = control_word();
        OwnThreads own;
        for (const ParallelFor& parallel : {ParallelFor{}, own.parallel_for(3)}) {
          ASSERT_EQ(
              compiled->run(in.data(), out.data(), 1, steps, {.parallel = parallel, .denormals = denormals}),
              RunStatus::kOk);
          if (expected.empty()) expected = bits_of(out);
          EXPECT_TRUE(bits_of(out) == expected);
        }
        if (denormals == Denormals::kFlush) {
          EXPECT_EQ(control_word(), before);
          EXPECT_FALSE(has_denormals(out));
        }
      }
    }
  }
}

// Weights that are folded or drawn do not depend on the modes of the thread that compiles.
TEST(Denormals, WhatIsMadeOnceIsMadeInTheUsualModes) {
  // A norm whose products all vanish would not be folded.
  ModelMaker maker([made = 0]() mutable { return made++ == 1 ? 1.0F : 1e-20F; });
  const int in = maker.input({std::nullopt, 2});
  const int conv = maker.conv("conv", in, {.filters = 3, .kernel_size = 2}, 2);
  const ModelSpec spec = maker.finish({maker.norm("norm", conv, 3)});
  const auto folded = [&] {
    const auto graph = optimized_graph(spec, Rules::kCommon);
    std::vector<std::vector<uint32_t>> arrays;
    for (const ir::Array& array : graph->arrays) arrays.push_back(bits_of(array.data));
    return arrays;
  };
  const Initializer tiny = initializers::random_uniform(-1e-38, 1e-38);
  const auto drawn = [&] { return draw_weight(tiny, "kernel_initializer", {3, 4, 5}, 7, 0)->data; };
  const auto usual = folded();
  EXPECT_TRUE(std::any_of(usual.begin(), usual.end(), [](const std::vector<uint32_t>& array) {
    return is_denormal(std::bit_cast<float>(array[0]));
  }));
  const std::vector<float> usually_drawn = drawn();
  EXPECT_TRUE(has_denormals(usually_drawn));
  const ScopedControlWord callers(Denormals::kFlush);
  EXPECT_EQ(folded(), usual);
  EXPECT_EQ(bits_of(drawn()), bits_of(usually_drawn));
}

TEST(Denormals, LayerObjectsTakeTheOption) {
  const Tensor input{{1, 2, 4}, {1e-40F, -1e-40F, 0x1p-126F, 1, 1e-39F, 2, 0, -1e-38F}};
  // Of the family, another one, and a layer with an activity regularizer in a Sequential.
  layers::DepthwiseConv1D family(1,
                                 {.use_bias = false, .depthwise_initializer = initializers::constant(0.5)});
  layers::LeakyReLU other(0.5);
  layers::Sequential regularized(
      {layers::DepthwiseConv1D(1, {.use_bias = false,
                                   .depthwise_initializer = initializers::constant(0.5),
                                   .activity_regularizer = "l2"})});
  const auto expect = [&](const Result<Tensor>& output, const std::vector<uint32_t>& bits) {
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_EQ(bits_of(output->data), bits);
  };
  // Sums begin with +0, so that a zero has no sign.
  const std::vector<uint32_t> sums = bits_of(std::vector<float>{0, 0, 0, 0.5F, 0, 1, 0, 0});
  expect(family(input, Denormals::kFlush), sums);
  expect(regularized(input, Denormals::kFlush), sums);
  EXPECT_TRUE(has_denormals(family(input)->data));
  EXPECT_TRUE(has_denormals(regularized(input)->data));
  EXPECT_TRUE(has_denormals(other(input)->data));
  EXPECT_FALSE(has_denormals(other(input, Denormals::kFlush)->data));
}

TEST(Denormals, TheCInterfaceTakesTheOption) {
  const OwnModel model = compile_c("Conv1D(2, 1, use_bias=False, input_shape=(None, 1))");
  const float kernel[] = {0.5F, 1.0F};
  const float* const arrays[] = {kernel};
  const size_t size = 2;
  convsmith_weights* made = nullptr;
  ASSERT_EQ(convsmith_pack(model.get(), arrays, &size, 1, &made), CONVSMITH_OK);
  const OwnWeights weights(made);
  const float in[] = {1e-40F, -3.0F};
  const auto run = [&](convsmith_run_options options, convsmith_status wanted = CONVSMITH_OK) {
    std::vector<float> out(4, 7.0F);
    const int64_t before = control_word();
    EXPECT_EQ(convsmith_run(model.get(), weights.get(), in, out.data(), 1, 2, &options), wanted);
    if (options.denormals != CONVSMITH_DENORMALS_KEEP) {
      EXPECT_EQ(control_word(), before);
    }
    return out;
  };
  auto options = sized<convsmith_run_options>();
  const std::vector<float> kept = {0.5F * in[0], in[0], -1.5F, -3.0F};
  EXPECT_EQ(run(options), kept);
  options.denormals = CONVSMITH_DENORMALS_FLUSH;
  EXPECT_EQ(run(options), (std::vector<float>{0, 0, -1.5F, -3.0F}));
  // A program that was compiled before there was such a member.
  options.struct_size = offsetof(convsmith_run_options, denormals);
  EXPECT_EQ(run(options), kept);
  options.struct_size = sizeof options;
  for (const int32_t wrong : {-1, 2, 77}) {
    options.denormals = wrong;
    run(options, CONVSMITH_INVALID_ARGUMENT);
    EXPECT_EQ(convsmith_last_error(), "denormals of convsmith_run_options is " + std::to_string(wrong) +
                                          "; it must be 0 (CONVSMITH_DENORMALS_KEEP) or 1 "
                                          "(CONVSMITH_DENORMALS_FLUSH).");
  }
}

}  // namespace
}  // namespace convsmith::test
