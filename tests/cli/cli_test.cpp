// The program as a user meets it: the built binary, its exit codes, what it prints and what it leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/io/tensor.hpp"
#include "tests/cli/call_cli.hpp"
#include "tests/cli/temporary_folder.hpp"
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
using ::testing::StartsWith;
using Json = nlohmann::json;

const std::string kDocumented = "Conv1D(32, 3, activation='relu', input_shape=(10, 128))";

TEST(Cli, AloneItPrintsHelpWithAnExampleOfEachCommand) {
  const Outcome outcome = call({});
  EXPECT_EQ(outcome.exit_code, 0);
  for (const char* command : {"run", "inspect", "explain", "compare", "tune", "verify", "info"}) {
    EXPECT_THAT(outcome.out, HasSubstr(std::string("convsmith ") + command));
    const Outcome help = call({command, "--help"});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_THAT(help.out, HasSubstr("--json"));
  }
  EXPECT_THAT(call({"--version"}).out, StartsWith("convsmith "));
}

TEST(Cli, DocumentedExamples) {
  const TemporaryFolder folder;
  const std::pair<std::vector<int64_t>, std::vector<int64_t>> cases[] = {{{4, 10, 128}, {4, 8, 32}},
                                                                         {{4, 7, 10, 128}, {4, 7, 8, 32}}};
  for (const auto& [input, output] : cases) {
    const std::string x = input_file(folder, "x.npy", input);
    const Outcome outcome = call({"run", kDocumented, "--input", x, "--output", folder / "y.npy"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.out, HasSubstr(shape_text(output)));
    EXPECT_EQ(read_npy(folder / "y.npy").shape, output);
  }
}

TEST(Cli, RunComputesTheFormulaOnEveryBackEnd) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {2, 9, 3});
  input_file(folder, "kernel.npy", {2, 3, 4});
  input_file(folder, "bias.npy", {4});
  const Tensor in = read_npy(x);
  const Tensor kernel = read_npy(folder / "kernel.npy");
  Tensor expected{{2, 8, 4}, {}};
  for (size_t row = 0; row < 16; ++row) {
    for (size_t f = 0; f < 4; ++f) {
      float sum = read_npy(folder / "bias.npy").data[f];
      for (size_t i = 0; i < 6; ++i) sum += in.data[(row / 8 * 9 + row % 8) * 3 + i] * kernel.data[i * 4 + f];
      expected.data.push_back(sum);
    }
  }
  ASSERT_TRUE(write_signal(folder / "e.npy", FileFormat::kNpy, expected, 0));
  for (const char* backend : {"auto", "interp"}) {
    const Outcome outcome = call({"run", "Conv1D(4, 2)", "--input", x, "--weights", folder / "", "--expected",
                                  folder / "e.npy", "--backend", backend, "--json", "--threads", "2"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const Json json = Json::parse(outcome.out);
    EXPECT_EQ(json["output_shape"], Json({2, 8, 4}));
    EXPECT_TRUE(json["expected"]["bit_equal"]) << outcome.out;
    EXPECT_EQ(json["threads"], 2);
    EXPECT_GT(json["compile_us"], 0);
  }
}

TEST(Cli, ExpectedIsReportedAndFailsOnlyBeyondATolerance) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {1, 9, 3});
  const std::string e = input_file(folder, "e.npy", {1, 8, 4});
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> words = {"run", "Conv1D(4, 2)", "--input", x, "--expected"};
    words.insert(words.end(), more.begin(), more.end());
    return call(words);
  };
  const Outcome outcome = run({x});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.out, "");
  EXPECT_THAT(outcome.err, HasSubstr("--expected " + x + ": its shape is (1, 9, 3)"));
  EXPECT_THAT(outcome.err, HasSubstr("(1, 8, 4)"));
  EXPECT_EQ(run({e}).exit_code, 0);
  EXPECT_EQ(run({e, "--tolerance", "1000"}).exit_code, 0);
  const Outcome far = run({e, "--tolerance", "1e-3"});
  EXPECT_EQ(far.exit_code, 1);
  EXPECT_THAT(far.err, HasSubstr("--tolerance is 0.001"));
  EXPECT_EQ(run({e, "--tolerance", "-1"}).exit_code, 2);
  Tensor nan{{1, 8, 4}, std::vector<float>(32, NAN)};
  ASSERT_TRUE(write_signal(folder / "nan.npy", FileFormat::kNpy, nan, 0));
  EXPECT_EQ(run({folder / "nan.npy", "--tolerance", "1e30"}).exit_code, 1);
}

