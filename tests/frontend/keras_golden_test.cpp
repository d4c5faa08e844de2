// What real Keras accepts, refuses and gives as shapes, case by case, for every kind of layer.
#include <gtest/gtest.h>

#include <set>

#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/keras/weight_shapes.hpp"
#include "golden.hpp"

namespace convsmith {
namespace {

using golden::Json;

Rules rules_of(const Json& row) {
  return row["dialect"] == "keras2" ? Rules::kKeras2 : Rules::kKeras3;
}

int64_t channels_of(const LayerProblem& layer) {
  return layer.chain.front().channels;
}

// Constructs, builds, calls, calls again and sets weights, as far as the case says.
Result<Shape> run_case(const Json& row, const std::string& text, Rules rules) {
  Result<ParsedLayer> layer = parse_layer(text, rules);
  if (!layer) return tl::unexpected(layer.error());
  if (!row.contains("input_shape") || row["input_shape"].is_null()) return Shape{};
  const Shape input = golden::to_shape(row["input_shape"]);
  Result<LayerProblem> problem = make_layer_problem(layer->spec, input, rules);
  if (!problem) return tl::unexpected(problem.error());
  if (row.contains("second_input_shape")) {
    Result<Shape> second = output_shape(*problem, golden::to_shape(row["second_input_shape"]));
    if (!second) return second;
  }
  if (row.contains("weight_shapes")) {
    const auto shapes = row["weight_shapes"].get<std::vector<std::vector<int64_t>>>();
    if (Result<void> done = check_weights(layer->spec, channels_of(*problem), shapes); !done)
      return tl::unexpected(done.error());
  }
  return output_shape(*problem, input);
}

// The cases of this family; those of pooling and padding layers belong to the readers of models.
std::vector<Json> error_cases() {
  static const std::set<std::string> kFamily{"Conv1D", "Conv1DTranspose", "DepthwiseConv1D",
                                             "SeparableConv1D", "Dense"};
  std::vector<Json> rows;
  for (Json& row : golden::read_lines("errors.jsonl")) {
    if (kFamily.contains(row["layer"]["class_name"].get<std::string>())) rows.push_back(std::move(row));
  }
  return rows;
}

std::string text_of(const Json& row) {
  return golden::call_text(row["layer"]["class_name"], row["layer"]["kwargs"]);
}

// Keras constructs these and fails as soon as they are built or called, or makes a layer without any output:
// the whole case is refused.
bool fails_when_built(const Json& row) {
  if (!row["input_shape"].is_null()) return false;
  const Json& kwargs = row["layer"]["kwargs"];
  if (kwargs.contains("kernel_size") && kwargs["kernel_size"] == Json::array({2.5})) return true;
  if (row["dialect"] != "keras2") return false;
  const bool causal = kwargs.contains("padding") && kwargs["padding"] == "causal";
  if (causal && row["layer"]["class_name"] == "Conv1DTranspose") return true;
  return (kwargs.contains("groups") && kwargs["groups"] == -1) ||
         (kwargs.contains("depth_multiplier") && kwargs["depth_multiplier"] <= 0) ||
         (kwargs.contains("units") && kwargs["units"] == 0);
}

// TensorFlow's CPU kernels lack channels_first and dilated transposed convolutions, which is no rule of
// Keras. They are computed here.
bool kernel_is_missing(const Json& row) {
  const Json& kwargs = row["layer"]["kwargs"];
  const bool transposed = row["layer"]["class_name"] == "Conv1DTranspose" && row["phase"] == "call" &&
                          row["raises"] == "InvalidArgumentError";
  return row["raises"] == "UnimplementedError" ||
         (transposed && (kwargs.contains("dilation_rate") || kwargs.contains("data_format")));
}

TEST(KerasGolden, RefusesWhatThatGenerationRefuses) {
  const std::vector<Json> rows = error_cases();
  ASSERT_EQ(rows.size(), 302U);
  int accepted = 0;
  for (const Json& row : rows) {
    const std::string text = text_of(row);
    SCOPED_TRACE(row["id"].get<std::string>() + " " + text + " on " + row["input_shape"].dump() + ": " +
                 row["raises"].dump());
    const Result<Shape> result = run_case(row, text, rules_of(row));
    if ((!row["raises"].is_null() && !kernel_is_missing(row)) || fails_when_built(row)) {
      EXPECT_FALSE(result.has_value());
      const std::string message = result.has_value() ? "." : result.error().message;
      EXPECT_TRUE(message.ends_with(".") || message.ends_with("?")) << message;
      continue;
    }
    ASSERT_TRUE(result.has_value()) << result.error().message;
    ++accepted;
    if (row.contains("output_shape") && !row["output_shape"].is_null()) {
      EXPECT_EQ(*result, golden::to_shape(row["output_shape"]));
    }
  }
  EXPECT_EQ(accepted, 108);
}

// Common rules accept whatever one generation accepts, with the exceptions that they name.
TEST(KerasGolden, CommonAcceptsTheUnion) {
  const std::set<std::string> exceptions{
      "groups",              // sizes below 1
      "kernel_regularizer",  // unknown names
      "filters",             // non-integers
  };
  for (const Json& row : error_cases()) {
    const std::string text = text_of(row);
    SCOPED_TRACE(row["id"].get<std::string>() + " " + text + " on " + row["input_shape"].dump());
    if (!row["raises"].is_null() || fails_when_built(row)) continue;
    const Result<Shape> result = run_case(row, text, Rules::kCommon);
    if (result) continue;
    const std::string& message = result.error().message;
    bool excepted = message.find("output would be empty") != std::string::npos;
    for (const std::string& name : exceptions) excepted = excepted || message.starts_with("`" + name + "`");
    EXPECT_TRUE(excepted) << message;
  }
}

struct Group {
  const char* name;
  std::size_t rows;
};

class GoldenLayers : public testing::TestWithParam<Group> {};

INSTANTIATE_TEST_SUITE_P(Kinds, GoldenLayers,
                         testing::Values(Group{"conv1d", 400}, Group{"conv1d_transpose", 300},
                                         Group{"depthwise_conv1d", 100}, Group{"separable_conv1d", 100},
                                         Group{"dense", 30}),
                         [](const auto& info) { return std::string(info.param.name); });

TEST_P(GoldenLayers, ConfigsAndArgumentsGiveTheOutputShape) {
  const std::vector<Json> rows = golden::read_lines(std::string(GetParam().name) + ".jsonl");
  ASSERT_EQ(rows.size(), GetParam().rows);
  for (const Json& row : rows) {
    const Rules rules = row.contains("keras_refuses") ? Rules::kAny : rules_of(row);
    const std::string texts[] = {row["layer"].dump(), row["layer"]["config"].dump(),
                                 golden::python_text(row["layer"]["config"]),
                                 golden::call_text(row["layer"]["class_name"], row["kwargs"])};
    std::optional<LayerProblem> first;
    for (const std::string& text : texts) {
      SCOPED_TRACE(row["id"].get<std::string>() + " " + text);
      const Result<Shape> result = run_case(row, text, rules);
      ASSERT_TRUE(result.has_value()) << result.error().message;
      EXPECT_EQ(*result, golden::to_shape(row["output_shape"]));
      const ParsedLayer layer = *parse_layer(text, rules);
      const LayerProblem problem =
          *make_layer_problem(layer.spec, golden::to_shape(row["input_shape"]), rules);
      if (!first) first = problem;
      // Under the rules 'any' call text means Keras 2 where the file says Keras 3.
      if (rules != Rules::kAny) {
        EXPECT_EQ(problem.kind, first->kind);
        EXPECT_EQ(problem.chain, first->chain);
        EXPECT_EQ(problem.row, first->row);
      }
      if (text.front() == '{') {
        const bool is_keras3 = row["dialect"] == "keras3";
        EXPECT_EQ(layer.spec.dialect, is_keras3 ? Dialect::kKeras3 : Dialect::kKeras2);
        EXPECT_TRUE(layer.notes.empty()) << layer.notes.front();
      }
    }
  }
}

TEST_P(GoldenLayers, WeightsAreThoseOfKeras) {
  for (const Json& row : golden::read_lines(std::string(GetParam().name) + ".jsonl")) {
    SCOPED_TRACE(row["id"].get<std::string>());
    const ParsedLayer layer = *parse_layer(row["layer"].dump(), Rules::kAny);
    const Shape input = golden::to_shape(row["input_shape"]);
    const LayerProblem problem = *make_layer_problem(layer.spec, input, Rules::kAny);
    std::vector<WeightShape> expected;
    for (const auto& [name, tensor] : row["tensors"].items()) {
      if (name == "input" || name == "output") continue;
      expected.push_back({name, tensor["shape"].get<std::vector<int64_t>>()});
    }
    EXPECT_EQ(weight_shapes(layer.spec, channels_of(problem)), expected);
    std::vector<std::vector<int64_t>> shapes;
    for (const WeightShape& weight : expected) shapes.push_back(weight.shape);
    EXPECT_TRUE(check_weights(layer.spec, channels_of(problem), shapes).has_value());
  }
}

}  // namespace
}  // namespace convsmith
