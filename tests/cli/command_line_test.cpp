// The command line itself: help, what is mistyped, numbers out of range, what info says of the host,
// denormals, and Ctrl-C.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/measure/processors.hpp"
#include "frontend/base/utf8.hpp"
#include "runtime/tuning.hpp"
#include "tests/cli/call_cli.hpp"
#include "tests/support/places.hpp"
#include "tests/support/process.hpp"

namespace convsmith::cli {
namespace {

using cli_test::call;
using cli_test::Outcome;
using cli_test::TemporaryFolder;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

const std::string kLayer = "Conv1D(3, 2, use_bias=False, input_shape=(10, 4))";

TEST(CommandLine, HelpAndVersionAreUnderstood) {
  EXPECT_EQ(call({"help"}).out, call({"--help"}).out);
  for (const char* command : {"run", "inspect", "explain", "compile", "compare", "tune", "verify", "info"}) {
    const Outcome help = call({"help", command});
    EXPECT_EQ(help.exit_code, 0) << command;
    EXPECT_EQ(help.out, call({command, "--help"}).out);
  }
  const Outcome version = call({"-v"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.out, call({"--version"}).out);
}

TEST(CommandLine, InfoAndInspectOfferWhatMeansSomethingThere) {
  for (const char* option :
       {"--rules", "--backend", "--isa", "--schedule", "--threads", "--seed", "--tuning"})
    EXPECT_THAT(call({"info", "--help"}).out, Not(HasSubstr(option)));
  const std::string inspect = call({"inspect", "--help"}).out;
  for (const char* option : {"--backend", "--isa", "--schedule", "--threads", "--seed", "--tuning"})
    EXPECT_THAT(inspect, Not(HasSubstr(option)));
  for (const char* option : {"--rules", "--input-shape", "--json", "--weights"})
    EXPECT_THAT(inspect, HasSubstr(option));
}

TEST(CommandLine, WhatIsMistypedIsNamed) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"rnu", "x"}, "There is no command 'rnu'; the commands are run, inspect, "},
      {{"rnu", "x"}, " Did you mean 'run'?"},
      {{"comapre", kLayer}, " Did you mean 'compare'?"},
      {{"ru", "x"}, " Did you mean 'run'?"},
      {{"explian", kLayer}, " Did you mean 'explain'?"},
      {{"help", "veryfi"}, " Did you mean 'verify'?"},
      {{"info", "--jsom"}, "convsmith info has no option '--jsom'; "},
      {{"info", "--jsom"}, " Did you mean '--json'?"},
      {{"compare", kLayer, "--bakend=llvm"}, " Did you mean '--backend'?"},
      {{"verify", kLayer, "--smal-chunks"}, " Did you mean '--small-chunks'?"},
      {{"--verison"}, " Did you mean '--version'?"},
      {{"inspect", kLayer, "more"}, "'more' is one word too many for convsmith inspect"},
  };
  for (const auto& [words, message] : cases) {
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.exit_code, 2) << words[0];
    EXPECT_THAT(outcome.err, StartsWith("error: "));
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
  for (const char* word : {"frobnicate", "tensorflow"})
    EXPECT_THAT(call({word}).err, Not(HasSubstr("Did you mean")));
}

