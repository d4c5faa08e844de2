// The innermost loops that lowering makes hold what the register tile says and nothing else, counted in
// machine code.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <string>

#include "codegen/lower/lower.hpp"
#include "codegen/x86/assemble.hpp"
#include "ir/nest/nest_text.hpp"
#include "ir/nest/pack_layout.hpp"
#include "runtime/compile.hpp"
#include "tests/codegen/hot_loop.hpp"

namespace convsmith {
namespace {

struct Form {
  const char* name;
  int channels, filters, taps, dilation, groups;
  Layout layout = Layout::kChannelsLast;
  int stride = 1;
};

Problem problem_of(const Form& form) {
  Problem p;
  p.channels = form.channels;
  p.filters = form.filters;
  p.taps = form.taps;
  p.dilation = form.dilation;
  p.groups = form.groups;
  p.layout = form.layout;
  p.stride = form.stride;
  p.pad_same = true;
  return p;
}

bool is_written_out(const ir::LoopNest& nest) {
  const Problem& p = nest.problem;
  const ir::Inside inside = ir::inside_of(nest);
  return inside.vectors > 0 && !inside.far && inside.vectors * p.group_filters() * p.taps * p.group_channels() <= 1024;
}

// Accumulators of the largest tile of a nest, times the unroll: of its own loops, or of the lifted ones. A
// lifted tile that slides takes a vector of channels at once, one over neighbouring steps is written out.
int64_t largest_tile(const ir::LoopNest& nest) {
  const Problem& p = nest.problem;
  const ir::Inside inside = ir::inside_of(nest);
  if (inside.skewed) return ir::lane_count(nest) * p.taps * p.filters;
  int64_t tile = 1;
  int64_t unroll = 1;
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const ir::Loop& loop = nest.loops[i];
    if (loop.role != ir::Role::kTile && loop.role != ir::Role::kUnroll) continue;
    const int64_t extent =
        std::min(ir::loop_extent(nest, i).value(), loop.dim == ir::Dim::kFilter  ? p.group_filters()
                                                   : loop.dim == ir::Dim::kGroup ? p.groups
                                                                                 : INT64_MAX);
    (loop.role == ir::Role::kTile ? tile : unroll) *= (extent + loop.step - 1) / loop.step;
  }
  if (nest.shared_rows() > 0) {  // all filters of a group are one block
    const int64_t vectors = (p.group_filters() + ir::lane_count(nest) - 1) / ir::lane_count(nest);
    const int64_t rows = tile / vectors;
    tile = rows * (vectors - 1) + (rows + nest.shared_rows() - 1) / nest.shared_rows();
  }
  const int64_t lifted = inside.vectors * std::min(p.group_filters(), ir::pack_layout(nest).block);
  if (is_written_out(nest)) return lifted * p.taps * p.group_channels();
  return std::max(tile, lifted) * unroll;
}

// Nothing but the tile: no FMA of one lane, nothing on the stack, no register moves; but where rows share a
// vector and one of them lacks the tap, a sum is copied before it.
void expect_lean(const x86_test::HotLoop& code, const ir::LoopNest& nest, const std::string& where) {
  EXPECT_EQ(code.packed_fmas, code.vir_fmas) << where;
  EXPECT_EQ(code.scalar_fmas, 0) << where;
  // A tile that is written out finds its own addresses, from integers that may be on the stack.
  EXPECT_LE(code.stack_accesses, is_written_out(nest) ? 4 : 0) << where;
  EXPECT_EQ(code.vector_spills, 0) << where;
  const bool copies = nest.shared_rows() > 0 && code.packed_fmas != largest_tile(nest);
  EXPECT_LE(code.vector_moves, copies ? code.packed_fmas : 0) << where;
}

// For each form: in the largest hot loop as many packed FMAs as the tile has accumulators (times the
// unroll), none scalar, nothing on the stack, no register moves.
TEST(HotLoops, HoldOnlyTheTile) {
  const Form forms[] = {
      {"overlapping rows", 64, 64, 5, 1, 1},
      {"tap loop", 64, 64, 5, 3, 1},
      {"masked filters", 15, 15, 51, 8, 1},
      {"filters that leave half a vector", 16, 12, 5, 1, 1},
      {"channels first", 64, 64, 5, 1, 1, Layout::kChannelsFirst},
      {"groups", 64, 64, 5, 1, 4},
      {"groups of 16 filters", 128, 128, 3, 1, 8},
      {"small groups", 64, 64, 5, 1, 16},
      {"groups of 2", 32, 32, 5, 1, 16},
      {"groups of 2, strided", 32, 32, 5, 3, 16, Layout::kChannelsLast, 2},
      {"depthwise", 64, 64, 9, 1, 64},
      {"depthwise ragged", 61, 61, 9, 1, 61},
      {"depthwise strided", 64, 64, 31, 1, 64, Layout::kChannelsLast, 2},
      {"one filter", 32, 1, 7, 1, 1},
      {"one filter of one channel", 1, 1, 64, 1, 1},
      {"few filters", 32, 4, 7, 1, 1},
      {"few filters of few channels", 3, 8, 7, 1, 1},
      {"few filters of few channels, many taps", 3, 8, 11, 1, 1},
      {"few filters of one channel", 1, 4, 65, 1, 1},
      {"filters beyond a vector", 16, 24, 9, 1, 1, Layout::kChannelsLast, 2},
      {"stem", 1, 16, 15, 1, 1},
      {"one tap", 512, 512, 1, 1, 1},
      {"long dilated", 32, 32, 64, 512, 1},
  };
  for (const Form& form : forms) {
    for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
      const Target& target = target_for(isa);
      const auto layer = lower_layer(problem_of(form), target, "");
      ASSERT_TRUE(layer) << layer.error().message;
      const auto code = x86::assemble(layer->program, target);
      ASSERT_TRUE(code) << form.name << ": " << code.error().message;
      const auto loops = x86_test::hot_loops(*code, layer->program);
      ASSERT_FALSE(loops.empty()) << form.name;
      int most = 0;
      const std::string where =
          std::string(form.name) + " on " + std::string(target.name) + "\n" + ir::print(layer->nest);
      for (const auto& loop : loops) {
        expect_lean(loop, layer->nest, where);
        most = std::max(most, loop.packed_fmas);
      }
      EXPECT_EQ(most, largest_tile(layer->nest)) << where;
      EXPECT_GE(most, 5) << form.name;
    }
  }
}

