// Vector programs from files: what leaves its arrays, does not end or is called wrongly is one sentence, on
// every command that runs them, and never becomes machine code.
#include "cli/vir_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>

#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "tests/cli/call_cli.hpp"

namespace convsmith::cli_test {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr const char* kTwice = "  v0 = load [p0+0]\n  v0 = add v0 v0\n  store [p1+0] v0";

// A program with the usual pointers, and what to call it with. Its body begins in line 7.
std::string program(const std::string& run, const std::string& body, int lanes = 8) {
  return "# run " + run + "\nvir wrong lanes " + std::to_string(lanes) +
         " scratch 0 {\n  p0 = arg.ptr in\n  p1 = arg.ptr out\n  p2 = arg.ptr weights\n  p3 = arg.ptr "
         "scratch\n" +
         body + "\n}\n";
}

// Exit code 2 and one sentence that holds all of `says`.
void expect_refused(const std::string& command, const std::string& text,
                    const std::vector<std::string>& says) {
  const TemporaryFolder folder;
  const Outcome outcome = call({command, folder.write("wrong.vir", text)});
  EXPECT_EQ(outcome.exit_code, 2) << command << "\n" << text << outcome.out << outcome.err;
  EXPECT_THAT(outcome.out, IsEmpty()) << text;
  EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
  EXPECT_THAT(outcome.err, HasSubstr("wrong.vir: "));
  for (const std::string& part : says) EXPECT_THAT(outcome.err, HasSubstr(part)) << text;
}

TEST(HostileVir, AccessesOutsideOfArraysAreOneSentence) {
  struct Wrong {
    const char* run;
    const char* body;
    const char* says;
  };
  const Wrong all[] = {
      {"in=4 out=8", kTwice,
       "line 7: 'v0 = load [p0+0]' reads 32 bytes at offset 0 of in, which has 16 bytes (4 floats)"},
      {"in=16 out=8", "  v0 = load [p0+36]", "reads 32 bytes at offset 36 of in"},
      {"in=8 out=8", "  v0 = load [p0-4]", "offset -4 of in"},
      {"in=8 out=4", kTwice,
       "line 9: 'store [p1+0] v0' stores 32 bytes at offset 0 of out, which has 16 bytes"},
      {"in=8 out=8", "  v0 = load [p0+0]\n  store [p0+0] v0", "stores into in, which is only read"},
      {"in=8 out=8", "  v0 = bcast [p2+0]", "of weights, which has 0 bytes"},
      {"in=8 out=8", "  v0 = load [p3+0]", "of scratch, which has 0 bytes"},
      {"in=8 scratch=8", "  v0 = const 0x0\n  i0 = int 5\n  m0 = first i0\n  store.m [p3+16] v0 m0",
       "stores 4 bytes at offset 32 of scratch"},
      {"in=8", "  v0 = const 0x0\n  m0 = eq v0 v0\n  v1 = load.m [p0+4] m0",
       "reads 4 bytes at offset 32 of in"},
      // A mask that floats make counts as full.
      {"out=8", "  v0 = const 0x0\n  m0 = lt v0 v0\n  store.m [p1+4] v0 m0", "offset 32 of out"},
      {"in=8", "  v0 = load.4 [p0+20]", "reads 16 bytes at offset 20"},
      {"in=8", "  v0 = load.8 [p0+4]", "reads 32 bytes at offset 4"},
      {"in=8", "  v0 = load [p0+0]\n  v0 = insert.1 v0 [p0+20]", "reads 16 bytes at offset 20"},
      {"in=8", "  p4 = load.ptr [p0+0]\n  v0 = load [p4+0]", "through a pointer that came from memory"},
      {"in=8", "  i0 = load.int [p0+28]", "reads 8 bytes at offset 28"},
      {"out=8", "  i0 = load.int [p1+0]", "floats that the call makes"},
      {"in=8", "  p4 = arg.ptr parallel\n  i0 = load.int [p4+0]", "of parallel, which has 0 bytes"},
      {"in=8", "  p4 = arg.ptr operand\n  v0 = load [p4+0]", "of operand, which has 0 bytes"},
      // One array is never reached from another.
      {"in=8 out=8",
       "  i0 = pint p0\n  i1 = pint p1\n  i2 = isub i1 i0\n  p4 = padd p0 i2\n  v0 = load [p4+0]",
       "of in, which has 32 bytes"},
      {"out=32", "  v0 = const 0x0\n  stream [p1+4] v0", "behind a multiple of 32"},
      {"in=8 out=8 step_end=8000",
       "  i0 = arg.int step_end\n  loop i0 steps {\n    v0 = load [p0+0]\n    store [p1+0] v0\n    p1 = "
       "paddc p1 32\n"
       "  }",
       "line 10: 'store [p1+0] v0' stores 32 bytes at offset 32 of out"},
      {"in=8", "  i0 = int 9\n  m0 = first i0", "'m0 = first i0' takes numbers from 0 to 8, found 9"},
      {"in=8", "  i0 = int 0\n  i1 = int -1\n  m0 = between i0 i1", "from 0 to 8, found -1"},
      {"in=8", "  i0 = int 3\n  i1 = int 0\n  i2 = idiv i0 i1", "divides 3 by 0"}};
  for (const Wrong& wrong : all) expect_refused("verify", program(wrong.run, wrong.body), {wrong.says});
  for (size_t i = 0; i < std::size(all); i += 6)
    expect_refused("compare", program(all[i].run, all[i].body), {all[i].says});
}

TEST(HostileVir, WhatDoesNotEndIsOneSentence) {
  const std::string ever = "  i0 = int 0\n  i1 = int 1\n  while i0 i1 ever {\n  }";
  for (const std::string& body :
       {ever, std::string("  i0 = int 9000000000000000000\n  loop i0 ever {\n  }"),
        std::string(
            "  i0 = int 1000000000\n  loop i0 a {\n    i1 = int 1000000000\n    loop i1 b {\n    }\n  }")})
    expect_refused("verify", program("in=8", body), {"operations; a call may run no more"});
  expect_refused("compare", program("in=8", ever), {"a call may run no more"});
}

TEST(HostileVir, RunLinesThatAreWrongAreOneSentence) {
  struct Wrong {
    const char* run;
    std::vector<std::string> says;
  };
  const Wrong all[] = {{"in=8 out=8 parallel=5", {"'parallel=5'", "pointer to threads"}},
                       {"in=8 out=8 speed=5", {"'speed=5'", "does not begin with the name", "step_end"}},
                       {"in=8 out", {"'out'", "NAME=NUMBER"}},
                       {"in=8 out=", {"'out='", "no whole number"}},
                       {"in=8 out=8.5", {"'out=8.5'", "no whole number"}},
                       {"in=8 out=-1", {"'out=-1'", "from 0 to 268435456 floats"}},
                       {"in=8 out=999999999999", {"from 0 to 268435456 floats"}},
                       {"in=8 out=8 steps=99999999999999999999", {"64 bits"}},
                       {"in=8 out=8 in=8", {"'in=8'", "second time"}},
                       {"in=8 out=8\n# run in=8 out=8", {"has 2 '# run' lines"}}};
  for (const Wrong& wrong : all) expect_refused("verify", program(wrong.run, kTwice), wrong.says);
  expect_refused("compare", program(all[0].run, kTwice), all[0].says);
  expect_refused("verify", "vir none lanes 8 scratch 0 {\n}\n", {"'none' has no line such as '# run"});
  expect_refused("verify", "# run scratch=3\nvir s lanes 8 scratch 64 {\n}\n", {"less than the 16 floats"});
  expect_refused("verify", "# run in=8\nvir s lanes 8 scratch 9223372036854775807 {\n}\n",
                 {"asks for 92233720"});
}

TEST(HostileVir, NestingHasALimit) {
  std::string text = "# run in=8\nvir deep lanes 8 scratch 0 {\n  i0 = int 0\n  i1 = int 1\n";
  for (int i = 0; i < 40000; ++i) text += "if i0 i1 x {\n";
  expect_refused("verify", text, {"more than 200 blocks stand inside each other"});
}

TEST(HostileVir, OptionsThatWouldBeIgnoredAreRefused) {
  const TemporaryFolder folder;
  const std::string file = folder.write("twice.vir", program("in=8 out=8", kTwice));
  ASSERT_EQ(call({"verify", file}).exit_code, 0);
  using Words = std::vector<std::string>;
  for (const Words& words :
       {Words{"verify", file, "--batch", "2"}, Words{"verify", file, "--schedule", "cut o"},
        Words{"verify", file, "--isa", "avx512"}, Words{"verify", file, "--threads", "2"},
        Words{"verify", file, "--random", "3"}, Words{"compare", file, "--steps", "9"},
        Words{"compare", file, "--isa", "baseline"}, Words{"explain", file, "--rules", "keras3"}}) {
    const Outcome outcome = call(words);
    EXPECT_EQ(outcome.exit_code, 2) << words[2];
    EXPECT_THAT(outcome.err, HasSubstr(words[2]));
  }
}

// One to three places of `text`, changed.
std::string mutated(std::string text, std::mt19937& random) {
  const std::string letters = "0123456789-+[]pivm{}= \n#acdelort.";
  const auto pick = [&](size_t n) { return random() % n; };
  for (size_t edits = 1 + pick(3); edits-- > 0 && !text.empty();) {
    const size_t at = pick(text.size());
    if (pick(4) == 0) {
      text.erase(at, 1 + pick(12));
    } else if (pick(3) == 0) {
      text.insert(at, text.substr(pick(text.size()), pick(30)));
    } else {
      text[at] = letters[pick(letters.size())];
    }
  }
  return text;
}

struct Counts {
  int ran = 0;
  int refused = 0;
};

void run_mutation(const std::string& text, const std::vector<cli::BackEnd>& back_ends, Counts& counts) {
  const auto file = vir::parse_listings(text);
  if (!file) return;
  for (const vir::Listing& listing : *file) {
    if (!vir::verify_alone(listing.program)) continue;
    const auto call = cli::parse_vir_call(listing.text, listing.program);
    if (!call || call->in + call->out + call->weights + call->operand + call->scratch > 1 << 20) continue;
    cli::VirArrays arrays(*call, cli::DataKind::kSpecial, 3, {});
    interp::Bounds bounds = arrays.bounds();
    bounds.operations = 20000;
    if (interp::run_checked(listing.program, arrays.args(), bounds)) {
      ++counts.refused;
      continue;
    }
    int ran = 0;
    const auto findings =
        cli::check_vir(listing.program, *call, cli::DataKind::kSpecial, 3, back_ends, true, ran);
    if (findings) {
      EXPECT_THAT(*findings, IsEmpty()) << text;
    }
    ++counts.ran;
  }
}

TEST(HostileVir, ManyMutationsNeitherCrashNorHang) {
  const std::string seeds[] = {
      program("in=64 out=64 weights=32 scratch=64 steps=4 step_end=4",
              "  i0 = arg.int step_end\n  i1 = int 3\n  loop i0 steps {\n    v0 = load [p0+0]\n    m0 = "
              "first i1\n"
              "    v1 = load.m [p0+32] m0\n    v2 = bcast [p2+4]\n    v0 = fma v0 v2 v1\n    store.m [p3+0] "
              "v0 m0\n"
              "    stream [p1+0] v0\n    p1 = paddc p1 32\n    p0 = paddc p0 16\n  }"),
      program("in=64 out=64",
              "  i0 = int 0\n  i1 = int 4\n  while i0 i1 loop {\n    i2 = imulc i0 8\n    p4 = padd p0 i2\n"
              "    v0 = load.8 [p4+0]\n    v1 = zip32.lo v0 v0\n    i0 = iaddc i0 1\n    if i0 i1 last {\n"
              "      store [p1+32] v1\n    }\n  }")};
  std::mt19937 random(20);
  const auto back_ends = cli::available_back_ends(Backend::kXbyak, Isa::kAvx2);
  const auto begin = std::chrono::steady_clock::now();
  Counts counts;
  for (int i = 0; i < 6000 && std::chrono::steady_clock::now() - begin < std::chrono::seconds(40); ++i)
    run_mutation(mutated(seeds[random() % 2], random), back_ends, counts);
  EXPECT_GT(counts.ran, 100);
  EXPECT_GT(counts.refused, 0);
}

TEST(VirFile, SeveralProgramsAreCheckedOneByOne) {
  const TemporaryFolder folder;
  const std::string one = program("in=8 out=8", kTwice);
  const Outcome outcome =
      call({"verify", folder.write("two.vir", one + "\n" + one), "--data", "floats", "--json"});
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["programs"], 2);
  EXPECT_EQ(json["cases"], 2);
  EXPECT_TRUE(json["passed"]);
  // Lines are those of the whole file.
  const std::string wrong = program("in=4 out=8", kTwice);
  EXPECT_THAT(call({"verify", folder.write("wrong.vir", one + wrong)}).err, HasSubstr("line 17"));
}