// Whatever files hold: no sentence and no report steers a terminal.
TEST(CommandLine, NoControlBytesOfFilesArePrinted) {
  const TemporaryFolder folder;
  const std::string evil = "\x1b[31m\x07\x7f\xc2\x9b\x9b\xffx";
  const std::string x = folder.write("x.csv", "a,b\n1,2\n3,4\n");
  const std::string tuning = R"({"format": "convsmith tuning", "version": 1, "convsmith": "1", "cpu": ")" +
                             evil + R"(", "entries": []})";
  const std::vector<std::vector<std::string>> lines = {
      {"verify", folder.write("a.vir", evil)},
      {"verify", folder.write("b.vir", "# run in=8 out=8\nvir " + evil + " lanes 8 scratch 0 {\n}\n")},
      {"compare", folder / "b.vir", "--backend", "interp"},
      {"explain", folder / "b.vir", "--backend", "interp"},
      {"verify", folder.write("c.vir", "# run in" + evil + "=8\nvir x lanes 8 scratch 0 {\n}\n")},
      {"verify", folder.write("a.nest", "nest " + evil + " {\n}\n")},
      {"verify", folder.write("b.nest", "nest Conv1D(4, 3, input_shape=(None, 4)) {\n " + evil + "\n}\n")},
      {"run", "Dense(3)", "--input", folder.write("a.csv", "a,b\n1," + evil + "\n")},
      {"run", "Dense(3)", "--input", folder.write("b.csv", evil + ",b\n1,2\n")},
      {"run", "Dense(3)", "--input", x + ":" + evil},
      {"inspect", folder.write("a.json", R"({"class_name": ")" + evil + R"(", "config": {}})")},
      {"inspect", folder.write("b.json", evil)},
      {"explain", folder.write("c.json", R"({"class_name": "Conv1D", "config": {")" + evil + R"(": 1}})")},
      {"explain", kLayer, "--schedule", folder.write("s", evil)},
      {"explain", kLayer, "--schedule", evil},
      {"run", kLayer, "--input", x, "--tuning", folder.write("t.json", tuning)},
      {"run", kLayer, "--" + evil},
      {"run", kLayer, "--input", folder / evil},
      {evil}};
  for (const auto& words : lines) {
    const Outcome outcome = call(words, "CONVSMITH_VERBOSE=2");
    EXPECT_FALSE(outcome.err.empty() && outcome.out.empty());
    const std::string said = outcome.err + outcome.out;
    for (const char* bad : {"\x1b", "\x07", "\x7f", "\xc2\x9b", "\x9b", "\xff"})
      EXPECT_EQ(said.find(bad), std::string::npos) << words[0] << " " << words.back() << "\n" << said;
  }
  EXPECT_EQ(without_controls("a\tb\n\xc3\xa9\xc2\xa0\xe2\x82\xac\r\xc3"),
            "a\tb\n\xc3\xa9\xc2\xa0\xe2\x82\xac??");
}

TEST(CommandLine, HelpHasTheExamplesOfItsCommand) {
  for (const char* command : {"run", "inspect", "explain", "compile", "compare", "tune", "verify", "info"}) {
    const std::string help = call({command, "--help"}).out;
    EXPECT_THAT(help, HasSubstr(std::string("  convsmith ") + command));
    EXPECT_THAT(help, Not(HasSubstr("Environment:"))) << command;
    for (const char* other : {"run", "inspect", "explain", "compile", "compare", "tune", "verify", "info"})
      if (std::string(other) != command) {
        EXPECT_THAT(help, Not(HasSubstr(std::string("\n  convsmith ") + other))) << command;
      }
  }
  EXPECT_THAT(call({"--help"}).out, HasSubstr("Environment:"));
}

TEST(CommandLine, NumbersOutOfRangeAreFullSentences) {
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{"compare", kLayer, "--batch", "0"},
       "--batch: its value '0' is no whole number from 1 to 1099511627776."},
      {{"compare", kLayer, "--steps", "ten"}, "--steps: its value 'ten' is no whole number from 1 to "},
      {{"compare", kLayer, "--threads", "5000"},
       "--threads: its value '5000' is no whole number from 1 to 1024."},
      {{"verify", kLayer, "--jobs", "1.5"}, "--jobs: its value '1.5' is no whole number from 1 to 64."},
      {{"verify", "--random", "-3"}, "--random: its value '-3' is no whole number from 1 to "},
      {{"tune", kLayer, "--seconds", "-1"},
       "--seconds: its value '-1' is no number of seconds from 0 to a million."},
      {{"explain", kLayer, "--pass", "0"}, "--pass: its value '0' is no whole number from 1 to 1000000."},
      {{"compare", kLayer, "--denormals", "never"}, "--denormals is 'never'; it must be one of keep|flush."},
  };
  for (const auto& [words, message] : cases) {
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.exit_code, 2) << message;
    EXPECT_THAT(outcome.err, HasSubstr(message));
  }
}