// Single steps that are left take several blocks of filters at once.
TEST(HotLoops, OfSingleStepsAreWideTiles) {
  for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
    const Target& target = target_for(isa);
    const auto layer = lower_layer(problem_of({"", 512, 512, 3, 1, 1}), target, "");
    ASSERT_TRUE(layer) << layer.error().message;
    const auto code = x86::assemble(layer->program, target);
    ASSERT_TRUE(code) << code.error().message;
    const auto wide = x86_test::blocks_called(*code, layer->program, "f.wide");
    ASSERT_FALSE(wide.empty()) << target.name;
    const auto loops = x86_test::hot_loops(*code, layer->program);
    int most = 0;
    for (const auto& loop : loops) {
      if (loop.begin >= wide[0].begin && loop.end <= wide[0].end) most = std::max(most, loop.packed_fmas);
    }
    EXPECT_GE(most, 10) << target.name << "\n" << ir::print(layer->nest);
    EXPECT_EQ(wide[0].vector_spills, 0) << target.name;
  }
}

// A sliding window has no loop of its own: a whole tile is written out, with one load for each input and,
// where registers hold them, one for each weight.
TEST(HotLoops, OfSlidingWindowsLoadEachInputOnce) {
  int keeping = 0;
  for (const auto& [taps, stride, dilation] : {std::array{7, 1, 1},
                                               {31, 1, 1},
                                               {33, 1, 1},
                                               {7, 2, 1},
                                               {31, 2, 1},
                                               {33, 2, 1},
                                               {7, 1, 4},
                                               {5, 2, 3}}) {
    for (const Isa isa : {Isa::kAvx2, Isa::kAvx512}) {
      const Target& target = target_for(isa);
      const Problem p = problem_of({"", 64, 64, taps, dilation, 64, Layout::kChannelsLast, stride});
      const auto layer = lower_layer(p, target, "");
      ASSERT_TRUE(layer) << layer.error().message;
      ASSERT_TRUE(ir::skews(layer->nest.loops)) << ir::print(layer->nest);
      const auto code = x86::assemble(layer->program, target);
      ASSERT_TRUE(code) << code.error().message;
      const int64_t vectors = ir::pack_layout(layer->nest).block / target.lanes;
      const int64_t apart = stride / std::gcd(stride, dilation);
      const int64_t rows = largest_tile(layer->nest) / vectors;
      const auto windows = x86_test::blocks_called(*code, layer->program, "inside");
      ASSERT_FALSE(windows.empty()) << ir::print(layer->nest);
      for (const auto& window : windows) {
        SCOPED_TRACE(std::to_string(rows) + " rows on " + std::string(target.name) + "\n" +
                     ir::print(layer->nest));
        EXPECT_EQ(window.packed_fmas, rows * taps * vectors);
        EXPECT_EQ(window.vir_fmas, window.packed_fmas);
        EXPECT_EQ(window.vector_spills, 0);
        EXPECT_EQ(window.vector_moves, 0);
        EXPECT_LE(window.stack_accesses, 2) << "pointers that wait for the tile";
        const int64_t alive = std::min<int64_t>(taps, (rows - 1) * apart + 1);
        const bool keeps_weights = vectors * (rows + alive) + 2 <= target.vector_registers;
        keeping += keeps_weights ? 1 : 0;
        const int64_t weights = keeps_weights ? taps : rows * taps;
        EXPECT_LE(window.vector_loads, vectors * (taps + (rows - 1) * apart + weights));
      }
    }
  }
  EXPECT_GE(keeping, 8) << "those with 32 registers";
}

}  // namespace
}  // namespace convsmith
