// Which tiles ask early for what is read next, and how much of it in one round.
#include <gtest/gtest.h>

#include "codegen/lower/lower.hpp"
#include "codegen/schedule/completed.hpp"
#include "codegen/schedule/schedule_forms.hpp"
#include "ir/nest/build_nest.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/compile.hpp"

namespace convsmith {
namespace {

// The requests of each loop that makes some.
std::vector<int> requests(const vir::Program& program) {
  std::vector<int> by_loop = {0};
  for (const vir::Inst& inst : program.body) {
    if (vir::is_loop(inst.op)) by_loop.push_back(0);
    if (inst.op == vir::Opcode::kPrefetch) ++by_loop.back();
  }
  std::erase(by_loop, 0);
  return by_loop;
}

std::vector<int> requests_of_form(const char* layer, const FilterForm& form) {
  const ir::LoopNest nest = ir::build_nest(ir::parse_problem(layer).value());
  const ir::LoopNest tiled = ir::apply(nest, lanes_over_filters(form, 16)).value();
  return requests(lower(completed(tiled, target_for(Isa::kAvx512)), target_for(Isa::kAvx512), "").value());
}

// Tiles that make little of each input ask for the next one's.
TEST(LowerAhead, TilesOfFewProductsAskForTheNextInput) {
  const auto asks = [](const char* layer) {
    const Problem p = ir::parse_problem(layer).value();
    return !requests(lower_layer(p, target_for(Isa::kAvx512), "")->program).empty();
  };
  EXPECT_TRUE(asks("Conv1D(33, 1, input_shape=(None, 64))"));
  EXPECT_TRUE(asks("Conv1D(33, 2, input_shape=(None, 64))"));
  EXPECT_FALSE(asks("Conv1D(33, 64, input_shape=(None, 64))"));
  EXPECT_FALSE(asks("Conv1D(33, 1, strides=1000, input_shape=(None, 64))"))
      << "most of what lies there is skipped";
}

// A quarter of the next block's weights in each tile: one line for each four that a round reads.
TEST(LowerAhead, TilesShareTheRequestsForWeights) {
  FilterForm form{.rows = 4, .vectors = 2, .ragged = true};
  form.unroll = 8;
  const char* const layer = "Conv1D(128, 3, input_shape=(None, 64))";
  EXPECT_TRUE(requests_of_form(layer, form).empty());
  form.prefetch = true;
  const std::vector<int> asked = requests_of_form(layer, form);
  ASSERT_FALSE(asked.empty());
  for (const int lines : asked) EXPECT_EQ(lines, 8 * 2 / 4);
}

// Few channels leave no loop over channels: the loop over taps asks.
TEST(LowerAhead, TilesOfFewChannelsAskForWeights) {
  FilterForm form{.rows = 8, .vectors = 2, .ragged = true, .prefetch = true};
  form.unroll = 2;
  EXPECT_FALSE(requests_of_form("Conv1D(64, 1500, dilation_rate=2, input_shape=(None, 2))", form).empty());
}

}  // namespace
}  // namespace convsmith