TEST(CommandLine, InfoChecksEveryVariable) {
  const TemporaryFolder folder;
  struct Case {
    const char* name;
    std::string good;
    std::string bad;
    const char* problem;
  };
  const Case cases[] = {
      {"CONVSMITH_VERBOSE", "0", "x", "CONVSMITH_VERBOSE is 'x'; it must be 0, 1 or 2."},
      {"CONVSMITH_DUMP", "nest,vir", "nest,foo", "CONVSMITH_DUMP names 'foo'"},
      {"CONVSMITH_MAX_ISA", "avx2", "sse", "CONVSMITH_MAX_ISA is 'sse'"},
      {"CONVSMITH_NUM_THREADS", "3", "many", "it must be a whole number from 1 to 1024."},
      {"CONVSMITH_NUM_THREADS", "1", "0", "CONVSMITH_NUM_THREADS is '0'"},
      {"CONVSMITH_H5_HELPER", "", "/bin/true", "does not answer as the program of this version does"},
      {"CONVSMITH_H5_HELPER", "", "/bin/cat", "does not answer as the program of this version does"},
      {"CONVSMITH_LLVM_MODULE", "", "/nowhere.so", "The LLVM back end is not available"},
      {"CONVSMITH_CACHE_DIR", folder / "cache", folder / "no/cache", "which can't be made: No such file"},
      {"CONVSMITH_CACHE_BYTES", "1000", "1 GB", "CONVSMITH_CACHE_BYTES is '1 GB'"},
      {"CONVSMITH_TUNING", "", folder / "none.json", "is no file that can be read"},
      {"CONVSMITH_PROFILE", "perf,gdb", "vtune", "CONVSMITH_PROFILE is 'vtune'"},
      {"JITDUMPDIR", folder / "", folder / "missing", "which is no folder"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    const std::string text = call({"info"}).out;
    EXPECT_THAT(text, HasSubstr(std::string(c.name) + " "));
    const auto variable = [&](const std::string& value) {
      const Outcome outcome = call({"info", "--json"}, std::string(c.name) + "=" + cli_test::quoted(value));
      EXPECT_EQ(outcome.exit_code, 0);
      return Json::parse(outcome.out)["variables"][c.name];
    };
    const Json good = variable(c.good);
    EXPECT_EQ(good["value"], c.good);
    EXPECT_EQ(good["valid"], true) << good;
    const Json bad = variable(c.bad);
    EXPECT_EQ(bad["value"], c.bad);
    EXPECT_EQ(bad["valid"], false);
    EXPECT_THAT(bad["problem"].get<std::string>(), HasSubstr(c.problem));
    EXPECT_FALSE(bad["legal"].get<std::string>().empty());
    const std::string shown = call({"info"}, std::string(c.name) + "=" + cli_test::quoted(c.bad)).out;
    EXPECT_THAT(shown, HasSubstr("wrong, may be " + bad["legal"].get<std::string>()));
  }
  EXPECT_FALSE(std::filesystem::exists(folder / "cache")) << "info only looks";
}

TEST(CommandLine, AWrongLevelOfVerbosityIsSaid) {
  EXPECT_THAT(call({"explain", kLayer, "--stage", "schedule"}, "CONVSMITH_VERBOSE=loud").err,
              HasSubstr("CONVSMITH_VERBOSE is 'loud'; it must be 0, 1 or 2."));
}

TEST(CommandLine, InfoShowsWhatTheHostLeaves) {
  const Json json = Json::parse(call({"info", "--json"}).out);
  EXPECT_GT(json["cpu_id"]["family"], 0);
  EXPECT_THAT(json["code_memory"].get<std::string>(), StartsWith("ok: mapped twice"));
  cpu_set_t set;
  ASSERT_EQ(sched_getaffinity(0, sizeof set, &set), 0);
  if (CPU_COUNT(&set) < 2) GTEST_SKIP() << "There is one processor.";
  int first = 0;
  while (!CPU_ISSET(first, &set)) ++first;
  const Outcome one = call({"info"}, "taskset -c " + std::to_string(first));
  EXPECT_THAT(one.out, HasSubstr(", 1 allowed by affinity"));
}

TEST(Processors, QuotasOfBothVersionsCount) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::filesystem::create_directories(std::filesystem::path(folder / name).parent_path());
    folder.write(name, text);
  };
  EXPECT_FALSE(find_processors(folder / "").quota);
  write("proc/self/cgroup", "0::/a/b\n");
  write("sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  EXPECT_FALSE(find_processors(folder / "").quota);
  write("sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  EXPECT_EQ(find_processors(folder / "").quota, 1.5);
  write("sys/fs/cgroup/a/b/cpu.max", "50000 100000\n");
  EXPECT_EQ(find_processors(folder / "").quota, 0.5);
  write("proc/self/cgroup", "5:memory:/x\n4:cpu,cpuacct:/c\n");
  write("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "25000\n");
  write("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(find_processors(folder / "").quota, 0.25);
  write("sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us", "-1\n");
  EXPECT_FALSE(find_processors(folder / "").quota);
  EXPECT_EQ(describe({8, 3, 0.5}), "8, 3 allowed by affinity, 0.5 by the cgroup's quota");
  EXPECT_EQ(describe({2, 2, {}}), "2");
}

TEST(CommandLine, RunFlushesDenormals) {
  const TemporaryFolder folder;
  Tensor x{{1, 5, 1}, {1e-40F, 2.0F, -1e-39F, 0x1p-126F, 4.0F}};
  ASSERT_TRUE(write_signal(folder / "x.npy", FileFormat::kNpy, x, 0));
  ASSERT_TRUE(write_signal(folder / "kernel.npy", FileFormat::kNpy, {{1, 1, 1}, {0.5F}}, 0));
  const auto run = [&](const std::string& denormals, const std::string& backend) {
    const Outcome outcome =
        call({"run", "Conv1D(1, 1, use_bias=False)", "--input", folder / "x.npy", "--weights", folder / "",
              "--output", folder / "y.npy", "--denormals", denormals, "--backend", backend});
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    return cli_test::read_npy(folder / "y.npy").data;
  };
  for (const char* backend : {"auto", "interp"}) {
    EXPECT_EQ(run("flush", backend), (std::vector<float>{0, 1, 0, 0, 2}));
    EXPECT_EQ(run("keep", backend), (std::vector<float>{0.5F * 1e-40F, 1, 0.5F * -1e-39F, 0x1p-127F, 2}));
  }
}

TEST(CommandLine, CompareAndVerifyFlushDenormals) {
  const Outcome compare = call({"compare", kLayer, "--denormals", "flush", "--json"});
  ASSERT_EQ(compare.exit_code, 0) << compare.err;
  const Json compared = Json::parse(compare.out);
  for (const Json& row : compared["rows"]) EXPECT_EQ(row["bit_equal"], true) << row;
  for (const char* denormals : {"keep", "flush"}) {
    const Outcome verify =
        call({"verify", kLayer, "--random", "8", "--data", "tiny", "--denormals", denormals});
    EXPECT_EQ(verify.exit_code, 0) << verify.out;
  }
  EXPECT_EQ(call({"verify", "--random", "2", "--denormals", "flush"}).exit_code, 2);
}

TEST(CommandLine, AForeignTuningFileIsNoted) {
  const TemporaryFolder folder;
  CpuId other = this_cpu();
  ++other.model;
  const std::string foreign = folder.write("foreign.json", print_tuning({"0.1.0", other, {}}));
  const std::string own = folder.write("own.json", print_tuning({"0.1.0", this_cpu(), {}}));
  const std::string note = "Its schedules were measured on another CPU, ";
  const std::vector<std::string> explain = {"explain", kLayer, "--stage", "schedule"};
  const auto with = [&](std::vector<std::string> words, const std::string& file) {
    words.insert(words.end(), {"--tuning", file});
    return call(words);
  };
  EXPECT_THAT(with(explain, foreign).err, HasSubstr("note: --tuning: " + note));
  EXPECT_EQ(with(explain, own).err, "");
  EXPECT_EQ(with(explain, foreign).out, with(explain, own).out);
  EXPECT_THAT(call(explain, "CONVSMITH_TUNING=" + foreign).err, HasSubstr("note: CONVSMITH_TUNING: " + note));
  EXPECT_THAT(with({"verify", kLayer, "--random", "1"}, foreign).err, HasSubstr(note));
  const Outcome refused = call({"tune", kLayer, "-o", foreign});
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_THAT(refused.err, HasSubstr("which was measured on another CPU"));
}

// Finished kernels survive Ctrl-C.
TEST(CommandLine, InterruptedTuningWritesWhatIsFinished) {
  const TemporaryFolder folder;
  std::string table =
      "name,op,batch,steps,in_channels,filters,kernel_size,strides,dilation_rate,groups,padding,where\n";
  for (int i = 0; i < 40; ++i)
    table += "row" + std::to_string(i) + ",conv1d,1,64,4," + std::to_string(8 + i) + ",3,1,1,1,same,here\n";
  const std::string shapes = folder.write("s.csv", table);
  const std::string file = folder / "t.json";
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    // As from a terminal, whatever ran us.
    signal(SIGINT, SIG_DFL);
    if (std::freopen((folder / "out").c_str(), "w", stdout) == nullptr) _exit(98);
    if (std::freopen((folder / "err").c_str(), "w", stderr) == nullptr) _exit(98);
    const std::string program = places::program();
    execl(program.c_str(), program.c_str(), "tune", shapes.c_str(), "--seconds", "0.2", "-o", file.c_str(),
          nullptr);
    _exit(99);
  }
  ASSERT_GT(child, 0);
  for (int i = 0; i < 6000 && !std::filesystem::exists(file); ++i) usleep(10'000);
  usleep(20'000);
  kill(child, SIGINT);
  EXPECT_EQ(test::status_text(test::wait_for(child)), "exit 130");
  const auto tuning = parse_tuning(TemporaryFolder::read(file), file);
  ASSERT_TRUE(tuning) << tuning.error().message;
  const size_t finished = tuning->entries.size();
  EXPECT_GE(finished, 1U);
  EXPECT_LT(finished, 40U);
  EXPECT_THAT(TemporaryFolder::read(folder / "err"),
              HasSubstr("Interrupted: " + std::to_string(finished) +
                        " of 40 kernels are finished. They are in " + file + "."));
}

}  // namespace
}  // namespace convsmith::cli
