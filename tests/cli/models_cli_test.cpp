// run, inspect and explain on every kind of layer and on whole models, as a user meets them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cli/io/tensor.hpp"
#include "tests/cli/call_cli.hpp"
#include "tests/cli/temporary_folder.hpp"
#include "tests/support/golden_arrays.hpp"
#include "tests/support/places.hpp"

namespace convsmith::cli {
namespace {

using cli_test::call;
using cli_test::input_file;
using cli_test::Outcome;
using cli_test::read_npy;
using cli_test::TemporaryFolder;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

std::string model_file(const std::string& name) {
  return places::test_data("models/" + name);
}

// The first line of what real Keras computed.
Json first_case(const std::string& folder) {
  std::ifstream file(folder + "/io.jsonl");
  std::string line;
  std::getline(file, line);
  return Json::parse(line);
}

Json json_of(const std::vector<std::string>& words) {
  const Outcome outcome = call(words);
  EXPECT_EQ(outcome.exit_code, 0) << words[1] << ": " << outcome.err;
  return outcome.exit_code == 0 ? Json::parse(outcome.out) : Json();
}

const std::vector<std::string> kLayers = {
    "Conv1D(5, 3, dilation_rate=2, padding='causal', input_shape=(None, 4))",
    "Conv1DTranspose(5, 4, strides=3, padding='same', input_shape=(None, 4))",
    "Conv1DTranspose(5, 4, strides=3, data_format='channels_first', input_shape=(9, None))",
    "DepthwiseConv1D(3, depth_multiplier=2, activation='tanh', input_shape=(None, 4))",
    "SeparableConv1D(6, 3, activation='softmax', input_shape=(None, 4))",
    "Dense(6, activation='relu', input_shape=(4,))",
};

TEST(CliLayers, EveryKindRunsWithEqualBits) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {2, 9, 4});
  for (const std::string& spec : kLayers) {
    const Json json = json_of({"run", spec, "--input", x, "--output", folder / "y.npy", "--backend", "interp",
                               "--json", "--seed", "3"});
    const Tensor y = read_npy(folder / "y.npy");
    EXPECT_EQ(json["output_shape"], Json(y.shape)) << spec;
    const Json other = json_of({"run", spec, "--input", x, "--expected", folder / "y.npy", "--json", "--seed",
                                "3", "--threads", "2", "--repeat", "3"});
    EXPECT_TRUE(other["expected"]["bit_equal"]) << spec;
    float largest = 0;
    for (const float value : y.data) largest = std::max(largest, std::abs(value));
    EXPECT_GT(largest, 0) << spec << ": weights are drawn";
  }
}

TEST(CliLayers, WeightsByName) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {1, 5, 2});
  const auto write = [&](const char* name, Tensor tensor) {
    ASSERT_TRUE(write_signal(folder / name, FileFormat::kNpy, tensor, 0));
  };
  // Channel 0 twice, then the sum of both channels plus 1.
  write("depthwise_kernel.npy", {{1, 2, 1}, {2, 1}});
  write("pointwise_kernel.npy", {{1, 2, 1}, {1, 1}});
  write("bias.npy", {{1}, {1}});
  ASSERT_EQ(call({"run", "SeparableConv1D(1, 1)", "--input", x, "--weights", folder / "", "--output",
                  folder / "y.npy"})
                .exit_code,
            0);
  const Tensor in = read_npy(x);
  const Tensor out = read_npy(folder / "y.npy");
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(out.data[i], 2 * in.data[2 * i] + in.data[2 * i + 1] + 1);
}

TEST(CliLayers, TransposedWavHasTheHigherRate) {
  const TemporaryFolder folder;
  ASSERT_TRUE(
      write_signal(folder / "x.wav", FileFormat::kWav, {{50, 1}, std::vector<float>(50, 0.5F)}, 8000));
  ASSERT_EQ(call({"run", "Conv1DTranspose(1, 7, strides=2)", "--input", folder / "x.wav", "--output",
                  folder / "y.wav"})
                .exit_code,
            0);
  EXPECT_EQ(read_signal(folder / "y.wav", FileFormat::kWav)->sample_rate, 16000);
}

