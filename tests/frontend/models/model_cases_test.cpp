// Small models of real Keras that hold operators, scaling layers, softmaxes over several axes, and weights in
// unusual orders: Keras's values and equal bits everywhere, or a sentence. data/model_ops/make_cases.py made
// them.
#include <gtest/gtest.h>

#include "frontend/models/load_model.hpp"
#include "tests/support/model_runs.hpp"
#include "tests/support/places.hpp"

namespace convsmith::test {
namespace {

using golden::Json;
using namespace model_runs;

std::string path_of(const std::string& file) {
  return places::test_data("model_ops/" + file);
}

Result<LoadedModel> load(const Json& item) {
  if (item.contains("json")) return load_model_bytes(item["json"].dump(), "model.json");
  const Json& files = item["files"];
  return load_model(path_of(files[0]), {.weights_path = files.size() > 1 ? path_of(files[1]) : ""});
}

Result<CompiledModel> compiled(const Json& item) {
  Result<LoadedModel> loaded = load(item);
  if (!loaded) return tl::unexpected(loaded.error());
  return compile_at(Model(std::make_shared<const ModelSpec>(std::move(loaded->spec))),
                    {Backend::kInterp, Isa::kBaseline});
}

class ModelCase : public testing::TestWithParam<Json> {};
INSTANTIATE_TEST_SUITE_P(Models, ModelCase, testing::ValuesIn(golden::read_lines("model_ops/cases.jsonl")),
                         [](const auto& info) {
                           std::string name = info.param["name"].template get<std::string>();
                           std::replace(name.begin(), name.end(), '.', '_');
                           return name;
                         });

TEST_P(ModelCase, GivesKerasValuesAndEqualBitsOrASentence) {
  const Json& item = GetParam();
  const Result<CompiledModel> judge = compiled(item);
  if (item.contains("error")) {
    ASSERT_FALSE(judge);
    for (const Json& part : item["error"])
      EXPECT_NE(judge.error().message.find(part.get<std::string>()), std::string::npos)
          << judge.error().message;
    return;
  }
  ASSERT_TRUE(judge) << judge.error().message;
  const golden::Arrays<float> blob("model_ops/cases.f32");
  const Json call{{"tensors", item}};
  const Arrays input = arrays_of(call, blob, "input");
  const Arrays output = run(*judge, input, true);
  expect_close(output, arrays_of(call, blob, "output"), 3e-6);
  const Model model(std::make_shared<const ModelSpec>(std::move(load(item)->spec)));
  expect_equal_bits(model, {input}, {output});
}

// A scale and a shift go into the convolution before or behind, a shift not across padding.
TEST(ModelCases, ScalingIsFolded) {
  for (const auto& [padding, passes] : {std::pair("valid", 1), {"same", 2}, {"causal", 2}}) {
    SCOPED_TRACE(padding);
    const auto model = load_model(ModelFile{path_of(std::string("scaled_") + padding + ".keras")});
    ASSERT_TRUE(model) << model.error().message;
    const auto compiled = compile(*model);
    ASSERT_TRUE(compiled) << compiled.error().message;
    EXPECT_EQ(compiled->passes(), passes) << compiled->plan();
  }
}

// What the names say wins, and a disagreement is said.
TEST(ModelCases, NotesSayWhatTheOrderWas) {
  const auto notes = [](const std::string& file, const std::string& weights = {}) {
    const auto model = load_model(path_of(file), {.weights_path = weights.empty() ? "" : path_of(weights)});
    EXPECT_TRUE(model) << model.error().message;
    std::string out;
    for (const std::string& note : model->notes) out += note;
    return out;
  };
  EXPECT_EQ(notes("twins.h5"), "");
  EXPECT_EQ(notes("last_free_k2.h5"), "");
  EXPECT_NE(notes("thawed.json", "thawed_weights.h5").find("taken by their names"), std::string::npos);
  EXPECT_NE(notes("renamed.json", "renamed_weights.h5").find("other layers' names"), std::string::npos);
}

}  // namespace
}  // namespace convsmith::test
