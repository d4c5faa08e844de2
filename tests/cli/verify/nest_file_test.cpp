// Nests and schedules from files that nobody checked: one sentence, and what compiles stays in its arrays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <random>

#include "cli/run_line.hpp"
#include "codegen/schedule/completed.hpp"
#include "codegen/vir/verify.hpp"
#include "ir/nest/nest_text.hpp"
#include "runtime/compile.hpp"
#include "tests/cli/call_cli.hpp"

namespace convsmith::cli_test {
namespace {

using ::testing::HasSubstr;

constexpr const char* kNest = R"(nest Conv1D(24, 3, padding='same', input_shape=(None, 8)) {
  for n
  for g = 0..1
  band
  for f = 0..24 step 8
  for o step 4
  tile o1 = 0..4
  lanes f1 = 0..8
  for k = taps
  for c = 0..8 step 2
  unroll c1 = 0..2
  ragged
}
)";

std::string with(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(HostileNests, RangesMustBeThoseOfTheLayer) {
  struct Case {
    std::string from;
    std::string to;
    const char* says;
  };
  const Case cases[] = {
      {"for f = 0..24 step 8", "for f = 0..32 step 8",
       "line 5: the loop f is said to run over 0..32, and by the layer and the loops outside it runs over "
       "0..24"},
      {"lanes f1 = 0..8", "lanes f1 = 0..16",
       "the loop f1 is said to run over 0..16, and by the layer and the loops outside it runs over 0..8"},
      {"for c = 0..8 step 2", "for c = 0..10 step 2", "over 0..10, and by"},
      {"for k = taps", "for k = 0..5", "over 0..5, and by the layer and the loops outside it runs over taps"},
      {"for o step 4", "for o = 0..40 step 4", "over 0..40, and how far it runs is not known before a call"},
      {"for g = 0..1", "for g = 0..2", "line 3: the loop g is said to run over 0..2"},
      {"Conv1D(24, 3", "Conv1D(48, 3",
       "over 0..24, and by the layer and the loops outside it runs over 0..48"},
      {"for f = 0..24 step 8", "for f over 24 step 8", "'over24' stands where"},
  };
  for (const Case& c : cases) {
    const auto nest = ir::parse_nest(with(kNest, c.from, c.to));
    ASSERT_FALSE(nest) << c.to;
    EXPECT_THAT(nest.error().message, HasSubstr(c.says));
  }
  EXPECT_TRUE(ir::parse_nest(kNest));
  EXPECT_TRUE(ir::parse_nest(with(with(kNest, " = 0..24", ""), " = taps", ""))) << "they may be left out";
  EXPECT_TRUE(ir::parse_nest(with(kNest, " = 0..24", " = 0 .. 24")));
}

TEST(HostileNests, AreOneSentence) {
  const std::string texts[] = {
      "",
      "nest",
      "nest {",
      "nest Conv1D(4, 3) {",
      with(kNest, "band", "bond"),
      with(kNest, "}", ""),
      with(kNest, "step 4", "step 0"),
      with(kNest, "step 4", "step 4000000000"),
      with(kNest, "step 8\n  for o", "step 99999999999999999999\n  for o"),
      with(kNest, "step 4\n  tile o1 = 0..4", "step 4096\n  tile o1"),
      with(kNest, "step 8\n  for o", "step 9223372036854775807\n  for o"),
      with(kNest, "step 8\n  for o", "step 8 wide 65\n  for o"),
      with(kNest, "step 8\n  for o", "step 8 wide -3\n  for o"),
      with(kNest, "step 8\n  for o", "step 8 wide 9223372036854775807\n  for o"),
      with(kNest, "band", "band 7"),
      with(kNest, "}", "} more"),
      with(kNest, "Conv1D(24", "Conv1D(99999999999"),
      with(kNest, "  ragged", "  ragged 7\n  lift 99"),
      with(kNest, "nest Conv1D", "layer Conv1D(3, 2, input_shape=(None, 3))\nnest Conv1D"),
      "layer frob\n" + std::string(kNest),
      std::string(kNest) + kNest + "nest"};
  for (const std::string& text : texts) {
    const TemporaryFolder folder;
    const std::string file = folder.write("wrong.nest", text);
    for (const char* command : {"verify", "explain"}) {
      if (text.find("layer Conv1D") == 0 && std::string(command) == "explain") continue;
      const Outcome outcome = call({command, file});
      EXPECT_EQ(outcome.exit_code, 2) << text << outcome.err;
      EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << text << outcome.err;
    }
  }
}

TEST(HostileNests, WhatWouldBeWrittenOutHasALimit) {
  const TemporaryFolder folder;
  const std::string wide = folder.write(
      "wide.nest", with(with(kNest, "step 4\n", "step 64\n"), "tile o1 = 0..4", "tile o1 = 0..64"));
  EXPECT_EQ(call({"explain", wide, "--stage", "nest"}).exit_code, 0);
  for (const char* schedule :
       {"cut o; split f 512; split f1 8; tile f1; lanes f2; split o 64; tile o1; reorder n g b f o o1 f1 f2 "
        "k c",
        "cut o; split f 256; split f1 8; tile f1; lanes f2; split o 8; tile o1; split c 64; unroll c1; "
        "reorder n g b f o o1 f1 f2 k c c1"}) {
    const Outcome outcome =
        call({"verify", "Conv1D(512, 3, input_shape=(None, 512))", "--isa", "avx2", "--schedule", schedule});
    EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
    EXPECT_THAT(outcome.err, HasSubstr(" compile"));
  }
}

TEST(NestFiles, SeveralNestsAreSeveralLayers) {
  const TemporaryFolder folder;
  const std::string file = folder.write("two.nest", std::string(kNest) + "\n" + kNest);
  const Outcome outcome = call({"verify", file, "--random", "4", "--isa", "avx2", "--backend", "interp"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("8 cases of 2 distinct layers"));
  const std::string x = input_file(folder, "x.npy", {1, 20, 8});
  const Outcome run = call({"run", file, "--input", x});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_THAT(run.err, HasSubstr("2 nests"));
}

// One to three places of `text`, changed.
std::string mutated(std::string text, std::mt19937& random) {
  const std::string letters = "0123456789 =.\nkcofgnb";
  const auto pick = [&](size_t n) { return random() % n; };
  for (size_t edits = 1 + pick(3); edits-- > 0 && !text.empty();) {
    const size_t at = pick(text.size());
    const size_t line = text.find('\n', at);
    if (pick(3) == 0 && line != std::string::npos) {
      text.erase(line, text.find('\n', line + 1) - line);
    } else if (pick(4) == 0) {
      text.insert(at, text.substr(pick(text.size()), pick(20)));
    } else {
      text[at] = letters[pick(letters.size())];
    }
  }
  return text;
}

// Whether it compiles; then its program stays in its arrays.
bool run_mutation(const std::string& text, Isa isa) {
  const auto nest = ir::parse_nest(text);
  if (!nest) return false;
  const Problem& p = nest->problem;
  if (static_cast<double>(p.taps) * static_cast<double>(p.channels) * static_cast<double>(p.filters) > 1e5 ||
      p.span() > 10000)
    return false;
  LoweredLayer layer;
  layer.nest = *nest;
  if (!lower_nest(layer, target_for(isa))) return false;
  const std::string line = "# " + cli::nest_run_line(layer.nest, layer.program, target_for(isa));
  const auto call = cli::parse_vir_call(line, layer.program);
  if (!call) return false;
  cli::VirArrays arrays(*call, cli::DataKind::kFloats, 3, {});
  const auto fault = interp::run_checked(layer.program, arrays.args(), arrays.bounds());
  EXPECT_FALSE(fault) << text << fault->what;
  return true;
}

TEST(HostileNests, ManyMutationsCompileInsideTheirArraysOrNot) {
  std::mt19937 random(21);
  const auto begin = std::chrono::steady_clock::now();
  int ran = 0;
  for (int i = 0; i < 4000 && std::chrono::steady_clock::now() - begin < std::chrono::seconds(40); ++i)
    ran += run_mutation(mutated(kNest, random), Isa::kAvx2) ? 1 : 0;
  EXPECT_GT(ran, 50);
}

// Of every form that a nest can have: parts, copies, buffers and hints, too.
TEST(HostileNests, MutationsOfEveryFormStayInsideTheirArrays) {
  std::mt19937 random(22);
  const auto begin = std::chrono::steady_clock::now();
  for (const auto& file : std::filesystem::directory_iterator(places::test_data("forms"))) {
    if (file.path().extension() != ".nest") continue;
    const std::string text = TemporaryFolder::read(file.path().string());
    int ran = 0;
    for (int i = 0; i < 400 && std::chrono::steady_clock::now() - begin < std::chrono::seconds(40); ++i)
      ran += run_mutation(mutated(text, random), Isa::kAvx2) ? 1 : 0;
    EXPECT_GT(ran, 0) << file.path();
  }
}

}  // namespace
}  // namespace convsmith::cli_test