TEST(CliLayers, ExplainShowsPassesAndParts) {
  for (const std::string& spec : kLayers) {
    const Outcome outcome = call({"explain", spec, "--isa", "avx2", "--stage", "problem,schedule,vir,asm"});
    EXPECT_EQ(outcome.exit_code, 0) << spec << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("bytes of machine code")) << spec;
  }
  const Json json = json_of({"explain", kLayers[4], "--json", "--stage", "graph,vir", "--isa", "avx2"});
  EXPECT_EQ(json["graph"]["passes"], 3);
  EXPECT_EQ(json["passes"].size(), 3U);
  EXPECT_THAT(call({"explain", kLayers[4], "--stage", "problem"}).out, HasSubstr("softmax"));
  const Outcome one = call({"explain", kLayers[4], "--stage", "vir", "--pass", "3", "--isa", "avx2"});
  EXPECT_THAT(one.out, HasSubstr("pass 3 of 3"));
  EXPECT_THAT(one.out, Not(HasSubstr("pass 1 of 3")));
  EXPECT_EQ(call({"explain", kLayers[4], "--pass", "4"}).exit_code, 2);
  EXPECT_THAT(call({"explain", kLayers[1], "--stage", "schedule"}).out, HasSubstr("of every 3"));
}

TEST(CliModels, InspectCountsWhatKerasCounts) {
  int models = 0;
  for (const char* net : {"autoencoder", "grouped", "inception", "mobile", "nested", "reshape_mlp", "seq_tcn",
                          "tcn_residual", "two_in_two_out", "unet"}) {
    for (const char* generation : {"_k2", "_k3"}) {
      const std::string folder = model_file(std::string(net) + generation);
      const Json golden = first_case(folder);
      const Json json = json_of({"inspect", folder + "/model.keras", "--json"});
      EXPECT_EQ(json["parameters"], golden["parameters"]) << folder;
      ++models;
      // Without weights the same table, as far as shapes say it.
      if (std::string(net) != "unet") {
        EXPECT_EQ(json_of({"inspect", folder + "/model.json", "--json"}), json) << folder;
      }
    }
  }
  EXPECT_EQ(models, 20);
  const Json layer = json_of({"inspect", "SeparableConv1D(8, 3, input_shape=(None, 4))", "--json"});
  EXPECT_EQ(layer["parameters"], 3 * 4 + 4 * 8 + 8);
  EXPECT_EQ(layer["macs_per_step"], 3 * 4 + 4 * 8);
  const std::pair<const char*, Json> fields[] = {
      {"Conv1D(8, 5, dilation_rate=3, input_shape=(None, 4))", 13},
      {"Conv1D(8, 7, strides=2, input_shape=(None, 4))", 7},
      {"Conv1DTranspose(8, 4, strides=2, input_shape=(None, 4))", 2},
      {"Dense(8, input_shape=(None, 4))", 1}};
  for (const auto& [text, field] : fields)
    EXPECT_EQ(json_of({"inspect", text, "--json"})["receptive_field"], Json::array({field})) << text;
  const Json strided = json_of({"inspect", "Conv1D(8, 3, strides=2, input_shape=(None, 4))", "--json"});
  EXPECT_EQ(strided["macs_per_step"], 3 * 4 * 8 / 2);
  EXPECT_EQ(strided["macs_per_sample"], nullptr);
  // Of a given length, where the ends count: 8 of 20 steps come out.
  for (const auto& [text, macs] :
       {std::pair("Conv1D(16, 5, dilation_rate=3, input_shape=(20, 6))", 8 * 5 * 6 * 16),
        std::pair("Conv1D(16, 5, padding='same', input_shape=(20, 6))", 20 * 5 * 6 * 16),
        std::pair("Conv1D(4, 3, strides=2, groups=2, input_shape=(9, 6))", 4 * 3 * 3 * 4),
        std::pair("Conv1DTranspose(16, 5, strides=3, input_shape=(20, 6))", 20 * 5 * 6 * 16),
        std::pair("Dense(4, input_shape=(20, 6))", 20 * 6 * 4)}) {
    const Json fixed = json_of({"inspect", text, "--json"});
    EXPECT_EQ(fixed["macs_per_sample"], macs) << text;
    EXPECT_EQ(fixed["layers"][1]["macs_per_sample"], macs) << text;
    const std::string table = call({"inspect", text}).out;
    EXPECT_THAT(table, testing::AllOf(HasSubstr("MACs a sample"), HasSubstr("multiply-adds for a sample")));
  }
  EXPECT_EQ(call({"inspect", "Conv1D(8, 3)"}).exit_code, 2);
  const Outcome text = call({"inspect", model_file("nested_k3/model.keras")});
  EXPECT_THAT(text.out, HasSubstr("residual/block/conv1d (Conv1D)"));
  EXPECT_THAT(text.out, HasSubstr("total: 147 parameters"));
}

