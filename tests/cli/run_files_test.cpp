// The files of run: pipes, what is checked before anything is computed, what is kept where writing fails.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "tests/cli/call_cli.hpp"

namespace convsmith::cli {
namespace {

using cli_test::input_file;
using cli_test::Outcome;
using cli_test::quoted;
using cli_test::read_npy;
using cli_test::TemporaryFolder;
using ::testing::HasSubstr;

// A command line of the shell in which $C is the program and $L a layer; `folder` is where it runs.
Outcome shell(const TemporaryFolder& folder, const std::string& line) {
  const TemporaryFolder said;
  const std::string command = "cd " + quoted(folder / "") + "; C=" + quoted(places::program()) +
                              "; L='Conv1D(4, 3)'; { " + line + "; } >" + quoted(said / "out") + " 2>" +
                              quoted(said / "err");
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, TemporaryFolder::read(said / "out"),
          TemporaryFolder::read(said / "err")};
}

TEST(Streams, EveryFormatGoesThroughPipes) {
  const TemporaryFolder folder;
  input_file(folder, "x.npy", {1, 12, 2});
  const Tensor rows{{12, 2}, read_npy(folder / "x.npy").data};
  ASSERT_TRUE(write_signal(folder / "x.csv", FileFormat::kCsv, rows, 0));
  ASSERT_TRUE(write_signal(folder / "x.wav", FileFormat::kWav, rows, 8000));
  ASSERT_EQ(shell(folder, "$C run \"$L\" --input x.npy --output y.npy").exit_code, 0);
  const Tensor expected = read_npy(folder / "y.npy");
  for (const std::string format : {"npy", "csv", "wav"}) {
    const std::string x = "x." + format;
    const Outcome piped = shell(folder, "cat " + x + " | $C run \"$L\" --input - --output - >piped");
    ASSERT_EQ(piped.exit_code, 0) << piped.err;
    EXPECT_THAT(piped.err, HasSubstr("back end")) << "the report makes way";
    ASSERT_EQ(shell(folder, "$C run \"$L\" --input " + x + " --output file." + format).exit_code, 0);
    EXPECT_EQ(TemporaryFolder::read(folder / "piped"), TemporaryFolder::read(folder / ("file." + format)));
    const Outcome other =
        shell(folder, "$C run \"$L\" --input /dev/stdin --output /dev/stdout --output-format npy <" + x +
                          " | cat >y");
    const auto array = read_signal(folder / "y", FileFormat::kNpy);
    ASSERT_TRUE(array) << other.err;
    EXPECT_EQ(array->tensor.data, expected.data) << format;
  }
}

TEST(Streams, NamedPipesAreWaitedFor) {
  const TemporaryFolder folder;
  input_file(folder, "x.npy", {1, 12, 2});
  const Outcome outcome = shell(folder,
                                "mkfifo in out; cat x.npy >in & cat out >y.npy & "
                                "$C run \"$L\" --input in --output out; code=$?; wait; exit $code");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(read_npy(folder / "y.npy").shape, (std::vector<int64_t>{1, 10, 4}));
}

TEST(Streams, TheReportAsJsonMakesWayToo) {
  const TemporaryFolder folder;
  input_file(folder, "x.npy", {1, 12, 2});
  const Outcome outcome = shell(folder, "$C run \"$L\" --input x.npy --output - --output-format csv --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(nlohmann::json::parse(outcome.err)["output"], "-");
  const auto signal = parse_csv(outcome.out, "out");
  ASSERT_TRUE(signal);
  EXPECT_EQ(signal->tensor.shape, (std::vector<int64_t>{10, 4}));
}

// An array that is cut off is an error; a text may be, as by `head`.
TEST(Streams, AReaderThatLeavesIsNoCrash) {
  const TemporaryFolder folder;
  input_file(folder, "x.npy", {1, 100000, 2});
  const std::pair<const char*, const char*> lines[] = {
      {"$C run \"$L\" --input x.npy --output -", "can't be written"},
      {"$C run \"$L\" --input x.npy --output - --output-format csv", "can't be written"},
      {"$C explain 'Conv1D(512, 9, input_shape=(None, 64))' --stage nest,vir --backend interp", ""},
      {"$C --generate man", ""},
      {"$C --help-all", ""}};
  for (const auto& [line, said] : lines) {
    // A page fits into the pipe, so nobody writes before the reader has left.
    const Outcome outcome =
        shell(folder, std::string("rm -f left; { until [ -e left ]; do sleep 0.01; done; ") + line +
                          " 2>err; echo $? >code; } | { exec <&-; touch left; }");
    EXPECT_EQ(TemporaryFolder::read(folder / "code"), "1\n") << line << TemporaryFolder::read(folder / "err");
    const std::string err = TemporaryFolder::read(folder / "err");
    EXPECT_THAT(err, HasSubstr(said)) << line;
    EXPECT_EQ(err.empty(), *said == '\0') << line << err;
  }
}

// sub = aa - zz, pos = relu(aa); taken in the order aa, zz.
TEST(RunFiles, GoToInputsAndOutputsByName) {
  const TemporaryFolder folder;
  folder.write("two.json", cli_test::model_of_two_inputs(1));
  folder.write("a.csv", "-5\n7\n");
  folder.write("z.csv", "1\n2\n");
  folder.write("a=z.csv", "10\n20\n");
  struct Case {
    const char* files;
    const char* sub;  // empty: not written
    const char* pos;
  };
  const Case cases[] = {
      {"--input a.csv --input z.csv --output s --output p", "-6\n5\n", "0\n7\n"},
      {"--input zz=z.csv --input aa=a.csv --output pos=p --output sub=s", "-6\n5\n", "0\n7\n"},
      {"--input zz=a.csv --input z.csv --output pos=p", "", "1\n2\n"},
      {"--input a.csv --input aa=z.csv --output pos=p --output s", "6\n-5\n", "1\n2\n"},
      {"--input a=z.csv --input zz=a=z.csv --output s", "0\n0\n", ""},
      {"--input aa=- --input zz=z.csv:1 --output sub=- <a.csv >s", "-6\n5\n", ""},
      {"--input a.csv --input z.csv --output ./sub=x && mv sub=x s", "-6\n5\n", ""},
      {"--input a.csv --input z.csv --expected pos=p.csv --tolerance 0 --output s", "-6\n5\n", ""},
  };
  folder.write("p.csv", "0\n7\n");
  for (const Case& test : cases) {
    const Outcome outcome = shell(folder, std::string("$C run two.json --output-format csv ") + test.files);
    EXPECT_EQ(outcome.exit_code, 0) << test.files << outcome.err;
    EXPECT_EQ(TemporaryFolder::read(folder / "s"), test.sub) << test.files;
    EXPECT_EQ(TemporaryFolder::read(folder / "p"), test.pos) << test.files;
    std::filesystem::remove(folder / "s");
    std::filesystem::remove(folder / "p");
  }
}

TEST(RunFiles, NamesThatAreNoneAreRefused) {
  const TemporaryFolder folder;
  folder.write("two.json", cli_test::model_of_two_inputs(1));
  folder.write("a.csv", "-5\n7\n");
  const std::pair<const char*, const char*> cases[] = {
      {"--input ab=a.csv --input a.csv", "the model has none that is called 'ab'; there are aa, zz"},
      {"--input aa=a.csv --input aa=a.csv", "'aa' is given twice"},
      {"--input aa=a.csv", "2 inputs"},
      {"--input a.csv --input a.csv --output subs=y.csv", "'subs'; there are sub, pos"},
      {"--input a.csv --input a.csv --output pos=y.csv --output pos=z.csv", "'pos' is given twice"},
      {"--input a.csv --input a.csv --expected aa=a.csv", "'aa'; there are sub, pos"},
      {"--input a.csv --input zz=b.csv", "b.csv can't be opened"},
  };
  for (const auto& [files, message] : cases) {
    const Outcome outcome = shell(folder, std::string("$C run two.json ") + files);
    EXPECT_EQ(outcome.exit_code, 2) << files;
    EXPECT_THAT(outcome.err, HasSubstr(message)) << files;
    EXPECT_EQ(folder.count(), 2U) << files;
  }
}

// Each would compute for hours.
TEST(RunFiles, WhatCannotBeWrittenIsRefusedFirst) {
  const TemporaryFolder folder;
  input_file(folder, "x.npy", {8, 2000, 16});
  folder.write("x.csv", "1,2\n3,4\n5,6\n7,8\n");
  const std::string run = "timeout 100 $C run 'Conv1D(64, 9, padding=\"same\")' --repeat 1000000 ";
  const std::pair<const char*, int> cases[] = {
      {"--input x.npy --output nodir/p.npy", 1}, {"--input x.npy --output x.csv/p.npy", 1},
      {"--input x.npy --plot nodir/p.svg", 1},   {"--input x.npy --plot p.png", 2},
      {"--input x.npy --expected x.npy", 2},     {"--input x.npy --clean x.csv", 2},
      {"--input x.npy --output p.csv", 2},       {"--input x.csv --output p.wav", 2},
      {"--input x.npy --output p.txt", 2},       {"--input x.csv --output p.npy --output q.npy", 2},
  };
  for (const auto& [files, exit_code] : cases) {
    const Outcome outcome = shell(folder, run + files);
    EXPECT_EQ(outcome.exit_code, exit_code) << files << outcome.err;
    EXPECT_EQ(folder.count(), 2U) << files;
  }
}

TEST(RunFiles, WhatCanBeKeptIsKept) {
  const TemporaryFolder folder;
  input_file(folder, "x.npy", {1, 12, 2});
  const Outcome outcome = shell(folder, "$C run \"$L\" --input x.npy --output /dev/full --plot p.svg --json");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("The output /dev/full can't be written: No space left on device."));
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_FALSE(json.contains("output"));
  EXPECT_EQ(json["plot"], "p.svg");
  EXPECT_THAT(TemporaryFolder::read(folder / "p.svg"), HasSubstr("</svg>"));
}

TEST(RunFiles, AnOutputMayBeTheInput) {
  const TemporaryFolder folder;
  const std::string x = input_file(folder, "x.npy", {1, 12, 4});
  ASSERT_EQ(shell(folder,
                  "$C run \"$L\" --input x.npy --output y.npy && $C run \"$L\" --input x.npy --output x.npy")
                .exit_code,
            0);
  EXPECT_EQ(TemporaryFolder::read(x), TemporaryFolder::read(folder / "y.npy"));
}

TEST(RunFiles, FoldersAndFilesThatMayNotBeWritten) {
  if (geteuid() == 0) GTEST_SKIP() << "root may write everything";
  const TemporaryFolder folder;
  input_file(folder, "x.npy", {1, 12, 2});
  const Outcome outcome =
      shell(folder,
            "mkdir locked; touch old.npy; chmod 555 locked; chmod 444 old.npy; "
            "$C run \"$L\" --input x.npy --output locked/y.npy; a=$?; "
            "$C run \"$L\" --input x.npy --output old.npy; b=$?; chmod 755 locked; exit $a$b");
  EXPECT_EQ(outcome.exit_code, 11) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("its folder locked takes no files (Permission denied)"));
  EXPECT_THAT(outcome.err, HasSubstr("old.npy can't be written: Permission denied"));
}

}  // namespace
}  // namespace convsmith::cli