TEST(Cli, EmptyValuesAreRefused) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {1, 9, 3});
  for (const char* option :
       {"--weights", "--clean", "--plot", "--seed", "--schedule", "--output", "--expected", "--columns"}) {
    const Outcome outcome = call({"run", "Conv1D(4, 2)", "--input", x, option, ""});
    EXPECT_EQ(outcome.exit_code, 2) << option;
    EXPECT_THAT(outcome.err, HasSubstr(std::string(option) + ": its value '' is")) << option;
  }
  EXPECT_EQ(call({"verify", ""}).exit_code, 2);
}

TEST(Cli, AFullStandardOutputIsAFailure) {
  const std::string command = cli_test::quoted(places::program()) + " info --json >/dev/full 2>/dev/null";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

TEST(Cli, WrongOnEveryHost) {
  const std::string spec = "Conv1D(4, 2, input_shape=(9, 3))";
  for (const char* command : {"explain", "compare", "tune", "verify"}) {
    const Outcome outcome = call({command, spec, "--backend", "xbyak", "--isa", "baseline"});
    EXPECT_EQ(outcome.exit_code, 2) << command;
    EXPECT_THAT(outcome.err, HasSubstr("xbyak makes AVX2")) << command;
    EXPECT_EQ(outcome.out, "") << command;
  }
  for (const char* command : {"explain", "inspect"}) {
    const Outcome outcome = call({command, spec, "--weights", "/nope"});
    EXPECT_EQ(outcome.exit_code, 2) << command;
    EXPECT_THAT(outcome.err, HasSubstr("--weights is for models")) << command;
  }
}

TEST(Cli, OneSampleFromCsvInBothLayouts) {
  const TemporaryFolder folder;
  const std::string x = folder.write("x.csv", "a,b\n1,2\n3,4\n5,6\n");
  for (const char* format : {"channels_last", "channels_first"}) {
    const std::string spec = std::string("Conv1D(3, 2, data_format='") + format + "')";
    const Outcome outcome = call({"run", spec, "--input", x, "--output", folder / "y.csv", "--seed", "4"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("one sample"));
    const auto rows = read_signal(folder / "y.csv", FileFormat::kCsv);
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->tensor.shape, (std::vector<int64_t>{2, 3}));
    // The two layouts compute the same rows.
    if (std::string(format) == "channels_last")
      folder.write("first.csv", TemporaryFolder::read(folder / "y.csv"));
    EXPECT_EQ(TemporaryFolder::read(folder / "y.csv"), TemporaryFolder::read(folder / "first.csv"));
  }
}

TEST(Cli, WavKeepsItsRate) {
  const TemporaryFolder folder;
  ASSERT_TRUE(
      write_signal(folder / "x.wav", FileFormat::kWav, {{100, 1}, std::vector<float>(100, 0.5F)}, 16000));
  const Outcome outcome = call({"run", "Conv1D(2, 3, strides=2, padding='same')", "--input", folder / "x.wav",
                                "--output", folder / "y.wav"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto result = read_signal(folder / "y.wav", FileFormat::kWav);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->tensor.shape, (std::vector<int64_t>{50, 2}));
  EXPECT_EQ(result->sample_rate, 8000);
}

TEST(Cli, EmptyInputsGiveEmptyOutputs) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {0, 10, 3});
  const Outcome outcome = call({"run", "Conv1D(4, 2)", "--input", x, "--output", folder / "y.npy"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(read_npy(folder / "y.npy").shape, (std::vector<int64_t>{0, 9, 4}));
}

TEST(Cli, BadInputIsOneSentenceAndLeavesNothing) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {2, 10, 4});
  input_file(folder, "kernel.npy", {3, 4, 5});
  const std::string whole = TemporaryFolder::read(x);
  const std::string cut = folder.write("cut.npy", whole.substr(0, whole.size() - 1));
  const std::string flat = input_file(folder, "flat.npy", {80});
  const std::string wide = folder.write("wide.npy", "\x93NUMPY not an array");
  const std::string text = folder.write("x.txt", "1");
  const std::string zip = folder.write("w.npz", "PK\3\4");
  const std::string broken = folder.write("layer.json", "{\"class_name\": \"Conv1D\", \"config\": {");
  const std::string program = folder.write("p.vir", "vir x lanes 4 scratch 0 {\n}\n");
  const std::string y = folder / "y.npy";
  const std::vector<std::pair<std::vector<std::string>, std::string>> cases = {
      {{"Conv1D(4, 3, foo=1)", "--input", x}, "foo"},
      {{"Conv1D('4', 3)", "--input", x}, "filters"},
      {{"Conv1D(0, 3)", "--input", x}, "filters"},
      {{"Conv1D(4, -3)", "--input", x}, "kernel_size"},
      {{"Conv1D(4, 3, groups=3)", "--input", x}, "groups"},
      {{"Conv1D(6, 3, groups=3)", "--input", x}, "groups"},
      {{"Conv1D(4, 11)", "--input", x}, "empty"},
      {{"Conv1D(4, 3, strides=2, dilation_rate=2)", "--input", x}, "strides"},
      {{"Conv1D(2147483648, 3)", "--input", x}, "filters"},
      {{"Conv1D(9223372036854775807, 3)", "--input", x}, "filters"},
      {{"Conv1D(9223372036854775808, 3)", "--input", x}, "filters"},
      {{"Conv1D(4, 2147483647, padding='same')", "--input", x}, ""},
      {{"Conv1D(2147483647, 3)", "--input", x}, ""},
      {{"Conv1D(4, 3", "--input", x}, "column"},
      {{"foo", "--input", x}, "SPEC is 'foo'"},
      {{"", "--input", x}, "SPEC: its value '' is empty"},
      {{broken, "--input", x}, "layer.json"},
      {{folder / "none.json", "--input", x}, "can't be opened"},
      {{program, "--input", x}, ".vir"},
      {{"Conv1D(4, 3)"}, "--input is required"},
      {{"Conv1D(4, 3)", "--input", folder / "none.npy"}, "can't be opened"},
      {{"Conv1D(4, 3)", "--input", folder / ""}, ".npy, .csv or .wav"},
      {{"Conv1D(4, 3)", "--input", text}, ".npy, .csv or .wav"},
      {{"Conv1D(4, 3)", "--input", cut}, "does not fit"},
      {{"Conv1D(4, 3)", "--input", wide}, "wide.npy"},
      {{"Conv1D(4, 3)", "--input", flat}, "(batch, steps, channels)"},
      {{"Conv1D(4, 3, input_shape=(10, 5))", "--input", x}, "5 channels"},
      {{"Conv1D(4, 3)", "--input", x, "--input-shape", "10,5"}, "5 channels"},
      {{"Conv1D(4, 3)", "--input", x, "--weights", zip}, "w.npz"},
      {{"Conv1D(4, 3)", "--input", x, "--weights", folder / ""}, "(3, 4, 4)"},
      {{"Conv1D(5, 3)", "--input", x, "--weights", folder / ""}, "bias"},
      {{"Conv1D(4, 3)", "--input", x, "--backend", "gpu"}, "--backend is 'gpu'"},
      {{"Conv1D(4, 3)", "--input", x, "--isa", "sse"}, "--isa is 'sse'"},
      {{"Conv1D(4, 3)", "--input", x, "--rules", "pytorch"}, "--rules is 'pytorch'"},
      {{"Conv1D(4, 3)", "--input", x, "--schedule", "frobnicate"}, "frobnicate"},
      {{"Conv1D(4, 3)", "--input", x, "--threads", "0"}, "--threads"},
      {{"Conv1D(4, 3)", "--input", x, "--input-shape", "10"}, "(batch, steps, channels)"},
      {{"Conv1D(4, 3)", "--input", x, "--input-shape", "ten"}, "--input-shape is 'ten'"},
      {{"Conv1D(4, 3)", "--input", x, "--input", x}, "--input is given 2 times"},
      {{"Conv1D(4, 3)", "--input", x, "--columns", "1"}, "is no .csv file"},
      {{"Conv1D(4, 3)", "--input", x, "--clean", x}, "--clean"},
      {{"Conv1D(4, 3)", "--input", x, "--plot", "y.png"}, "must end with .svg"},
      {{"Conv1D(4, 3)", "--input", x, "--output", y + "2.npy"}, "--output is given 2 times"},
      {{"Conv1D(4, 3)", "--input", x, "--output", y}, "is given twice"},
      {{"Conv1D(4, 3)", "--input", x, "--seed", "-1"}, "from 0 to 18446744073709551615"},
      {{"Conv1D(4, 3)", "--input", x, "--seed", "99999999999999999999999"}, "from 0 to 1844"},
      {{"Conv1D(4, 3)", "--input", x, "--rate", "0"}, "above 0"},
      {{"Conv1D(4, 3)", "--input", x, "--frobnicate"}, "--frobnicate"},
  };
  const size_t files = folder.count();
  for (const auto& [words, message] : cases) {
    std::vector<std::string> all = {"run", "--output", y};
    all.insert(all.end(), words.begin(), words.end());
    const Outcome outcome = call(all);
    EXPECT_EQ(outcome.exit_code, 2) << words[0] << ": " << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr("error: ")) << words[0];
    EXPECT_THAT(outcome.err, HasSubstr(message)) << words[0];
    EXPECT_EQ(outcome.out, "") << words[0];
    EXPECT_EQ(folder.count(), files) << words[0] << " left a file";
  }
}