// Two inputs, two outputs, from every kind of file.
TEST(CliModels, RunGivesWhatKerasGave) {
  const TemporaryFolder folder;
  const std::string net = model_file("two_in_two_out_k3");
  const golden::Arrays<float> arrays("models/two_in_two_out_k3/io.f32");
  const Json io = first_case(net);
  const auto npy = [&](const char* name) {
    const Json& at = io["tensors"][name];
    const auto values = arrays.get(at);
    const Tensor tensor{at["shape"].get<std::vector<int64_t>>(), {values.begin(), values.end()}};
    EXPECT_TRUE(write_signal(folder / (std::string(name) + ".npy"), FileFormat::kNpy, tensor, 0));
    return folder / (std::string(name) + ".npy");
  };
  const std::vector<std::string> files = {"--input",     npy("input0"),  "--input",
                                          npy("input1"), "--expected",   npy("output0"),
                                          "--expected",  npy("output1"), "--json"};
  const std::vector<std::vector<std::string>> specs = {
      {net + "/model.keras"},
      {net + "/model.h5"},
      {net + "/model.json", "--weights", net + "/model.weights.h5"}};
  for (const std::vector<std::string>& spec : specs) {
    std::vector<std::string> words = {"run"};
    words.insert(words.end(), spec.begin(), spec.end());
    words.insert(words.end(), files.begin(), files.end());
    const Json json = json_of(words);
    for (const Json& expected : json["all_expected"]) {
      EXPECT_TRUE(expected["same_shape"]);
      EXPECT_LT(expected["relative_difference"], 1e-5) << spec[0];
    }
    EXPECT_EQ(json["all_expected"].size(), 2U);
  }
}

TEST(CliModels, CleansAnEcg) {
  const TemporaryFolder folder;
  const std::string ecg = places::test_source("../examples/ecg/");
  const Json json =
      json_of({"run", ecg + "model.keras", "--input", ecg + "ecg.csv", "--columns", "noisy_mv", "--expected",
               ecg + "ecg.csv:keras_output_mv", "--clean", ecg + "ecg.csv:4", "--output", folder / "y.csv",
               "--plot", folder / "y.svg", "--rate", "360", "--json"});
  EXPECT_LT(json["expected"]["relative_difference"], 1e-5);
  EXPECT_NEAR(json["snr_db"]["before"].get<double>(), -0.75, 0.01);
  EXPECT_NEAR(json["snr_db"]["after"].get<double>(), 6.80, 0.01);
  EXPECT_GT(json["times_real_time"], 1);
  EXPECT_EQ(read_signal(folder / "y.csv", FileFormat::kCsv)->tensor.shape, (std::vector<int64_t>{1024, 1}));
  EXPECT_THAT(TemporaryFolder::read(folder / "y.svg"), HasSubstr("</svg>"));
  const Outcome graph = call({"explain", ecg + "model.keras"});
  EXPECT_THAT(graph.out, HasSubstr("9 passes over memory"));
  EXPECT_THAT(graph.out, HasSubstr("enc0_bn is folded into enc0."));
  EXPECT_THAT(call({"explain", ecg + "model.keras", "--pass", "6", "--stage", "schedule"}).out,
              HasSubstr("dec1"));
}

