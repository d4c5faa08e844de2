// What real Keras accepts, refuses and gives as shapes, case by case.
#include <gtest/gtest.h>

#include <set>

#include "frontend/make_problem.hpp"
#include "frontend/parse_layer.hpp"
#include "golden.hpp"

namespace convsmith {
namespace {

using golden::Json;

Rules rules_of(const Json& row) {
  return row["dialect"] == "keras2" ? Rules::kKeras2 : Rules::kKeras3;
}

// Constructs, builds, calls, calls again and sets weights, as far as the case says.
Result<Shape> run_case(const Json& row, const std::string& text, Rules rules) {
  Result<ParsedLayer> layer = parse_layer(text, rules);
  if (!layer) return tl::unexpected(layer.error());
  if (!row.contains("input_shape") || row["input_shape"].is_null()) return Shape{};
  const Shape input = golden::to_shape(row["input_shape"]);
  Result<Problem> problem = make_problem(layer->spec, input, rules);
  if (!problem) return tl::unexpected(problem.error());
  if (row.contains("second_input_shape")) {
    Result<Shape> second = output_shape(*problem, golden::to_shape(row["second_input_shape"]));
    if (!second) return second;
  }
  if (row.contains("weight_shapes")) {
    const auto shapes = row["weight_shapes"].get<std::vector<std::vector<int64_t>>>();
    std::optional<std::span<const int64_t>> bias;
    if (shapes.size() > 1) bias = shapes[1];
    if (Result<void> done = check_weights(*problem, shapes[0], bias); !done)
      return tl::unexpected(done.error());
  }
  return output_shape(*problem, input);
}

bool is_tensorwise(const Json& row) {
  static const std::set<std::string> kNames{"softmax", "log_softmax", "glu", "sparsemax"};
  const Json& kwargs = row.contains("kwargs") ? row["kwargs"] : row["layer"]["kwargs"];
  return kwargs.contains("activation") && kwargs["activation"].is_string() &&
         kNames.contains(kwargs["activation"].get<std::string>());
}

// Keras constructs these and fails as soon as they are built: the whole case is refused.
bool fails_when_built(const Json& row) {
  const Json& kwargs = row["layer"]["kwargs"];
  return kwargs["kernel_size"] == Json::array({2.5}) ||
         (row["dialect"] == "keras2" && kwargs.contains("groups") && kwargs["groups"] == -1);
}

TEST(KerasGolden, RefusesWhatThatGenerationRefuses) {
  const std::vector<Json> rows = golden::read_lines("errors_conv1d.jsonl");
  ASSERT_EQ(rows.size(), 212U);
  for (const Json& row : rows) {
    const std::string text = golden::call_text(row["layer"]["kwargs"]);
    SCOPED_TRACE(row["id"].get<std::string>() + " " + text + " on " + row["input_shape"].dump() + ": " +
                 row["raises"].dump());
    const Result<Shape> result = run_case(row, text, rules_of(row));
    // Channels first: TensorFlow's CPU kernels lack it, which is no rule of Keras. It is computed here.
    const bool kernel_is_missing = row["raises"] == "UnimplementedError";
    if (!row["raises"].is_null() && !kernel_is_missing) {
      EXPECT_FALSE(result.has_value());
      EXPECT_TRUE(result.has_value() || result.error().message.ends_with("."));
      continue;
    }
    if (is_tensorwise(row)) {
      ASSERT_FALSE(result.has_value());
      EXPECT_EQ(result.error().code, ErrorCode::kUnsupported);
      continue;
    }
    if (row["input_shape"].is_null() && fails_when_built(row)) continue;
    ASSERT_TRUE(result.has_value()) << result.error().message;
    if (row.contains("output_shape") && !row["output_shape"].is_null()) {
      EXPECT_EQ(*result, golden::to_shape(row["output_shape"]));
    }
  }
}

// Common rules accept whatever one generation accepts, with the exceptions that they name.
TEST(KerasGolden, CommonAcceptsTheUnion) {
  const std::set<std::string> exceptions{
      "groups",              // sizes below 1
      "kernel_regularizer",  // unknown names
      "filters",             // non-integers
  };
  for (const Json& row : golden::read_lines("errors_conv1d.jsonl")) {
    const std::string text = golden::call_text(row["layer"]["kwargs"]);
    SCOPED_TRACE(row["id"].get<std::string>() + " " + text + " on " + row["input_shape"].dump());
    if (!row["raises"].is_null() || is_tensorwise(row) || fails_when_built(row)) continue;
    const Result<Shape> result = run_case(row, text, Rules::kCommon);
    if (result) continue;
    const std::string& message = result.error().message;
    bool excepted = message.find("output would be empty") != std::string::npos;
    for (const std::string& name : exceptions) excepted = excepted || message.starts_with("`" + name + "`");
    EXPECT_TRUE(excepted) << message;
  }
}

TEST(KerasGolden, ConfigsAndArgumentsGiveTheOutputShape) {
  const std::vector<Json> rows = golden::read_lines("conv1d.jsonl");
  ASSERT_EQ(rows.size(), 400U);
  for (const Json& row : rows) {
    const Rules rules = row.contains("keras_refuses") ? Rules::kAny : rules_of(row);
    const std::string texts[] = {row["layer"].dump(), row["layer"]["config"].dump(),
                                 golden::python_text(row["layer"]["config"]),
                                 golden::call_text(row["kwargs"])};
    Result<Problem> first;
    for (const std::string& text : texts) {
      SCOPED_TRACE(row["id"].get<std::string>() + " " + text);
      const Result<Shape> result = run_case(row, text, rules);
      if (is_tensorwise(row)) {
        ASSERT_FALSE(result.has_value());
        EXPECT_EQ(result.error().code, ErrorCode::kUnsupported);
        continue;
      }
      ASSERT_TRUE(result.has_value()) << result.error().message;
      EXPECT_EQ(*result, golden::to_shape(row["output_shape"]));
      const ParsedLayer layer = *parse_layer(text, rules);
      const Problem problem = *make_problem(layer.spec, golden::to_shape(row["input_shape"]), rules);
      if (&text == texts) first = problem;
      // Under the rules 'any' call text means Keras 2 where the file says Keras 3.
      if (rules != Rules::kAny) {
        EXPECT_EQ(problem, *first);
      }
      if (text.front() == '{') {
        const bool is_keras3 = row["dialect"] == "keras3";
        EXPECT_EQ(layer.spec.dialect, is_keras3 ? Dialect::kKeras3 : Dialect::kKeras2);
        EXPECT_TRUE(layer.notes.empty()) << layer.notes.front();
      }
    }
  }
}

TEST(KerasGolden, WeightShapesFit) {
  for (const Json& row : golden::read_lines("conv1d.jsonl")) {
    SCOPED_TRACE(row["id"].get<std::string>());
    if (is_tensorwise(row)) continue;
    const ParsedLayer layer = *parse_layer(row["layer"].dump(), Rules::kAny);
    const Problem problem = *make_problem(layer.spec, golden::to_shape(row["input_shape"]), Rules::kAny);
    const auto kernel = row["tensors"]["kernel"]["shape"].get<std::vector<int64_t>>();
    std::vector<int64_t> bias;
    if (problem.has_bias) bias = row["tensors"]["bias"]["shape"].get<std::vector<int64_t>>();
    const auto given = problem.has_bias ? std::optional(std::span<const int64_t>(bias)) : std::nullopt;
    EXPECT_TRUE(check_weights(problem, kernel, given).has_value());
  }
}

}  // namespace
}  // namespace convsmith
