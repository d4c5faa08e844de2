// explain: what each stage prints is a file, each legal prefix of a schedule can be looked at, and options
// are honoured or refused. And models of which only some lengths fit, on every command.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/cli/call_cli.hpp"
#include "tests/support/unet_json.hpp"

namespace convsmith::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using Json = nlohmann::json;
using Words = std::vector<std::string>;

const Words kLayers = {"Conv1D(24, 3, activation='relu', padding='same', input_shape=(40, 6))",
                       "Conv1DTranspose(6, 5, strides=3, padding='same', input_shape=(None, 4))",
                       "Conv1DTranspose(4, 4, strides=2, activation='tanh', input_shape=(None, 9))",
                       "DepthwiseConv1D(5, input_shape=(None, 20))",
                       "SeparableConv1D(7, 3, input_shape=(None, 6))",
                       "Conv1D(12, 3, activation='softmax', input_shape=(None, 8))",
                       "Conv1D(8, 2, dilation_rate=3, data_format='channels_first', input_shape=(5, None))"};

std::string explained(const TemporaryFolder& folder, const std::string& spec, const std::string& stage,
                      const std::string& isa = "auto") {
  const Outcome outcome = call({"explain", spec, "--stage", stage, "--isa", isa});
  EXPECT_EQ(outcome.exit_code, 0) << spec << outcome.err;
  return folder.write("layer." + stage, outcome.out);
}

// What a heading says of the assembly is true of its back end's.
TEST(ExplainedFiles, AssemblySaysWhoTakesIt) {
  const TemporaryFolder folder;
  for (const std::string backend : {"xbyak", "llvm"}) {
    const Outcome outcome =
        call({"explain", kLayers[0], "--stage", "asm", "--isa", "avx2", "--backend", backend});
    if (outcome.err.find("is not available") != std::string::npos) continue;
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    const bool is_source = outcome.out.find("assembler source") != std::string::npos;
    EXPECT_EQ(is_source, backend == "llvm");
    EXPECT_EQ(outcome.out.find("no assembler takes") != std::string::npos, !is_source);
    const std::string file = folder.write("code.s", outcome.out);
    const std::string assemble =
        "as " + quoted(file) + " -o " + quoted(folder / "code.o") + " >/dev/null 2>&1";
    if (std::system("command -v as >/dev/null") == 0) {
      EXPECT_EQ(std::system(assemble.c_str()) == 0, is_source) << outcome.out;
    }
  }
}

TEST(ExplainedFiles, NameTheInputsOfAModel) {
  const TemporaryFolder folder;
  const std::string model = folder.write("two.json", model_of_two_inputs(4));
  for (const Words& words :
       {Words{"explain", model}, Words{"explain", model, "--stage", "graph"},
        Words{"compare", model, "--backend", "interp", "--steps", "9"},
        Words{"verify", model, "--backend", "interp", "--random", "2"}, Words{"inspect", model}})
    EXPECT_THAT(call(words).out, HasSubstr("inputs, in this order: aa, zz\n")) << words[0];
  for (const char* command : {"explain", "compare", "verify"})
    EXPECT_THAT(call({command, kLayers[0], "--backend", "interp"}).out, Not(HasSubstr("inputs,"))) << command;
}

TEST(ExplainedFiles, VerifyTakesEachStageThatRuns) {
  const TemporaryFolder folder;
  for (const std::string& spec : kLayers) {
    for (const char* stage : {"spec", "problem", "nest", "vir"}) {
      const std::string file = explained(folder, spec, stage);
      Words words = {"verify", file};
      if (std::string(stage) != "vir") words.insert(words.end(), {"--random", "3"});
      const Outcome outcome = call(words);
      EXPECT_EQ(outcome.exit_code, 0) << spec << " " << stage << outcome.out << outcome.err;
      EXPECT_TRUE(outcome.out.starts_with("0 failures")) << outcome.out;
    }
  }
}

TEST(ExplainedFiles, RunGivesTheSameBits) {
  for (const std::string& spec : kLayers) {
    const TemporaryFolder folder;
    const bool first = spec.find("channels_first") != std::string::npos;
    const size_t at = spec.rfind(first ? '(' : ' ') + 1;
    const int64_t channels = std::stoi(spec.substr(at));
    const std::string x = first ? input_file(folder, "x.npy", {2, channels, 40})
                                : input_file(folder, "x.npy", {2, 40, channels});
    ASSERT_EQ(call({"run", spec, "--input", x, "--output", folder / "y.npy"}).exit_code, 0) << spec;
    for (const char* stage : {"spec", "problem", "nest"}) {
      const std::string file = explained(folder, spec, stage);
      const Outcome outcome = call({"run", file, "--input", x, "--expected", folder / "y.npy", "--json"});
      ASSERT_EQ(outcome.exit_code, 0) << spec << " " << stage << outcome.err;
      EXPECT_TRUE(Json::parse(outcome.out)["expected"]["bit_equal"]) << spec << " " << stage;
    }
  }
}

