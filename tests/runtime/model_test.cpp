// Whole networks that real Keras saved, from every file format, give Keras's values and equal bits
// everywhere.
#include "convsmith/model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <filesystem>
#include <set>

#include "tests/support/model_runs.hpp"
#include "tests/support/places.hpp"

namespace convsmith::test {
namespace {

using golden::Json;
using namespace model_runs;

std::string data_path(const std::string& name) {
  return places::test_data("models/" + name);
}

struct Net {
  std::string name;
  std::vector<ModelFile> files;
  std::vector<Json> calls;
};

std::vector<Net> oracle_nets() {
  std::vector<Net> nets;
  for (const auto& entry : std::filesystem::directory_iterator(data_path(""))) {
    if (!std::filesystem::exists(entry.path() / "io.jsonl")) continue;
    Net net{.name = entry.path().filename(), .files = {}, .calls = {}};
    const std::string folder = entry.path();
    const std::string weights = net.name.ends_with("_k2") ? "/weights_only.h5" : "/model.weights.h5";
    net.files = {
        {folder + "/model.keras"}, {folder + "/model.h5"}, {folder + "/model.json", folder + weights}};
    net.calls = golden::read_lines("models/" + net.name + "/io.jsonl");
    nets.push_back(std::move(net));
  }
  std::sort(nets.begin(), nets.end(), [](const Net& a, const Net& b) { return a.name < b.name; });
  return nets;
}

class OracleNet : public testing::TestWithParam<Net> {};
INSTANTIATE_TEST_SUITE_P(Models, OracleNet, testing::ValuesIn(oracle_nets()),
                         [](const auto& info) { return info.param.name; });

TEST(Models, AllOracleNetsAreThere) {
  EXPECT_EQ(oracle_nets().size(), 30U);
}

TEST_P(OracleNet, GivesKerasValuesAndEqualBits) {
  const Net& net = GetParam();
  const golden::Arrays<float> blob("models/" + net.name + "/io.f32");
  for (const ModelFile& file : net.files) {
    SCOPED_TRACE(file.path);
    const auto model = load_model(file);
    ASSERT_TRUE(model) << model.error().message;
    const auto judge = compile_at(*model, {Backend::kInterp, Isa::kBaseline});
    ASSERT_TRUE(judge) << judge.error().message;
    std::vector<Arrays> inputs;
    std::vector<Arrays> outputs;
    for (const Json& call : net.calls) {
      inputs.push_back(arrays_of(call, blob, "input"));
      outputs.push_back(run(*judge, inputs.back(), true));
      expect_close(outputs.back(), arrays_of(call, blob, "output"), call["exact"].get<bool>() ? 0 : 2e-5);
    }
    if (&file == &net.files.front()) expect_equal_bits(*model, inputs, outputs);
  }
}

std::vector<float> read_floats(const std::string& name) {
  const golden::Arrays<float> arrays("models/" + name);
  return {arrays.all().begin(), arrays.all().end()};
}

class TrainedNet : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, TrainedNet,
                         testing::Values("ecg_denoiser", "inception_gunpoint", "wavenet_clipper"));

TEST_P(TrainedNet, GivesKerasValuesFromBothFormats) {
  const std::string folder = GetParam();
  Arrays inputs{{}, {read_floats(folder + "/input.f32")}};
  Arrays expected{{}, {read_floats(folder + "/expected.f32")}};
  const bool classifies = folder == "inception_gunpoint";
  const auto samples = static_cast<int64_t>(inputs.data[0].size());
  inputs.shapes.push_back(classifies ? std::vector<int64_t>{samples / 150, 150, 1}
                                     : std::vector<int64_t>{1, samples, 1});
  expected.shapes.push_back(classifies ? std::vector<int64_t>{samples / 150, 2} : inputs.shapes[0]);
  for (const char* file : {"/model.keras", "/model.h5"}) {
    SCOPED_TRACE(file);
    const auto model = load_model({data_path(folder + file)});
    ASSERT_TRUE(model) << model.error().message;
    const auto compiled = compile(*model);
    ASSERT_TRUE(compiled) << compiled.error().message;
    expect_close(run(*compiled, inputs, true), expected, 1e-5);
  }
}

// At lengths that the file does not declare: Keras's values from both formats, equal bits from all back ends.
TEST_P(TrainedNet, GivesKerasValuesAndEqualBitsAtThreeLengths) {
  const std::string folder = GetParam();
  const golden::Arrays<float> blob("models/" + folder + "/lengths.f32");
  const std::vector<Json> calls = golden::read_lines("models/" + folder + "/lengths.jsonl");
  ASSERT_EQ(calls.size(), 3U);
  for (const std::string file : {"/model.keras", "/model.h5"}) {
    SCOPED_TRACE(file);
    const auto model = load_model({data_path(folder + file)});
    ASSERT_TRUE(model) << model.error().message;
    const auto judge = compile_at(*model, {Backend::kInterp, Isa::kBaseline});
    ASSERT_TRUE(judge) << judge.error().message;
    std::vector<Arrays> inputs;
    std::vector<Arrays> outputs;
    for (const Json& call : calls) {
      inputs.push_back(arrays_of(call, blob, "input"));
      outputs.push_back(run(*judge, inputs.back(), true));
      expect_close(outputs.back(), arrays_of(call, blob, "output"), 1e-5);
    }
    if (file == "/model.keras") expect_equal_bits(*model, inputs, outputs);  // both hold the same numbers
  }
}

TEST(Models, ClassifyTheGunPointTestSetAsKerasDoes) {
  const auto model = load_model({data_path("inception_gunpoint/model.keras")});
  ASSERT_TRUE(model) << model.error().message;
  const auto compiled = compile(*model);
  ASSERT_TRUE(compiled) << compiled.error().message;
  const Arrays inputs{{{150, 150, 1}}, {read_floats("inception_gunpoint/test_input.f32")}};
  const std::vector<float> expected = read_floats("inception_gunpoint/test_expected.f32");
  const std::vector<float> labels = read_floats("inception_gunpoint/test_labels.i32");  // 0 and 1, by bits
  const std::vector<float> actual = run(*compiled, inputs, true).data[0];
  ASSERT_EQ(actual.size(), expected.size());
  int right = 0;
  int right_in_keras = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const uint32_t label = std::bit_cast<uint32_t>(labels[i]);
    right += label == (actual[2 * i + 1] > actual[2 * i]);
    right_in_keras += label == (expected[2 * i + 1] > expected[2 * i]);
  }
  EXPECT_EQ(right_in_keras, 149);
  EXPECT_EQ(right, right_in_keras);
}

// No pass of its own for a batch normalisation, an activation, a gate or a residual addition.
TEST(Models, LeaveNoElementwisePassInTrainedNets) {
  const std::pair<const char*, int> nets[] = {{"ecg_denoiser", 9}, {"wavenet_clipper", 34}};
  for (const auto& [name, passes] : nets) {
    const auto model = load_model({data_path(std::string(name) + "/model.keras")});
    ASSERT_TRUE(model) << model.error().message;
    const auto compiled = compile(*model);
    ASSERT_TRUE(compiled) << compiled.error().message;
    EXPECT_EQ(compiled->passes(), passes) << compiled->plan();
  }
}

}  // namespace
}  // namespace convsmith::test