TEST(Cli, OutputsThatDoNotFitTheirFormat) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {2, 10, 4});
  EXPECT_EQ(call({"run", "Conv1D(4, 3)", "--input", x, "--output", folder / "y.csv"}).exit_code, 2);
  EXPECT_EQ(call({"run", "Conv1D(4, 3)", "--input", x, "--output", folder / "y.txt"}).exit_code, 2);
  EXPECT_EQ(call({"run", "Conv1D(4, 3)", "--input", x, "--output", folder / "none/y.npy"}).exit_code, 1);
  EXPECT_EQ(folder.count(), 1U);
}

TEST(Cli, ExplainShowsEveryStage) {
  const Outcome outcome = call({"explain", kDocumented, "--isa", "avx2"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* stage : {"spec", "problem", "nest", "schedule", "vir", "llvm", "asm"}) {
    EXPECT_THAT(outcome.out, HasSubstr(std::string("== ") + stage + " ==\n"));
  }
  EXPECT_THAT(outcome.out, HasSubstr("vfmadd231ps ymm"));
  EXPECT_THAT(outcome.out, HasSubstr(" fma of "));
  EXPECT_THAT(outcome.out, HasSubstr("12320: kernel (3, 128, 32), bias (32)"));
}

TEST(Cli, ExplainStagesAsJson) {
  const Outcome outcome =
      call({"explain", kDocumented, "--isa", "avx512", "--stage", "asm,schedule", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json.size(), 2U);
  EXPECT_GT(json["asm"]["innermost_loops"][0]["fmas"], 0);
  EXPECT_THAT(json["schedule"].get<std::string>(), HasSubstr("lanes"));
  EXPECT_EQ(call({"explain", kDocumented, "--stage", "tea"}).exit_code, 2);
  EXPECT_EQ(call({"explain", "Conv1D(3, 3)"}).exit_code, 2) << "channels are unknown";
  EXPECT_EQ(call({"explain", "Conv1D(3, 3)", "--stage", "spec"}).exit_code, 0);
  EXPECT_EQ(call({"explain", "Conv1D(3, 3)", "--input-shape", "None,4"}).exit_code, 0);
}

// What explain prints can be read again: as a schedule, as a nest, as a program.
TEST(Cli, ExplainedTextIsInput) {
  const TemporaryFolder folder;
  const auto explain = [](std::vector<std::string> words) {
    words.insert(words.begin(), "explain");
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return outcome.exit_code == 0 ? Json::parse(outcome.out) : Json();
  };
  const Json json = explain({kDocumented, "--isa", "avx2", "--json"});
  const std::string schedule = json["schedule"];
  EXPECT_EQ(explain({kDocumented, "--isa", "avx2", "--json", "--schedule", schedule})["asm"], json["asm"]);
  const std::string nest = folder.write("l.nest", json["nest"]["scheduled"].get<std::string>());
  const Json from_nest = explain({nest, "--isa", "avx2", "--json"});
  EXPECT_EQ(from_nest["asm"], json["asm"]);
  EXPECT_FALSE(from_nest.contains("spec"));
  const std::string program = folder.write("l.vir", json["vir"].get<std::string>());
  EXPECT_EQ(explain({program, "--json"})["asm"], json["asm"]) << "the lanes say which instruction set";
  EXPECT_EQ(call({"explain", program, "--stage", "nest"}).exit_code, 2);
  EXPECT_EQ(call({"explain", program, "--isa", "avx512"}).exit_code, 2);
  EXPECT_EQ(call({"explain", nest, "--schedule", schedule}).exit_code, 2);

  const std::string x = input_file(folder, "x.npy", {4, 10, 128});
  ASSERT_EQ(
      call({"run", kDocumented, "--input", x, "--output", folder / "a.npy", "--backend", "interp"}).exit_code,
      0);
  const Outcome outcome = call({"run", nest, "--input", x, "--expected", folder / "a.npy", "--json",
                                "--backend", "interp", "--isa", "avx2"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_TRUE(Json::parse(outcome.out)["expected"]["bit_equal"]);
}

TEST(Cli, AStageToDumpThatIsNoneIsNamed) {
  const TemporaryFolder folder;
  const Outcome outcome =
      call({"compile", "Conv1D(2, 1, input_shape=(3, 2))", "-o", folder / "x.o", "--target", "avx2"},
           "CONVSMITH_DUMP=nest,foo");
  EXPECT_THAT(outcome.err, HasSubstr("CONVSMITH_DUMP names 'foo'; the stages are graph, nest"));
  EXPECT_THAT(outcome.err, HasSubstr("--- nest ---"));
}

TEST(Cli, WhereTheLlvmModuleIsMissingOneSentenceSaysSo) {
  const std::string none = "CONVSMITH_LLVM_MODULE=/nowhere.so";
  const Outcome all = call({"explain", kDocumented, "--isa", "avx2"}, none);
  EXPECT_EQ(all.exit_code, 0) << all.err;
  EXPECT_THAT(all.out, HasSubstr("The LLVM back end is not available"));
  EXPECT_EQ(call({"explain", kDocumented, "--stage", "llvm"}, none).exit_code, 1);
  EXPECT_THAT(call({"info"}, none).out, HasSubstr("The LLVM back end is not available"));
}

TEST(Cli, InfoSaysWhatThereIs) {
  const Outcome text = call({"info"});
  EXPECT_EQ(text.exit_code, 0);
  EXPECT_THAT(text.out, HasSubstr("code memory"));
  const Outcome outcome = call({"info", "--json"}, "CONVSMITH_MAX_ISA=avx2");
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["environment"]["CONVSMITH_MAX_ISA"], "avx2");
  EXPECT_EQ(json["backends"]["interp"], "ok");
  EXPECT_TRUE(json.contains("model_files"));
  EXPECT_THAT(json["auto"].get<std::string>(), Not(HasSubstr("avx512")));
}

}  // namespace
}  // namespace convsmith::cli