TEST(ExplainedFiles, CompareTakesThem) {
  const TemporaryFolder folder;
  for (const std::string& spec : {kLayers[0], kLayers[1], kLayers[6]}) {
    for (const char* stage : {"spec", "problem", "nest", "vir"}) {
      const std::string file = explained(folder, spec, stage);
      const Outcome outcome = call({"compare", file, "--backend", "interp"});
      EXPECT_EQ(outcome.exit_code, 0) << spec << stage << outcome.out << outcome.err;
    }
  }
}

TEST(ExplainedFiles, AScheduleIsForTheOptionOfThatName) {
  const TemporaryFolder folder;
  const std::string file = explained(folder, kLayers[0], "schedule", "avx2");
  const Outcome again = call({"explain", kLayers[0], "--isa", "avx2", "--schedule", file, "--stage", "vir"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_EQ(again.out, call({"explain", kLayers[0], "--isa", "avx2", "--stage", "vir"}).out);
  // As text, with its heading.
  EXPECT_EQ(
      call({"explain", kLayers[0], "--isa", "avx2", "--schedule", TemporaryFolder::read(file)}).exit_code, 0);
  const Outcome alone = call({"verify", file});
  EXPECT_EQ(alone.exit_code, 2);
  EXPECT_THAT(alone.err, HasSubstr("--schedule FILE"));
}

// Those of a layer of several nests go nowhere, as their headings say; nor does one of them.
TEST(ExplainedFiles, SchedulesOfSeveralNestsAreToRead) {
  const TemporaryFolder folder;
  for (const std::string& spec : kLayers) {
    const std::string file = explained(folder, spec, "schedule", "avx2");
    const Outcome again = call({"explain", spec, "--isa", "avx2", "--schedule", file, "--stage", "vir"});
    const std::string text = TemporaryFolder::read(file);
    const bool is_one = text.starts_with("# == schedule ==\n");
    EXPECT_EQ(text.find("for --schedule") != std::string::npos, is_one) << text;
    EXPECT_EQ(text.find("to read") == std::string::npos, is_one) << text;
    EXPECT_EQ(again.exit_code, is_one ? 0 : 2) << spec << again.err;
    EXPECT_EQ(std::count(again.err.begin(), again.err.end(), '\n'), is_one ? 0 : 1) << again.err;
    if (is_one) continue;
    EXPECT_THAT(call({"explain", spec, "--isa", "avx2", "--stage", "schedule", "--pass", "1"}).out,
                HasSubstr("to read"));
  }
}

TEST(ExplainedFiles, WhatOnlyReadsSaysSo) {
  const TemporaryFolder folder;
  for (const char* stage : {"graph", "asm", "llvm"}) {
    const std::string file = explained(folder, kLayers[4], stage, "avx2");
    const Outcome outcome = call({"compare", file});
    EXPECT_EQ(outcome.exit_code, 2) << stage;
    EXPECT_THAT(outcome.err, HasSubstr(std::string("the stage ") + stage));
  }
  const std::string all = folder.write("all", call({"explain", kLayers[0]}).out);
  EXPECT_THAT(call({"verify", all}).err, HasSubstr("several stages"));
}

TEST(Explain, EachPrefixOfAScheduleCanBeLookedAt) {
  const std::string whole = "cut o; split f 8; lanes f1";
  for (size_t end = whole.find(';'); end != std::string::npos; end = whole.find(';', end + 1)) {
    const std::string prefix = whole.substr(0, end);
    const Outcome nest =
        call({"explain", kLayers[0], "--isa", "avx2", "--stage", "nest", "--schedule", prefix});
    EXPECT_EQ(nest.exit_code, 0) << prefix << nest.err;
    EXPECT_THAT(nest.out, HasSubstr("\nnest Conv1D(24")) << prefix;
    const Outcome vir =
        call({"explain", kLayers[0], "--isa", "avx2", "--stage", "nest,vir,asm", "--schedule", prefix});
    EXPECT_EQ(vir.exit_code, 2) << prefix;
    EXPECT_EQ(vir.out, nest.out) << "what comes before the stage that fails is printed";
    EXPECT_EQ(std::count(vir.err.begin(), vir.err.end(), '\n'), 1) << vir.err;
  }
  const Outcome all = call({"explain", kLayers[0], "--schedule", "split f 16"});
  EXPECT_EQ(all.exit_code, 2);
  for (const char* stage : {"spec", "problem", "nest", "schedule"})
    EXPECT_THAT(all.out, HasSubstr(std::string("== ") + stage + " ==")) << stage;
  EXPECT_THAT(all.out, Not(HasSubstr("== vir ==")));
  const Outcome illegal =
      call({"explain", kLayers[0], "--schedule", "split q 16", "--stage", "problem,nest"});
  EXPECT_EQ(illegal.exit_code, 2);
  EXPECT_THAT(illegal.out, HasSubstr("== problem =="));
}

TEST(Explain, ANestThatIsNotWholeCanBeLookedAtButNotRun) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "part.nest", call({"explain", kLayers[0], "--stage", "nest", "--schedule", "split f 16"}).out);
  EXPECT_EQ(call({"explain", file, "--stage", "nest"}).exit_code, 0);
  for (const char* command : {"verify", "compare"}) {
    const Outcome outcome = call({command, file});
    EXPECT_EQ(outcome.exit_code, 2) << command;
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  }
}

