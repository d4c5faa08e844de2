// The tune subcommand: what it measures and prints, the file that it writes, and what uses that file.
#include "cli/measure/tune.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "cli/commands.hpp"
#include "cli/measure/computed_products.hpp"
#include "cli/measure/shapes.hpp"
#include "cli/verify/check_graph.hpp"
#include "codegen/schedule/choose_schedule.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/problem_text.hpp"
#include "tests/cli/call_cli.hpp"

namespace convsmith::cli {
namespace {

using cli_test::call;
using cli_test::Outcome;
using cli_test::TemporaryFolder;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

constexpr const char* kLayer = "Conv1D(24, 3, padding='same', input_shape=(64, 8))";
constexpr const char* kHeader =
    "name,op,batch,steps,in_channels,filters,kernel_size,strides,dilation_rate,groups,padding,where\n";

bool can_measure() {
  const auto choice = choose_backend(Backend::kAuto, Isa::kAuto);
  return choice && choice->backend != Backend::kInterp && choice->isa != Isa::kBaseline;
}

ir::Graph graph_of(const char* text, int64_t channels) {
  return ir::build_graph(parse_layer(text, Rules::kAny).value().spec, channels, Rules::kAny).value();
}

// The figure of compare, of layers that are one kernel.
TEST(Tune, CountsOperationsAsCompareDoes) {
  for (const char* text : {"Conv1D(24, 11, dilation_rate=7, padding='same', input_shape=(None, 8))",
                           "Conv1D(24, 9, strides=2, padding='same', input_shape=(None, 8))",
                           "Conv1D(24, 5, padding='causal', input_shape=(None, 8))",
                           "Conv1D(24, 5, groups=2, input_shape=(None, 8))",
                           "DepthwiseConv1D(9, padding='same', input_shape=(None, 8))"}) {
    const ir::Graph graph = graph_of(text, 8);
    const auto calls = kernel_calls(graph, 3, 20);
    ASSERT_EQ(calls.size(), 1U) << text;
    EXPECT_EQ(calls[0].operations(), 2 * computed_products(graph, 3, input_steps(graph, 20))) << text;
  }
}

TEST(Tune, FindsTheKernelsOfACall) {
  const auto one = kernel_calls(graph_of(kLayer, 8), 2, 64);
  ASSERT_EQ(one.size(), 1U);
  // Of the three taps the first and the last each meet one step of padding.
  EXPECT_EQ(one[0].operations(), 2.0 * 2 * (64 * 3 - 2) * 8 * 24);
  EXPECT_EQ(one[0].batch, 2);
  // Phases with equal numbers of taps are one kernel; the single rows at the ends are left out.
  const auto transposed =
      kernel_calls(graph_of("Conv1DTranspose(5, 4, strides=2, input_shape=(None, 3))", 3), 1, 50);
  ASSERT_EQ(transposed.size(), 1U);
  EXPECT_EQ(transposed[0].part.phases, 2);
  // Where phases differ, each has its kernel.
  const auto odd =
      kernel_calls(graph_of("Conv1DTranspose(5, 3, strides=2, input_shape=(None, 3))", 3), 1, 50);
  EXPECT_EQ(odd.size(), 2U);
  const auto separable =
      kernel_calls(graph_of("SeparableConv1D(6, 5, activation='softmax', input_shape=(None, 4))", 4), 3, 50);
  ASSERT_EQ(separable.size(), 2U) << "the softmax is no nest";
  EXPECT_THAT(separable[1].name, HasSubstr("pass 2 of 3"));
  EXPECT_EQ(separable[1].batch, 1) << "samples of pointwise kernels are one run";
  EXPECT_EQ(separable[1].steps, 3 * 46);
}

TEST(Tune, MeasuresCandidatesWithEqualBits) {
  if (!can_measure()) GTEST_SKIP() << "no machine code";
  const Isa isa = detect_isa();
  for (const auto& [text, channels] : {std::pair(kLayer, 8),
                                       {"Conv1DTranspose(5, 4, strides=2, input_shape=(None, 3))", 3},
                                       {"DepthwiseConv1D(5, padding='same', input_shape=(None, 20))", 20},
                                       {"Conv1D(64, 3, input_shape=(None, 320))", 320}}) {
    for (const KernelCall& one : kernel_calls(graph_of(text, channels), 2, 70)) {
      size_t calls = 0;
      const TuneOptions options{{Backend::kXbyak, isa}, 0.002, 1, [&](size_t) { ++calls; }, {}};
      const auto result = tune_kernel(one, options);
      ASSERT_TRUE(result) << result.error().message;
      const std::optional<TunedKernel>& tuned = *result;
      ASSERT_TRUE(tuned);
      EXPECT_THAT(tuned->mismatches, testing::IsEmpty());
      EXPECT_GT(tuned->candidates, 2U);
      EXPECT_GT(calls, tuned->candidates - 1);
      EXPECT_EQ(tuned->chosen, choose_schedule(one.part.problem, host_target(isa))) << "what compile takes";
      EXPECT_GT(tuned->best_us, 0);
      EXPECT_GE(tuned->ratio(), 1);
      EXPECT_GT(tuned->peak_share(tuned->best_us), 0);
      const TuningEntry entry = tuning_entry(*tuned, options.back_end);
      EXPECT_EQ(entry.problem, ir::problem_text(one.part.problem.without_padding()));
      EXPECT_EQ(entry.schedule, ir::print(tuned->best));
    }
  }
}

TEST(Tune, GivesUpWhereItIsAskedTo) {
  if (!can_measure()) GTEST_SKIP() << "no machine code";
  size_t asked = 0;
  const TuneOptions options{{Backend::kXbyak, detect_isa()}, 3600, 1, {}, [&] { return ++asked > 3; }};
  const auto result = tune_kernel(kernel_calls(graph_of(kLayer, 8), 2, 70).front(), options);
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_FALSE(result->has_value());
}

TEST(Tune, WritesAFileThatOtherCommandsUse) {
  if (!can_measure()) GTEST_SKIP() << "no machine code";
  const TemporaryFolder folder;
  const std::string file = folder / "t.json";
  const Outcome outcome = call({"tune", kLayer, "--seconds", "0.01", "--json", "-o", file, "--isa", "avx2"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_EQ(outcome.err, "");
  const Json json = Json::parse(outcome.out);
  const Json& kernel = json["rows"][0]["kernels"][0];
  EXPECT_EQ(json["isa"], "avx2");
  EXPECT_EQ(kernel["steps"], 64);
  EXPECT_GT(kernel["candidates"], 2);
  EXPECT_GE(kernel["ratio"], 1);
  auto tuning = parse_tuning(TemporaryFolder::read(file), file);
  ASSERT_TRUE(tuning) << tuning.error().message;
  ASSERT_EQ(tuning->entries.size(), 1U);
  EXPECT_EQ(tuning->entries[0].schedule, kernel["best"]["schedule"]);

  // Another kernel comes beside it, the same one in its place.
  const char* const other = "Conv1D(3, 3, input_shape=(64, 8))";
  ASSERT_EQ(call({"tune", other, "--seconds", "0.01", "-o", file, "--isa", "avx2"}).exit_code, 0);
  ASSERT_EQ(call({"tune", other, "--seconds", "0.01", "-o", file, "--isa", "avx2", "--steps", "9"}).exit_code,
            0);
  tuning = parse_tuning(TemporaryFolder::read(file), file);
  ASSERT_EQ(tuning->entries.size(), 2U);
  EXPECT_EQ(tuning->entries[1].steps, 9);

  // Whatever won: a schedule that was not chosen shows.
  const std::string schedule = "cut o; split f 8; lanes f1; split o 3; tile o1; reorder n g b f o o1 f1 k c";
  tuning->entries[0].schedule = schedule;
  folder.write("t.json", print_tuning(*tuning));
  const std::vector<std::string> explain = {"explain", kLayer, "--isa", "avx2", "--stage", "schedule"};
  EXPECT_THAT(call(explain).out, Not(HasSubstr(schedule)));
  std::vector<std::string> with = explain;
  with.insert(with.end(), {"--tuning", file});
  EXPECT_THAT(call(with).out, HasSubstr(schedule));
  EXPECT_THAT(call(explain, "CONVSMITH_TUNING=" + file).out, HasSubstr(schedule));
  EXPECT_THAT(call(with, "CONVSMITH_TUNING=/no/such/file").out, HasSubstr(schedule));
  EXPECT_EQ(call(explain, "CONVSMITH_TUNING=/no/such/file").exit_code, 1);

  const std::string x = cli_test::input_file(folder, "x.npy", {1, 20, 8});
  const Outcome run =
      call({"run", kLayer, "--input", x, "--tuning", file, "--isa", "avx2"}, "CONVSMITH_VERBOSE=1");
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.err, HasSubstr("gets the tuned schedule " + schedule));
  EXPECT_EQ(call({"verify", kLayer, "--random", "5", "--tuning", file}).exit_code, 0);
  EXPECT_EQ(
      call({"compile", kLayer, "-o", folder / "c.o", "--target", "avx2,avx512", "--tuning", file}).exit_code,
      0);

  tuning->entries[0].schedule = "cut o; split f 3";
  folder.write("t.json", print_tuning(*tuning));
  const Outcome fallback = call(with, "CONVSMITH_VERBOSE=1");
  EXPECT_EQ(fallback.exit_code, 0);
  EXPECT_EQ(fallback.out, call(explain).out);
  EXPECT_THAT(fallback.err, HasSubstr("is not used, the chosen one is"));
}

TEST(Tune, GoesThroughATable) {
  if (!can_measure()) GTEST_SKIP() << "no machine code";
  const TemporaryFolder folder;
  const std::string table =
      folder.write("s.csv", std::string(kHeader) +
                                "first,conv1d,2,40,4,8,3,1,1,1,explicit:1:2,here\n"
                                "second,conv1d_transpose,1,30,4,8,3,2,1,1,same,there\n");
  const std::string file = folder / "t.json";
  const Outcome outcome = call({"tune", table, "--seconds", "0.01", "-o", file});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  for (const char* text : {"first ", "second ", "geometric mean", "largest"})
    EXPECT_THAT(outcome.out, HasSubstr(text));
  EXPECT_EQ(parse_tuning(TemporaryFolder::read(file), file)->entries.size(), 3U);
  const Json json = Json::parse(call({"tune", table, "--seconds", "0.01", "--json"}).out);
  EXPECT_EQ(json["rows"].size(), 2U);
  EXPECT_EQ(json["rows"][1]["kernels"].size(), 2U);
  EXPECT_GE(json["geometric_mean"], 1);
  EXPECT_EQ(call({"tune", table, "--steps", "9"}).exit_code, kUsage);
}

TEST(Tune, RefusesInOneSentence) {
  const TemporaryFolder folder;
  const std::string nest = folder.write(
      "l.nest",
      Json::parse(
          call({"explain", kLayer, "--stage", "nest", "--json", "--isa", "avx2"}).out)["nest"]["scheduled"]
          .get<std::string>());
  const std::string other = folder.write("other.json", "{\"a\": 1}");
  const std::pair<std::vector<std::string>, const char*> cases[] = {
      {{kLayer, "--backend", "interp"}, "tune measures machine code"},
      {{nest}, "scheduled already"},
      {{kLayer, "-o", other}, "is no tuning file"},
      {{"Conv1D(4, 9, input_shape=(None, 4))", "--steps", "3"}, "nothing to tune"},
      {{folder / "none.csv"}, "none.csv"},
      {{folder.write("a.csv", "a,b\n1,2\n")}, "no column 'name'"},
      {{folder.write("b.csv", kHeader)}, "no rows"},
      {{folder.write("c.csv", std::string(kHeader) + "x,conv2d,1,1,1,1,1,1,1,1,same,\n")},
       "line 2: op is 'conv2d'"},
      {{folder.write("d.csv", std::string(kHeader) + "x,conv1d,1,1,1,-1,1,1,1,1,same,\n")},
       "filters is '-1'"},
      {{folder.write("e.csv", std::string(kHeader) + "x,conv1d,1,1,1,1,1,1,1,1,explicit:1,\n")},
       "padding is"},
      {{folder.write("f.csv", std::string(kHeader) + "x,conv1d,1,9,3,4,1,1,1,2,same,\n")}, "row x:"},
  };
  for (const auto& [words, why] : cases) {
    std::vector<std::string> all = {"tune"};
    all.insert(all.end(), words.begin(), words.end());
    const Outcome outcome = call(all);
    EXPECT_EQ(outcome.exit_code, kUsage) << words[0] << outcome.err;
    EXPECT_THAT(outcome.err, HasSubstr(why)) << words[0];
  }
  EXPECT_EQ(TemporaryFolder::read(other), "{\"a\": 1}");
}

}  // namespace
}  // namespace convsmith::cli
