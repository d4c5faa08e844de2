// The values that real Keras gives, from the text that Keras writes to memory that a caller reads, in
// every place and with several threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <thread>

#include "convsmith/activation.hpp"
#include "convsmith/convsmith.hpp"
#include "tests/support/golden_arrays.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using golden::Json;

struct Group {
  const char* name;
  size_t rows;
};
constexpr Group kGroups[] = {{"conv1d", 400},
                             {"conv1d_transpose", 300},
                             {"depthwise_conv1d", 100},
                             {"separable_conv1d", 100},
                             {"dense", 30}};

struct Case {
  std::string id;
  std::string text;
  Rules rules;
  Shape input_shape;
  Shape output_shape;
  int64_t batch = 1;
  int64_t steps = 1;
  bool exact = false;
  std::map<std::string, std::span<const float>> weights;  // by Keras's name
  std::span<const float> input, output;
};

using Spans = std::vector<std::span<const float>>;

Case make_case(const Json& row, const golden::Arrays<float>& arrays) {
  Case c;
  c.id = row["id"];
  c.text = row["layer"].dump();
  const Rules dialect = row["dialect"] == "keras2" ? Rules::kKeras2 : Rules::kKeras3;
  c.rules = row.contains("keras_refuses") ? Rules::kAny : dialect;
  c.input_shape = golden::to_shape(row["input_shape"]);
  c.output_shape = golden::to_shape(row["output_shape"]);
  const size_t rank = c.input_shape.size();
  const Json& config = row["layer"]["config"];
  if (row["layer"]["class_name"] == "Dense") {
    for (size_t axis = 0; axis + 1 < rank; ++axis) c.batch *= *c.input_shape[axis];
  } else {
    for (size_t axis = 0; axis + 2 < rank; ++axis) c.batch *= *c.input_shape[axis];
    c.steps = *c.input_shape[config["data_format"] == "channels_first" ? rank - 1 : rank - 2];
  }
  c.exact = row["exact"];
  for (const auto& [name, tensor] : row["tensors"].items()) c.weights[name] = arrays.get(tensor);
  c.input = c.weights.at("input");
  c.output = c.weights.at("output");
  return c;
}

std::vector<Case> cases_of(const Group& group) {
  static std::map<std::string, golden::Arrays<float>> files;
  const std::string name = group.name;
  const auto& arrays = files.try_emplace(name, name + ".f32").first->second;
  std::vector<Case> cases;
  for (const Json& row : golden::read_lines(name + ".jsonl")) cases.push_back(make_case(row, arrays));
  return cases;
}

Spans weights_of(const Case& c, const CompiledLayer& layer) {
  Spans weights;
  for (const WeightShape& weight : layer.weight_shapes()) weights.push_back(c.weights.at(weight.name));
  return weights;
}

Result<CompiledLayer> compile_at(Engine& engine, const Case& c, const Place& place) {
  return engine.compile(
      c.text, {.backend = place.backend, .isa = place.isa, .rules = c.rules, .input_shape = c.input_shape});
}

// Keras's own sums are rounded too, in another order: what the two generations of Keras keep between
// each other holds for us.
bool close(float actual, float expected) {
  if (std::isnan(expected)) return std::isnan(actual);
  if (std::isinf(expected)) return actual == expected;
  return std::abs(actual - expected) <= 2e-5F * std::max(1.0F, std::abs(expected));
}

void expect_keras_values(const Case& c, std::span<const float> actual) {
  ASSERT_EQ(actual.size(), c.output.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    const bool right = c.exact ? actual[i] == c.output[i] : close(actual[i], c.output[i]);
    ASSERT_TRUE(right) << "output " << i << " is " << actual[i] << ", Keras gives " << c.output[i];
  }
}

// So many copies of the batch that three threads have work.
int64_t copies_for_threads(const Case& c, const CompiledLayer& layer) {
  const auto work = static_cast<double>(c.output.size()) *
                    static_cast<double>(weights_of(c, layer)[0].size()) /
                    static_cast<double>(*c.output_shape[c.output_shape.size() - 1]);
  return std::clamp<int64_t>(static_cast<int64_t>(7e5 / std::max(work, 1.0)) + 1, 3, 4096);
}