TEST(Explain, TheAssemblyIsThatOfTheBackEnd) {
  const Json xbyak = Json::parse(
      call({"explain", kLayers[0], "--isa", "avx2", "--stage", "asm", "--backend", "xbyak", "--json"}).out);
  EXPECT_EQ(xbyak["asm"]["backend"], "xbyak");
  const Outcome interp = call({"explain", kLayers[0], "--stage", "asm", "--backend", "interp"});
  EXPECT_EQ(interp.exit_code, 2);
  EXPECT_THAT(interp.err, HasSubstr("--stage asm is not made by --backend interp"));
  EXPECT_THAT(interp.out, IsEmpty());
  EXPECT_EQ(call({"explain", kLayers[0], "--stage", "llvm", "--backend", "xbyak", "--isa", "avx2"}).exit_code,
            2);
  EXPECT_EQ(call({"explain", kLayers[0], "--backend", "interp"}).exit_code, 0);
  const Outcome llvm = call({"explain", kLayers[0], "--isa", "avx2", "--stage", "asm", "--backend", "llvm"});
  if (llvm.err.find("not available") != std::string::npos) GTEST_SKIP() << "built without LLVM";
  ASSERT_EQ(llvm.exit_code, 0) << llvm.err;
  EXPECT_THAT(llvm.out, HasSubstr(".text"));
  EXPECT_THAT(llvm.out, Not(HasSubstr("bytes of machine code")));
  EXPECT_EQ(call({"explain", kLayers[0], "--isa", "baseline", "--stage", "asm"}).exit_code, 0);
}

TEST(Explain, OptionsThatWouldBeIgnoredAreRefused) {
  const TemporaryFolder folder;
  const std::string nest = explained(folder, kLayers[0], "nest");
  const std::string model = folder.write("unet.json", test::unet_json(4));
  for (const Words& words :
       {Words{"explain", model, "--input-shape", "None,2"}, Words{"explain", kLayers[0], "--threads", "2"},
        Words{"verify", nest, "--tuning", "t"}, Words{"compare", nest, "--input-shape", "9,6"},
        Words{"explain", nest, "--rules", "keras2"}, Words{"verify", nest, "--schedule", "cut o"},
        Words{"verify", kLayers[0], "--random-model", "3"}}) {
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.exit_code, 2) << words[2];
    EXPECT_THAT(outcome.err, HasSubstr(words[2]));
  }
}

TEST(FittingLengths, EveryCommandNamesTheLayerAndWhatFits) {
  for (const int stride : {3, 4, 7}) {
    const TemporaryFolder folder;
    const std::string model = folder.write("unet.json", test::unet_json(stride));
    const std::string x = input_file(folder, "x.npy", {1, 50 * stride + 1, 2});
    const std::string steps = std::to_string(50 * stride + 1);
    const Words all[] = {{"run", model, "--input", x},
                         {"compare", model, "--steps", steps},
                         {"verify", model, "--steps", steps},
                         {"tune", model, "--steps", steps}};
    for (const Words& words : all) {
      const Outcome outcome = call(words);
      EXPECT_EQ(outcome.exit_code, 2) << words[0] << outcome.out;
      EXPECT_THAT(outcome.err, HasSubstr("Layer 'skip'")) << words[0];
      EXPECT_THAT(outcome.err, HasSubstr("the nearest that fit are " + std::to_string(50 * stride) + " and " +
                                         std::to_string(51 * stride)));
      EXPECT_THAT(outcome.out, Not(HasSubstr("GF/s")));
    }
  }
}

TEST(FittingLengths, VerifyAndCompareChooseThem) {
  const TemporaryFolder folder;
  const std::string model = folder.write("unet.json", test::unet_json(7));
  const Outcome verify = call({"verify", model, "--random", "20", "--backend", "interp", "--json"});
  EXPECT_EQ(verify.exit_code, 0) << verify.out;
  EXPECT_EQ(Json::parse(verify.out)["failures"], Json::array());
  const Outcome compare = call({"compare", model, "--backend", "interp", "--json"});
  EXPECT_EQ(compare.exit_code, 0) << compare.err;
  EXPECT_EQ(Json::parse(compare.out)["steps"], 1022);
  EXPECT_THAT(compare.err, HasSubstr("1024 steps do not fit"));
}

// Most taps of this layer lie in the padding: counted, they would be more than the peak.
TEST(CompareCommand, SharesOfThePeakAreNoMoreThanAllOfIt) {
  const Outcome outcome =
      call({"compare", "Conv1D(64, 9, dilation_rate=200, padding='same', input_shape=(64, 64))", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const Json compared = Json::parse(outcome.out);
  for (const Json& row : compared["rows"]) EXPECT_LE(row["peak_share"], 1.0);
}

}  // namespace
}  // namespace convsmith::cli_test