// Every call of a program that adds to its output leaves another one: the bits are those of the first.
TEST(VirFile, ComparedBitsAreThoseOfOneCall) {
  const TemporaryFolder folder;
  const std::string body = "  v0 = load [p0+0]\n  v1 = load [p1+0]\n  v0 = add v0 v1\n  store [p1+0] v0";
  const Outcome outcome = call({"compare", folder.write("sum.vir", program("in=8 out=8", body)), "--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.out << outcome.err;
}

TEST(VerifyCommand, SaysFirstWhatRan) {
  const std::string spec = "Conv1D(8, 3, input_shape=(None, 4))";
  const Outcome layer = call({"verify", spec, "--random", "5", "--backend", "interp"});
  ASSERT_EQ(layer.exit_code, 0) << layer.err;
  EXPECT_EQ(std::count(layer.out.begin(), layer.out.end(), '\n'), 1) << layer.out;
  EXPECT_TRUE(layer.out.starts_with("0 failures: 5 cases of 1 distinct layers")) << layer.out;
  EXPECT_THAT(layer.out, HasSubstr("on interp "));
  const Outcome table = call({"verify", spec, "--random", "5", "--backend", "interp", "--coverage"});
  EXPECT_THAT(table.out, HasSubstr("cases that ran each"));
  const Outcome random = call({"verify", "--random", "20", "--backend", "interp"});
  EXPECT_THAT(random.out, HasSubstr("cases that ran each"));
}

TEST(CompareCommand, AnIllegalScheduleIsSaidOnce) {
  for (const char* command : {"compare", "verify"}) {
    for (const char* schedule : {"split q 3", "frob", "cut o; cut o"}) {
      const Outcome outcome = call({command, "Conv1D(8, 3, input_shape=(64, 4))", "--schedule", schedule});
      EXPECT_EQ(outcome.exit_code, 2) << outcome.out;
      EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 1) << outcome.err;
      EXPECT_LT(outcome.err.size(), 300U) << outcome.err;
    }
  }
}

}  // namespace
}  // namespace convsmith::cli_test