std::vector<float> repeat(std::span<const float> values, int64_t copies) {
  std::vector<float> out;
  out.reserve(values.size() * static_cast<size_t>(copies));
  for (int64_t i = 0; i < copies; ++i) out.insert(out.end(), values.begin(), values.end());
  return out;
}

// All tasks on one thread, last first: shows what the split computes without waiting for
// processors. The built-in pool has a test below.
void run_in_reverse(void*, void (*task)(void*, size_t), void* context, size_t count) {
  while (count > 0) task(context, --count);
}

void expect_same_bits_on_threads(const Case& c, const CompiledLayer& layer, const PackedWeights& weights,
                                 const std::vector<uint32_t>& bits, const ParallelFor& parallel) {
  const int64_t copies = copies_for_threads(c, layer);
  const std::vector<float> input = repeat(c.input, copies);
  std::vector<float> output(c.output.size() * static_cast<size_t>(copies), -7.0F);
  ASSERT_EQ(
      layer.run(weights, input.data(), output.data(), c.batch * copies, c.steps, {.parallel = parallel}),
      RunStatus::kOk);
  const std::vector<uint32_t> all = bits_of(output);
  for (auto copy = all.begin(); copy != all.end(); copy += static_cast<std::ptrdiff_t>(bits.size())) {
    ASSERT_TRUE(std::equal(bits.begin(), bits.end(), copy)) << parallel.threads << " threads";
  }
}

// One row in one place; the interpreter is the judge of bits.
void check_case(const Case& c, const Place& place, Engine& engine, std::span<const ParallelFor> pools) {
  const auto layer = compile_at(engine, c, place);
  ASSERT_TRUE(layer.has_value()) << layer.error().message;
  ASSERT_EQ(layer->backend(), place.backend);
  ASSERT_EQ(layer->isa(), place.isa);
  ASSERT_EQ(layer->output_shape(c.input_shape), c.output_shape);
  const auto weights = layer->pack(weights_of(c, *layer));
  ASSERT_TRUE(weights.has_value()) << weights.error().message;
  std::vector<float> output(c.output.size(), -7.0F);
  ASSERT_EQ(layer->run(*weights, c.input.data(), output.data(), c.batch, c.steps), RunStatus::kOk);
  expect_keras_values(c, output);
  const std::vector<uint32_t> bits = bits_of(output);
  const auto judge = compile_at(engine, c, {Backend::kInterp, Isa::kBaseline});
  ASSERT_TRUE(judge.has_value());
  std::vector<float> expected(output.size(), -7.0F);
  ASSERT_EQ(
      judge->run(*judge->pack(weights_of(c, *judge)), c.input.data(), expected.data(), c.batch, c.steps),
      RunStatus::kOk);
  ASSERT_EQ(bits, bits_of(expected));
  // The interpreter is slow, and the split does not depend on the back end.
  if (place.backend == Backend::kInterp || output.empty()) return;
  for (const ParallelFor& pool : pools) expect_same_bits_on_threads(c, *layer, *weights, bits, pool);
}

class GoldenTest : public testing::TestWithParam<std::tuple<Place, Group>> {};
INSTANTIATE_TEST_SUITE_P(Places, GoldenTest,
                         testing::Combine(testing::ValuesIn(all_places()), testing::ValuesIn(kGroups)),
                         [](const auto& info) {
                           return name_of(std::get<0>(info.param)) + "_" + std::get<1>(info.param).name;
                         });

TEST(GoldenPlaces, LlvmIsAmongThem) {
  if (!llvm_is_built()) GTEST_SKIP() << "This build has no LLVM back end.";
  EXPECT_FALSE(places_of(Backend::kLlvm).empty());
}

TEST_P(GoldenTest, EveryRowGivesKerasValuesAndEqualBits) {
  const auto& [place, group] = GetParam();
  const std::vector<Case> cases = cases_of(group);
  ASSERT_EQ(cases.size(), group.rows);
  Engine engine;
  const ParallelFor pools[] = {{run_in_reverse, nullptr, 2}, {run_in_reverse, nullptr, 3}};
  const Place& where = place;
  const auto check_every_second = [&](size_t first) {
    for (size_t i = first; i < cases.size(); i += 2) {
      SCOPED_TRACE(cases[i].id + " " + cases[i].text);
      check_case(cases[i], where, engine, pools);
    }
  };
  std::thread other(check_every_second, 1);
  check_every_second(0);
  other.join();
}

