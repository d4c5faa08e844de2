// Golden data of the layers around convolutions, each as a model of its own: activations that are layers,
// those along an axis, and which arguments Keras refuses.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "convsmith/model.hpp"
#include "tests/support/golden_arrays.hpp"
#include "tests/support/one_layer_model.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using golden::Json;

std::vector<float> run(const Model& model, const Place& place, const Json& row,
                       std::span<const float> input) {
  const auto compiled = compile(model, {.backend = place.backend, .isa = place.isa});
  EXPECT_TRUE(compiled) << (compiled ? "" : compiled.error().message);
  if (!compiled) return {};
  const auto shape = row["input_shape"].get<std::vector<int64_t>>();
  const int64_t steps = shape.size() > 2 ? shape[1] : 1;
  const auto out_shape = compiled->output_shapes(shape[0], {&steps, 1});
  EXPECT_EQ(out_shape[0], row["output_shape"].get<std::vector<int64_t>>());
  int64_t size = 1;
  for (const int64_t axis : out_shape[0]) size *= axis;
  std::vector<float> output(static_cast<size_t>(size), -7.0F);
  EXPECT_EQ(compiled->run(input.data(), output.data(), shape[0], steps), RunStatus::kOk);
  return output;
}

// The layer of a row: its own, or Activation with the activation's name; none where a name takes no
// parameters.
std::optional<Json> layer_of(const Json& row) {
  if (row.contains("layer")) return row["layer"];
  const Json& activation = row["activation"];
  static const std::vector<std::string> kAlongAnAxis = {"softmax", "log_softmax", "sparsemax", "glu"};
  const auto name = activation["name"].get<std::string>();
  if (std::find(kAlongAnAxis.begin(), kAlongAnAxis.end(), name) == kAlongAnAxis.end()) return std::nullopt;
  if (row["input_shape"].size() < 2) return std::nullopt;  // a model has a batch axis
  if (!activation["kwargs"].empty() && !(activation["kwargs"] == Json{{"axis", -1}})) {
    if (name != "softmax") return std::nullopt;
    return Json{{"class_name", "Softmax"},
                {"config", {{"name", "softmax"}, {"axis", activation["kwargs"]["axis"]}}}};
  }
  return Json{{"class_name", "Activation"}, {"config", {{"name", "activation"}, {"activation", name}}}};
}

// Keras's own values are rounded too; where it cancels or gives other limits, the exact ones are given.
void expect_values(const Json& row, const golden::Arrays<float>& arrays, const golden::Arrays<double>& truths,
                   std::span<const float> actual) {
  const bool has_truth = row["tensors"].contains("output_f64");
  const std::span<const float> keras = arrays.get(row["tensors"]["output"]);
  ASSERT_EQ(actual.size(), keras.size());
  for (size_t i = 0; i < actual.size(); ++i) {
    const double expected = has_truth ? truths.get(row["tensors"]["output_f64"])[i] : double{keras[i]};
    if (std::isnan(expected) && std::isnan(actual[i])) continue;
    if (double{actual[i]} == expected) continue;
    ASSERT_LE(std::abs(double{actual[i]} - expected), 2e-6 * std::max(1.0, std::abs(expected)))
        << "value " << i;
  }
}

TEST(SmallLayers, GiveKerasValuesAndEqualBitsEverywhere) {
  const golden::Arrays<float> arrays("activations.f32");
  const golden::Arrays<double> truths("activations.f64");
  int layers = 0;
  for (const Json& row : golden::read_lines("activations.jsonl")) {
    const std::optional<Json> layer = layer_of(row);
    if (!layer) continue;
    SCOPED_TRACE(row["id"].get<std::string>() + " " + layer->dump());
    ++layers;
    auto loaded = one_layer_model(*layer, row["input_shape"], row["dialect"] == "keras3");
    ASSERT_TRUE(loaded) << loaded.error().message;
    if (row["tensors"].contains("alpha")) {
      const std::span<const float> alpha = arrays.get(row["tensors"]["alpha"]);
      loaded->spec.layers.back().weights = {
          {row["tensors"]["alpha"]["shape"].get<std::vector<int64_t>>(), {alpha.begin(), alpha.end()}}};
    }
    const Model model(std::make_shared<const ModelSpec>(loaded->spec));
    const std::span<const float> input = arrays.get(row["tensors"]["input"]);
    const std::vector<float> judge = run(model, {Backend::kInterp, Isa::kBaseline}, row, input);
    expect_values(row, arrays, truths, judge);
    for (const Place& place : machine_code_places())
      ASSERT_EQ(bits_of(run(model, place, row, input)), bits_of(judge)) << name_of(place);
  }
  EXPECT_GE(layers, 42);
}

// What a constructor refuses is refused when the model is read or compiled, with the rules of that
// generation.
TEST(SmallLayers, RefuseWhatKerasRefuses) {
  int rows = 0;
  for (const Json& row : golden::read_lines("errors.jsonl")) {
    const auto class_name = row["layer"]["class_name"].get<std::string>();
    if (!class_name.ends_with("Pooling1D") && !class_name.ends_with("Padding1D") &&
        !class_name.ends_with("Cropping1D") && !class_name.ends_with("Sampling1D"))
      continue;
    SCOPED_TRACE(row["id"].get<std::string>() + " " + row["layer"].dump());
    ++rows;
    const bool keras3 = row["dialect"] == "keras3";
    const Rules rules = keras3 ? Rules::kKeras3 : Rules::kKeras2;
    Json layer = {{"class_name", class_name}, {"config", row["layer"]["kwargs"]}};
    layer["config"]["name"] = "layer";
    const Json shape = row["input_shape"].is_null() ? Json{1, 6, 2} : row["input_shape"];
    auto loaded = one_layer_model(layer, shape, keras3, rules);
    std::string message = loaded ? "" : loaded.error().message;
    RunStatus status = RunStatus::kOk;
    if (loaded) {
      const auto compiled = compile(Model(std::make_shared<const ModelSpec>(loaded->spec)), {.rules = rules});
      if (!compiled) message = compiled.error().message;
      const std::vector<float> input(12, 1.0F);
      std::vector<float> output(64);
      if (compiled) status = compiled->run(input.data(), output.data(), 1, 6);
    }
    const bool refused = !message.empty() || status != RunStatus::kOk;
    // A pooling window that finds no room gives no steps in Keras; here it is an empty output. Pooling knows
    // no causal padding, and no size of 0 repeats anything, whatever a constructor lets through.
    const bool useless = !row["raises"].is_null() || row.value("output_shape", Json{}) == Json{1, 0, 2} ||
                         row["layer"]["kwargs"].contains("padding") ||
                         row["layer"]["kwargs"] == Json{{"size", 0}};
    EXPECT_EQ(refused, useless) << message;
  }
  EXPECT_EQ(rows, 20);
}

}  // namespace
}  // namespace convsmith::test