TEST(CliModels, WithoutWeightsTheyAreDrawn) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {2, 20, 4});
  const std::string net = model_file("seq_conv_k2/model.json");
  const auto run = [&](const char* seed) {
    const Outcome outcome = call({"run", net, "--input", x, "--output", folder / "y.npy", "--seed", seed});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr("drawn from the initializers"));
    return read_npy(folder / "y.npy");
  };
  const Tensor one = run("1");
  EXPECT_EQ(run("1"), one);
  EXPECT_NE(run("2"), one);
}

// A file's names steer no terminal, and bytes that are no text break no JSON.
TEST(CliModels, HostileNamesAreShownHarmlessly) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "m.json",
      "{\"class_name\": \"Sequential\", \"config\": {\"name\": \"\\u001b[31m\", \"layers\": ["
      "{\"class_name\": \"Conv1D\", \"config\": {\"name\": \"a\\u001b\\u0007b\", \"filters\": 2, "
      "\"kernel_size\": 1, \"batch_input_shape\": [null, null, 1]}}]}}");
  const std::string x = input_file(folder, "x.npy", {1, 4, 1});
  for (const std::vector<std::string>& words : {std::vector<std::string>{"inspect", file},
                                                {"explain", file},
                                                {"explain", file, "--pass", "1", "--stage", "schedule"},
                                                {"run", file, "--input", x}}) {
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, Not(HasSubstr("\x1b"))) << words[0];
    std::vector<std::string> as_json = words;
    as_json.emplace_back("--json");
    EXPECT_FALSE(json_of(as_json).empty());
  }
}

TEST(CliModels, BadInputIsOneSentenceAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string net = model_file("two_in_two_out_k3");
  const std::string x = input_file(folder, "x.npy", {2, 4, 3});
  const std::string wide = input_file(folder, "wide.npy", {2, 4, 5});
  const std::string three = input_file(folder, "three.npy", {3, 4, 3});
  const std::string longer = input_file(folder, "longer.npy", {2, 5, 3});
  const std::string keras = TemporaryFolder::read(net + "/model.keras");
  const std::string cut = folder.write("cut.keras", keras.substr(0, keras.size() / 2));
  const std::string text = folder.write("text.keras", "no model");
  const std::string layers =
      folder.write("odd.json", R"({"class_name": "Sequential", "config": {"name": "s", "layers": [
        {"class_name": "LSTM", "config": {"name": "lstm", "units": 3}}]}})");
  const std::string weights = net + "/model.weights.h5";
  const std::string model = net + "/model.keras";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{model, "--input", x}, "the model has 2 inputs, in this order: "},
      {{model, "--input", x, "--input", wide}, "wide.npy: its shape is (2, 4, 5)"},
      {{model, "--input", x, "--input", three}, "three.npy: it has 3 samples"},
      {{model, "--input", x, "--input", longer},
       "of the input steps 4 ('left'), 5 ('right') they have 4 and 5"},
      {{model, "--input", x, "--input", x, "--output", "a.npy", "--output", "b.npy"},
       "--output is given 3 times"},
      {{model, "--input", x, "--input", x, "--schedule", "cut o"}, "--schedule"},
      {{model, "--input", x, "--input", x, "--input-shape", "4,3"}, "--input-shape"},
      {{cut, "--input", x}, "cut.keras"},
      {{text, "--input", x}, "text.keras is no Keras model"},
      {{layers, "--input", x}, "LSTM"},
      {{weights, "--input", x}, "weights only"},
      {{net + "/model.json", "--weights", x, "--input", x, "--input", x}, "x.npy"},
      {{net + "/model.json", "--weights", "/nope.h5", "--input", x}, "error: --weights: The file /nope.h5"},
      {{model_file("unet_k3/model.json"), "--input", x}, "p_re_lu"},
  };
  const size_t files = folder.count();
  for (const auto& [words, message] : cases) {
    std::vector<std::string> all = {"run", "--output", folder / "y.npy"};
    all.insert(all.end(), words.begin(), words.end());
    const Outcome outcome = call(all);
    EXPECT_EQ(outcome.exit_code, 2) << words[0] << ": " << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << words[0];
    EXPECT_EQ(outcome.out, "") << words[0];
    EXPECT_EQ(folder.count(), files) << words[0] << " left a file";
  }
  EXPECT_EQ(call({"inspect", cut}).exit_code, 2);
  EXPECT_EQ(call({"explain", layers}).exit_code, 2);
}

