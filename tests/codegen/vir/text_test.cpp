// vir as text: round trips, and programs that the parser or the verifier must refuse.
#include "codegen/vir/text.hpp"

#include <gtest/gtest.h>

#include "codegen/vir/verify.hpp"
#include "runtime/compile.hpp"
#include "tests/codegen/op_programs.hpp"
#include "tests/support/random_problem.hpp"

namespace convsmith::vir {
namespace {

void expect_round_trip(const Program& program) {
  const std::string text = print(program);
  const auto parsed = parse(text);
  ASSERT_TRUE(parsed) << parsed.error().message << "\n" << text;
  EXPECT_EQ(parsed->body, program.body);
  EXPECT_EQ(parsed->labels, program.labels);
  EXPECT_EQ(print(*parsed), text);
}

TEST(VirText, EveryOperationRoundTrips) {
  for (const int lanes : {4, 8, 16}) {
    for (const Program& program : op_programs(lanes)) expect_round_trip(program);
  }
}

TEST(VirText, LoweredLayersRoundTrip) {
  test::Random r(6);
  for (int round = 0; round < 60; ++round) {
    const Problem p = test::random_problem(r);
    const auto layer = lower_layer(p, target_for(round % 2 == 0 ? Isa::kAvx512 : Isa::kAvx2), "");
    ASSERT_TRUE(layer) << layer.error().message;
    expect_round_trip(layer->program);
  }
}

TEST(VirText, RefusesWithTheLineOrTheInstruction) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "expected 'vir NAME"},
      {"vir x lanes 16 {", "expected 'vir NAME"},
      {"vir x lanes 5 scratch 0 {\n}", "lanes is 5"},
      {"vir x lanes 8 scratch 0 {\n v0 = frob v1\n}", "'frob' is no operation"},
      {"vir x lanes 8 scratch 0 {\n v0 = add v1\n}", "takes 3 operands, found 2"},
      {"vir x lanes 8 scratch 0 {\n v0 = add v1 p2\n}", "'p2' is no operand 3"},
      {"vir x lanes 8 scratch 0 {\n v0 = add v1 v2\n}", "reads v1 before it is written"},
      {"vir x lanes 8 scratch 0 {\n i0 = int 3\n loop i0 x {\n", "not closed"},
      {"vir x lanes 8 scratch 0 {\n}\n}", "after the end"},
      {"vir x lanes 8 scratch 0 {\n i0 = int 3\n loop i0 x {\n i0 = int 4\n }\n}",
       "counts a loop and is written inside"},
      {"vir x lanes 8 scratch 0 {\n i0 = int 3\n loop i0 x {\n loop i0 y {\n }\n }\n}",
       "counts a loop and is written inside"},
      {"vir x lanes 8 scratch 0 {\n i0 = int 3\n loop i0 x {\n v0 = const 0x0\n }\n v1 = copy v0\n}",
       "before it is written"},
      {"vir x lanes 8 scratch 0 {\n i0 = int 3\n i1 = idivc i0 0\n}", "at least 1"},
      {"vir x lanes 8 scratch 0 {\n p0 = arg.ptr steps\n}", "not a pointer"},
      {"vir x lanes 8 scratch 0 {\n i0 = arg.int in\n}", "not an integer"},
      {"vir x lanes 8 scratch 0 {\n v0 = const 0x0\n v1 = shl32 v0 32\n}", "must be 0..31"},
      {"vir x lanes 4 scratch 0 {\n v0 = const 0x0\n v1 = blocks v0 v0 0\n}", "more than 4 lanes"},
      {"vir x lanes 16 scratch 0 {\n v0 = const 0x0\n v1 = blocks v0 v0 0\n}", "can't come from block"},
      {"vir x lanes 8 scratch 0 {\n p0 = arg.ptr in\n v0 = load [p0+99999999999]\n}", "does not fit 32 bits"},
      {"vir x lanes 8 scratch 0 {\n v0 = const 0x100000000\n}", "has 32 bits"},
  };
  for (const auto& [text, message] : cases) {
    const auto parsed = parse(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(message), std::string::npos)
        << text << " -> " << parsed.error().message;
  }
}

}  // namespace
}  // namespace convsmith::vir
