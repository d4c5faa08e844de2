// Every initializer asks for the numbers that real Keras asks for, and the numbers drawn have that
// distribution; one seed gives one result.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "frontend/keras/keras_objects.hpp"
#include "runtime/objects/draw_weight.hpp"
#include "runtime/objects/initialize_weights.hpp"
#include "runtime/objects/random.hpp"
#include "tests/runtime/keras_object_json.hpp"

namespace convsmith {
namespace {

using golden::Json;

std::vector<int64_t> shape_of(const Json& row) {
  return row["weight_shape"].get<std::vector<int64_t>>();
}

Draw::Kind kind_of(const std::string& name) {
  return name == "uniform"  ? Draw::Kind::kUniform
         : name == "normal" ? Draw::Kind::kNormal
                            : Draw::Kind::kTruncatedNormal;
}

struct Statistics {
  double mean = 0.0, stddev = 0.0, min = 0.0, max = 0.0;
};

Statistics measure(const std::vector<float>& values) {
  const auto count = static_cast<double>(values.size());
  Statistics s;
  for (const float x : values) s.mean += x / count;
  for (const float x : values) s.stddev += (x - s.mean) * (x - s.mean) / count;
  s.stddev = std::sqrt(s.stddev);
  s.min = *std::min_element(values.begin(), values.end());
  s.max = *std::max_element(values.begin(), values.end());
  return s;
}

TEST(Initializers, DrawWhatKerasDraws) {
  int cases = 0;
  for (const Json& row : golden::read_lines("initializers.jsonl")) {
    if (!row.contains("draw")) continue;
    SCOPED_TRACE(row["id"].get<std::string>());
    const Initializer initializer = golden::to_object(row["initializer"]);
    const Fans fans = compute_fans(shape_of(row));
    EXPECT_EQ(fans.in, row["fan_in"].get<double>());
    EXPECT_EQ(fans.out, row["fan_out"].get<double>());
    const Json& wanted = row["draw"];
    const Result<Draw> draw = plan_draw(initializer, "kernel_initializer", shape_of(row));
    ASSERT_TRUE(draw.has_value()) << draw.error().message;
    ASSERT_EQ(draw->kind, kind_of(wanted["kind"].get<std::string>()));
    const bool uniform = draw->kind == Draw::Kind::kUniform;
    EXPECT_FLOAT_EQ(static_cast<float>(draw->a), wanted[uniform ? "minval" : "mean"].get<float>());
    EXPECT_FLOAT_EQ(static_cast<float>(draw->b), wanted[uniform ? "maxval" : "stddev"].get<float>());

    const auto count = row["empirical"]["count"].get<size_t>();
    std::vector<float> values;
    for (uint64_t stream = 0; values.size() < count; ++stream) {
      const Result<Tensor> drawn = draw_weight(initializer, "", shape_of(row), 1, stream);
      ASSERT_TRUE(drawn.has_value());
      values.insert(values.end(), drawn->data.begin(), drawn->data.end());
    }
    const Statistics ours = measure(values);
    const Json& keras = row["empirical"];
    const double deviation = keras["std"].get<double>();
    const double tolerance = 7.0 * deviation / std::sqrt(static_cast<double>(count));
    EXPECT_NEAR(ours.mean, keras["mean"].get<double>(), tolerance);
    EXPECT_NEAR(ours.stddev, deviation, tolerance);
    if (draw->kind != Draw::Kind::kNormal) {
      EXPECT_GE(ours.min, uniform ? static_cast<float>(draw->a) : static_cast<float>(draw->a - 2 * draw->b));
      EXPECT_LE(ours.max, uniform ? static_cast<float>(draw->b) : static_cast<float>(draw->a + 2 * draw->b));
      EXPECT_NEAR(ours.min, keras["min"].get<double>(), 0.1 * deviation);
      EXPECT_NEAR(ours.max, keras["max"].get<double>(), 0.1 * deviation);
    }
    ++cases;
  }
  EXPECT_GT(cases, 100);
}

TEST(Initializers, OrthogonalIsOrthogonal) {
  int cases = 0;
  for (const Json& row : golden::read_lines("initializers.jsonl")) {
    if (!row.contains("gram_max_error")) continue;
    SCOPED_TRACE(row["id"].get<std::string>());
    const Initializer initializer = golden::to_object(row["initializer"]);
    const Result<Tensor> drawn = draw_weight(initializer, "", shape_of(row), 5, 0);
    ASSERT_TRUE(drawn.has_value()) << drawn.error().message;
    const auto columns = static_cast<size_t>(drawn->shape.back());
    const size_t rows = drawn->data.size() / columns;
    const bool tall = rows >= columns;
    const size_t size = tall ? columns : rows;
    ASSERT_EQ(size, row["gram_size"].get<size_t>());
    const double gain = row["initializer"]["config"]["gain"].get<double>();
    double worst = 0.0;
    for (size_t i = 0; i < size; ++i) {
      for (size_t j = 0; j < size; ++j) {
        double sum = i == j ? -gain * gain : 0.0;
        for (size_t k = 0; k < (tall ? rows : columns); ++k) {
          const size_t a = tall ? k * columns + i : i * columns + k;
          const size_t b = tall ? k * columns + j : j * columns + k;
          sum += static_cast<double>(drawn->data[a]) * static_cast<double>(drawn->data[b]);
        }
        worst = std::max(worst, std::fabs(sum));
      }
    }
    EXPECT_LT(worst, 3e-7 * gain * gain);
    ++cases;
  }
  EXPECT_EQ(cases, 16);
}

TEST(Initializers, ConstantsAreKeras) {
  const golden::Arrays<float> arrays("initializers.f32");
  int cases = 0;
  for (const Json& row : golden::read_lines("initializers.jsonl")) {
    if (!row.contains("tensors")) continue;
    SCOPED_TRACE(row["id"].get<std::string>());
    BindContext context;
    Initializer initializer = golden::to_object(row["initializer"]);
    Value name;
    name.kind = Value::Kind::kName;
    name.text = initializer.class_name;
    const auto found = bind_keras_object(context, ObjectRole::kInitializer, "", name);
    ASSERT_TRUE(found.has_value());
    initializer.class_name = (*found)->class_name;
    const Tensor wanted = golden::to_tensor(arrays, row["tensors"]["weight"]);
    // Keras 3 forgets to save the gain.
    const bool forgets_gain = initializer.class_name == "Identity" && row["initializer"]["config"].empty();
    if (forgets_gain) initializer.params = {{"gain", double{wanted.data[0]}}};
    const Result<Tensor> drawn = draw_weight(initializer, "", shape_of(row), 0, 0);
    ASSERT_TRUE(drawn.has_value()) << drawn.error().message;
    EXPECT_EQ(*drawn, wanted);
    ++cases;
  }
  EXPECT_EQ(cases, 20);
}

TEST(Initializers, NamesAreKeras) {
  int cases = 0;
  for (const Json& row : golden::read_lines("initializers.jsonl")) {
    if (!row.contains("name")) continue;
    const bool keras3 = row["dialect"] == "keras3";
    std::vector<std::string> notes;
    const BindContext context{.rules = keras3 ? Rules::kKeras3 : Rules::kKeras2,
                              .dialect = keras3 ? Dialect::kKeras3 : Dialect::kKeras2,
                              .notes = &notes};
    Value name;
    name.kind = Value::Kind::kString;
    name.text = row["name"].get<std::string>();
    const auto found = bind_keras_object(context, ObjectRole::kInitializer, "kernel_initializer", name);
    const Json resolved = found ? Json((*found)->class_name) : Json();
    EXPECT_EQ(resolved, row["resolves_to"]) << row["id"];
    ++cases;
  }
  EXPECT_GT(cases, 40);
}

// Literals: a machine or compiler that gives others has broken the promise of one seed, one result.
TEST(Random, IsTheSameEverywhere) {
  Random random(42);
  EXPECT_EQ(random.bits(), 0xC5A57E8172F0A9D2);
  EXPECT_EQ(random.unit(), 0x1.86cf9453c00bep-2);
  EXPECT_EQ(random.normal(), 0x1.950b60bc8eae5p+0);
  uint64_t hash = 0;
  for (int i = 0; i < 100000; ++i) {
    hash = hash * 31 + static_cast<uint64_t>(static_cast<int64_t>(random.normal() * 0x1p40));
  }
  EXPECT_EQ(hash, 0x1E8BE592CCB5F650);
}

TEST(Initializers, SeedsDecide) {
  const LayerSpec spec{
      .filters = 4, .kernel_size = 3, .kernel_initializer = {"HeNormal"}, .bias_initializer = {"HeNormal"}};
  const auto first = initialize_weights(spec, 2, 7);
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(*first, *initialize_weights(spec, 2, 7));
  EXPECT_NE(*first, *initialize_weights(spec, 2, 8));
  EXPECT_NE((*first)[0].data[0], (*first)[1].data[0]);
  LayerSpec seeded = spec;
  seeded.kernel_initializer.params = {{"seed", int64_t{3}}};
  EXPECT_EQ((*initialize_weights(seeded, 2, 7))[0], (*initialize_weights(seeded, 2, 8))[0]);
  EXPECT_NE((*initialize_weights(seeded, 2, 7))[1], (*initialize_weights(seeded, 2, 8))[1]);
}

TEST(Initializers, AllKindsHaveTheirWeights) {
  auto describe = [](const LayerSpec& spec) {
    const auto weights = initialize_weights(spec, 6, 0);
    std::string out;
    for (size_t i = 0; i < weights->size(); ++i) {
      out += std::string(weight_roles(spec)[i].name) + " " + testing::PrintToString((*weights)[i].shape);
    }
    return out;
  };
  EXPECT_EQ(describe({.filters = 4, .kernel_size = 3, .groups = 2}), "kernel { 3, 3, 4 }bias { 4 }");
  EXPECT_EQ(describe({.kind = LayerKind::kConv1DTranspose, .filters = 4, .kernel_size = 3}),
            "kernel { 3, 4, 6 }bias { 4 }");
  EXPECT_EQ(describe({.kind = LayerKind::kDepthwiseConv1D, .kernel_size = 3, .depth_multiplier = 2}),
            "depthwise { 3, 6, 2 }bias { 12 }");
  EXPECT_EQ(
      describe({.kind = LayerKind::kSeparableConv1D, .filters = 4, .kernel_size = 3, .depth_multiplier = 2}),
      "depthwise { 3, 6, 2 }pointwise { 1, 12, 4 }bias { 4 }");
  EXPECT_EQ(describe({.kind = LayerKind::kDense, .filters = 4, .use_bias = false}), "kernel { 6, 4 }");
}

TEST(Initializers, Mistakes) {
  auto message = [](const Initializer& initializer, const std::vector<int64_t>& shape) {
    const Result<Tensor> drawn = draw_weight(initializer, "kernel_initializer", shape, 0, 0);
    return drawn ? std::string("drawn") : drawn.error().message;
  };
  EXPECT_EQ(message({"Identity"}, {3, 2, 2}),
            "`kernel_initializer`: Identity makes matrices only, but the weight has the shape (3, 2, 2).");
  EXPECT_EQ(message({"Orthogonal"}, {5}),
            "`kernel_initializer`: Orthogonal needs a weight of at least two axes and of a size that can be "
            "orthogonalized in minutes, but its shape is (5).");
  EXPECT_THAT(message({"Orthogonal"}, {40000, 40000}), testing::HasSubstr("orthogonalized in minutes"));
  EXPECT_EQ(message({"STFT"}, {3, 2, 2}),
            "`kernel_initializer` is STFT, which is not drawn; give the weights themselves.");
  EXPECT_EQ(message({"Xavier"}, {3, 2, 2}),
            "`kernel_initializer`: unknown initializer 'Xavier'. Xavier's are 'glorot_uniform' and "
            "'glorot_normal' here.");
  EXPECT_EQ(message({"RandomNormal", {{"mean", std::string("0")}}}, {2}),
            "`kernel_initializer`: mean of RandomNormal cannot be '0'.");
  EXPECT_THAT(message({"Zeros"}, {int64_t{1} << 31, int64_t{1} << 31}), testing::HasSubstr("elements."));
  EXPECT_EQ(message({"VarianceScaling", {{"scale", -1.0}}}, {2, 2}),
            "`kernel_initializer`: scale of VarianceScaling must be above 0, got -1.");
  EXPECT_EQ(message({"RandomUniform"}, {3, 0}), "drawn");
}

}  // namespace
}  // namespace convsmith
