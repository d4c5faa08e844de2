// Whole networks that real Keras saved, from every file format, give Keras's values and equal bits
// everywhere.
#include "convsmith/model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <filesystem>
#include <set>

#include "tests/support/golden_arrays.hpp"
#include "tests/support/places.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test {
namespace {

using golden::Json;

std::string data_path(const std::string& name) {
  return places::test_data("models/" + name);
}

struct Arrays {
  std::vector<std::vector<int64_t>> shapes;
  std::vector<std::vector<float>> data;
};

std::vector<int64_t> steps_of(const Arrays& inputs) {
  std::vector<int64_t> steps;
  for (const std::vector<int64_t>& shape : inputs.shapes)
    steps.push_back(shape.size() >= 3 ? shape[shape.size() - 2] : 1);
  return steps;
}

// Every output of one call. Workspace and outputs begin with garbage.
Arrays run(const CompiledModel& model, const Arrays& inputs, bool own_workspace,
           const ParallelFor& parallel = {}) {
  const int64_t batch = inputs.shapes[0][0];
  const std::vector<int64_t> steps = steps_of(inputs);
  Arrays out;
  out.shapes = model.output_shapes(batch, steps);
  std::vector<const float*> in_pointers;
  std::vector<float*> out_pointers;
  for (const std::vector<float>& array : inputs.data) in_pointers.push_back(array.data());
  for (const std::vector<int64_t>& shape : out.shapes) {
    int64_t size = 1;
    for (const int64_t axis : shape) size *= axis;
    out.data.emplace_back(static_cast<size_t>(size), -7.0F);
  }
  for (std::vector<float>& array : out.data) out_pointers.push_back(array.data());
  const int threads = std::max(parallel.threads, 1);
  std::vector<double> workspace(model.workspace_bytes(batch, steps, threads) / sizeof(double) + 1, NAN);
  const RunStatus status =
      model.run(in_pointers, out_pointers, batch, steps,
                {.workspace = own_workspace ? workspace.data() : nullptr, .parallel = parallel});
  EXPECT_EQ(status, RunStatus::kOk) << describe(status);
  return out;
}

Result<CompiledModel> compile_at(const Model& model, const Place& place) {
  return compile(model, {.backend = place.backend, .isa = place.isa});
}

void expect_close(const Arrays& actual, const Arrays& expected, double share) {
  ASSERT_EQ(actual.shapes, expected.shapes);
  for (size_t i = 0; i < expected.data.size(); ++i) {
    double largest = 0;
    double range = 0;
    for (size_t j = 0; j < expected.data[i].size(); ++j) {
      const double difference = std::abs(double{actual.data[i][j]} - double{expected.data[i][j]});
      ASSERT_FALSE(std::isnan(difference)) << "output " << i << "[" << j << "]";
      largest = std::max(largest, difference);
      range = std::max(range, std::abs(double{expected.data[i][j]}));
    }
    EXPECT_LE(largest, share * range) << "output " << i;
  }
}

void run_in_reverse(void*, void (*task)(void*, size_t), void* context, size_t count) {
  while (count > 0) task(context, --count);
}

// The interpreter's bits are those of all back ends, with memory of either kind and several threads.
void expect_equal_bits(const Model& model, const std::vector<Arrays>& calls,
                       const std::vector<Arrays>& expected) {
  for (const Place& place : machine_code_places()) {
    SCOPED_TRACE(name_of(place));
    const auto compiled = compile_at(model, place);
    ASSERT_TRUE(compiled) << compiled.error().message;
    EXPECT_EQ(compiled->backend(), place.backend);
    for (size_t call = 0; call < calls.size(); ++call) {
      for (const int threads : {1, 2, 3}) {
        const Arrays actual = run(*compiled, calls[call], threads != 2, {run_in_reverse, nullptr, threads});
        for (size_t i = 0; i < actual.data.size(); ++i) {
          ASSERT_EQ(bits_of(actual.data[i]), bits_of(expected[call].data[i]))
              << "call " << call << ", " << threads << " threads, output " << i;
        }
      }
    }
  }
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

Arrays arrays_of(const Json& call, const golden::Arrays<float>& blob, const char* role) {
  Arrays arrays;
  const auto add = [&](const std::string& name) {
    const Json& tensor = call["tensors"][name];
    const std::span<const float> data = blob.get(tensor);
    arrays.shapes.push_back(tensor["shape"].get<std::vector<int64_t>>());
    arrays.data.emplace_back(data.begin(), data.end());
  };
  if (call["tensors"].contains(role)) add(role);
  for (int i = 0; call["tensors"].contains(role + std::to_string(i)); ++i) add(role + std::to_string(i));
  return arrays;
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