// Where an InputLayer is what can't run, inspect shows the rest, however little that is.
TEST(CliModels, InputsThatAreNotSupported) {
  const auto input = [](const std::string& name, const std::string& dtype) {
    return R"({"class_name": "InputLayer", "name": ")" + name + R"(", "config": {"name": ")" + name +
           R"(", "batch_input_shape": [null, 8, 4], "dtype": ")" + dtype + R"("}, "inbound_nodes": []})";
  };
  const auto conv = [](const std::string& name, const std::string& from) {
    return R"({"class_name": "Conv1D", "name": ")" + name + R"(", "config": {"name": ")" + name +
           R"(", "filters": 3, "kernel_size": [3]}, "inbound_nodes": [[[")" + from + R"(", 0, 0, {}]]]})";
  };
  const auto model = [](const std::string& layers, const std::string& ends) {
    return R"({"class_name": "Functional", "config": {"name": "m", "layers": [)" + layers + "], " + ends +
           "}}";
  };
  const std::string nested = R"({"name": "inner", "inbound_nodes": [[["a", 0, 0, {}]]], )" +
                             model(input("x", "string") + ", " + conv("y", "x"),
                                   R"("input_layers": [["x", 0, 0]], "output_layers": [["y", 0, 0]])")
                                 .substr(1);
  // Each with how many of its layers have a shape that is known.
  const std::pair<std::string, size_t> cases[] = {
      {model(input("a", "string"), R"("input_layers": [["a", 0, 0]], "output_layers": [["a", 0, 0]])"), 0},
      {model(input("a", "string") + ", " + nested,
             R"("input_layers": [["a", 0, 0]], "output_layers": [["inner", 1, 0]])"),
       0},
      {model(input("a", "string") + ", " + input("b", "float32") + ", " + conv("c", "a") + ", " +
                 conv("d", "b"),
             R"("input_layers": [["a", 0, 0], ["b", 0, 0]], "output_layers": [["c", 0, 0], ["d", 0, 0]])"),
       2},
      {model(input("b", "float32") + ", " + input("a", "complex64") + ", " + conv("c", "a"),
             R"("input_layers": [["b", 0, 0], ["a", 0, 0]], "output_layers": [["c", 0, 0], ["b", 0, 0]])"),
       1},
      {R"({"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "Conv1D", "config":
          {"name": "c", "batch_input_shape": [null, 8, 4], "dtype": "float8", "filters": 3,
           "kernel_size": [3]}}]}})",
       0},
  };
  const TemporaryFolder folder;
  for (const auto& [text, known] : cases) {
    const std::string file = folder.write("m.json", text);
    const Outcome explained = call({"explain", file});
    EXPECT_THAT(explained.err, HasSubstr("`dtype`"));
    const Outcome table = call({"inspect", file});
    EXPECT_EQ(table.exit_code, 2);
    EXPECT_EQ(table.err, explained.err);
    EXPECT_THAT(table.out, HasSubstr("not supported"));
    const Outcome printed = call({"inspect", file, "--json"});
    EXPECT_EQ(printed.exit_code, 2);
    EXPECT_EQ(printed.err, explained.err);
    size_t found = 0;
    const Json layers = Json::parse(printed.out)["layers"];
    for (const Json& layer : layers) found += layer.count("output_shape");
    EXPECT_EQ(found, known) << printed.out;
  }
}