TEST(GoldenThreads, TheBuiltInPoolGivesTheSameBits) {
  Engine engine;
  const ThreadPool two(2);
  const ThreadPool three(3);
  const ParallelFor pools[] = {two.parallel_for(), three.parallel_for()};
  const std::vector<Place> places = places_of(Backend::kXbyak);
  if (places.empty()) GTEST_SKIP() << "This CPU runs no code of the Xbyak back end.";
  // Its threads wait for work busily, which takes long where tests share processors: every eighth row.
  const std::vector<Case> cases = cases_of(kGroups[0]);
  for (size_t i = 0; i < cases.size(); i += 8) {
    SCOPED_TRACE(cases[i].id + " " + cases[i].text);
    check_case(cases[i], places.back(), engine, pools);
  }
}

bool is_elementwise(const Json& row) {
  static const std::set<std::string> kTensorwise{"softmax", "log_softmax", "glu", "sparsemax"};
  return row.contains("activation") && !kTensorwise.contains(row["activation"]["name"].get<std::string>());
}

// The layer that applies the activation of a row and nothing else.
std::string activation_layer(const Json& row) {
  const std::string package = row["dialect"] == "keras2" ? "tf_keras" : "keras3";
  const Json& activation = row["activation"];
  const auto name = activation["name"].get<std::string>();
  std::string value = "'" + name + "'";
  if (!activation["kwargs"].empty()) {
    value = "lambda x: " + package + ".activations." + name + "(x";
    for (const auto& [key, parameter] : activation["kwargs"].items()) {
      value += ", " + key + "=" + golden::python_text(parameter);
    }
    value += ")";
  }
  return package + ".layers.Conv1D(1, 1, use_bias=False, input_shape=(None, 1), activation=" + value + ")";
}

std::vector<float> run_identity(const CompiledLayer& layer, std::span<const float> input) {
  const float one = 1.0F;
  std::vector<float> output(input.size(), -7.0F);
  const auto status = layer.run(*layer.pack({&one, 1}, {}), input.data(), output.data(), 1,
                                static_cast<int64_t>(input.size()));
  EXPECT_EQ(status, RunStatus::kOk);
  return output;
}

TEST(GoldenActivations, EveryPlaceGivesEqualBits) {
  const golden::Arrays<float> arrays("activations.f32");
  const golden::Arrays<double> truths("activations.f64");
  Engine engine;
  size_t rows = 0;
  for (const Json& row : golden::read_lines("activations.jsonl")) {
    if (!is_elementwise(row)) continue;
    ++rows;
    const std::string text = activation_layer(row);
    SCOPED_TRACE(row["id"].get<std::string>() + " " + text);
    const std::span<const float> input = arrays.get(row["tensors"]["input"]);
    const std::span<const double> truth = truths.get(row["tensors"]["output_f64"]);
    std::vector<uint32_t> expected;
    for (const Place& place : all_places()) {
      SCOPED_TRACE(name_of(place));
      const auto layer = engine.compile(text, {.backend = place.backend, .isa = place.isa});
      ASSERT_TRUE(layer.has_value()) << layer.error().message;
      const std::vector<float> output = run_identity(*layer, input);
      if (expected.empty()) expected = bits_of(output);
      ASSERT_EQ(bits_of(output), expected);
      // Accuracy has a test of its own; this one finds the wrong function.
      for (size_t i = 0; i < output.size(); ++i) {
        const auto x = static_cast<double>(output[i]);
        if (!std::isfinite(truth[i]) || std::abs(truth[i]) > 1e38) continue;
        ASSERT_NEAR(x, truth[i], 1e-6 * std::max(1.0, std::abs(truth[i]))) << "input " << input[i];
      }
    }
  }
  EXPECT_EQ(rows, 61U);
}

}  // namespace
}  // namespace convsmith::test