// Each command says what a file is, whatever its name.
TEST(CliModels, FilesOfOthersAreNamed) {
  const TemporaryFolder folder;
  const std::string lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
  const std::string page = "<!DOCTYPE html>\n<html><body>Not found</body></html>";
  const std::string js = R"({"format": "layers-model", "generatedBy": "keras v2.15.0", "modelTopology":
    {"model_config": {"class_name": "Sequential", "config": {"layers": []}}}, "weightsManifest": []})";
  const std::tuple<const char*, std::string, const char*> cases[] = {
      {"model.json", js, "is a model of TensorFlow.js"},
      {"js.keras", js, "is a model of TensorFlow.js"},
      {"large.json", js + std::string(2 << 20, ' '), "is a model of TensorFlow.js"},
      {"lfs.h5", lfs, "git lfs pull"},
      {"lfs.keras", lfs, "git lfs pull"},
      {"lfs.json", lfs, "git lfs pull"},
      {"page.keras", page, "is a page of HTML"},
      {"page.h5", page, "is a page of HTML"},
      {"page.json", page, "is a page of HTML"},
      {"m.gguf", std::string("GGUF\x03\0\0\0", 8), "is a GGUF file"},
  };
  for (const auto& [name, bytes, message] : cases) {
    const std::string file = folder.write(name, bytes);
    for (const std::vector<std::string>& words :
         {std::vector<std::string>{"inspect", file}, {"run", file, "--input", "x.npy"}, {"verify", file}}) {
      const Outcome outcome = call(words);
      EXPECT_EQ(outcome.exit_code, 2) << name;
      EXPECT_THAT(outcome.err, HasSubstr(message)) << name << " " << words[0];
    }
  }
}

// As Keras 3 and Keras 2 write them, of a script, of a module, compiled.
TEST(CliModels, SubclassesWithoutLayersAreNoLayers) {
  const TemporaryFolder folder;
  for (
      const char* text :
      {R"({"module": "__main__", "class_name": "MyModel", "config": {"units": 3}})",
       R"({"module": null, "class_name": "MyModel", "config": {"units": 3}, "registered_name": "MyModel",
            "build_config": {"input_shape": [1, 10, 4]}, "compile_config": {}})",
       R"({"module": "nets.wave", "class_name": "MyModel", "config": {}, "registered_name": "nets>MyModel"})",
       R"({"class_name": "MyModel", "config": {"units": 3}, "keras_version": "2.15.0",
            "backend": "tensorflow"})"}) {
    const Outcome outcome = call({"inspect", folder.write("m.json", text)});
    EXPECT_EQ(outcome.exit_code, 2) << text;
    EXPECT_THAT(outcome.err, HasSubstr("The JSON is of class 'MyModel', and its config has no layers;"))
        << text;
    EXPECT_THAT(outcome.err, HasSubstr("keras.Model(x, model.call(x))")) << text;
  }
  // A word that is wrong is still one.
  for (const char* text : {R"({"class_name": "Conv1d", "config": {"filters": 3, "kernel_size": 3}})",
                           R"({"module": "keras.layers", "class_name": "Conv1d", "config": {"filters": 3}})"})
    EXPECT_THAT(call({"inspect", folder.write("l.json", text)}).err, HasSubstr("Unknown layer 'Conv1d'"))
        << text;
}

// Python's own reader of JSON refuses them, too.
TEST(CliModels, WordsThatAreNoJson) {
  const TemporaryFolder folder;
  const std::string begin =
      R"({"class_name": "Sequential", "config": {"name": "s", "layers": [{"class_name": "ReLU",
"config": {"name": "r", "batch_input_shape": [null, 8, 4], "max_value": )";
  for (const char* word :
       {"infinity", "+Infinity", ".5", "-infinity", "nan", "None", "True", "'a'", "(3,)", "1_0", "0x1"}) {
    for (const char* name : {"m.json", "m.keras"}) {
      const Outcome outcome = call({"inspect", folder.write(name, begin + word + "}}]}}")});
      EXPECT_EQ(outcome.exit_code, 2) << word;
      EXPECT_THAT(outcome.err, HasSubstr("The JSON text is malformed at line 2, column 7")) << word;
    }
  }
  EXPECT_EQ(call({"inspect", folder.write("m.json", begin + "Infinity}}]}}")}).exit_code, 0);
  // Of a layer, what Python prints is read.
  EXPECT_EQ(call({"explain", "{'class_name': 'Dense', 'config': {'units': 3, 'use_bias': True}}", "--stage",
                  "spec"})
                .exit_code,
            0);
}

}  // namespace
}  // namespace convsmith::cli
