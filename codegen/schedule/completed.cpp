#include "codegen/schedule/completed.hpp"

#include <algorithm>

#include "codegen/lower/lifted_block.hpp"
#include "codegen/lower/lower.hpp"
#include "codegen/schedule/cache_blocking.hpp"
#include "ir/nest/nest_verify.hpp"
#include "ir/nest/pack_layout.hpp"

namespace convsmith {

namespace {

using ir::Dim;
using ir::Loop;
using ir::LoopNest;
using ir::Role;
using ir::TailStrategy;

// The lowest tile of those that overlap: a lower one would save nothing, since its sums wait for each other.
constexpr int64_t kLowestTile = 4;
// Sums of a single step beside each other.
constexpr int64_t kBusySums = 8;
// Outputs of a call that a core may hope to keep in its caches.
constexpr int64_t kKept = 24 << 20;
// One tile alone would wait for the weights that it asks for, and their lines take room of those it reads.
constexpr int64_t kAskingTiles = 4;
constexpr int64_t kAskedLines = 16;

// Blocks that a tile of one step takes at once: accumulators beside each other hide the latency of its sums.
int64_t wide_blocks(const LoopNest& nest, int64_t lanes) {
  const Dim dim = ir::lanes_dim(nest).value();
  const int64_t tile_steps = ir::innermost_step(nest.loops, Dim::kStep);
  if (dim == Dim::kStep || !nest.problem.has_weights() || tile_steps == 1) return 1;
  const int64_t units = ir::innermost_step(nest.loops, dim);
  const ir::PackLayout layout = ir::pack_layout(nest);
  // No more than other tiles, of whose epilogue is known that it fits.
  const int64_t accumulators = std::min(kBusySums, tile_steps * units / lanes);
  int64_t wide = std::min(layout.units, accumulators * lanes) / units;
  while (wide > 1 && 4 * layout.tile_offset(wide * units) > kMaxOffset) --wide;
  return std::max<int64_t>(wide, 1);
}

void complete_wide(LoopNest& nest, int64_t lanes) {
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    Loop& loop = nest.loops[i];
    const bool has_blocks = ir::loop_extent(nest, i).value_or(0) > loop.step;
    if (has_blocks && loop.wide == 0 && ir::may_be_wide(nest, i)) loop.wide = wide_blocks(nest, lanes);
  }
}

// Lower tiles. One of those that overlap covers what is left, however little, if there are so many steps at
// all.
ir::Tail default_tail(const LoopNest& nest, int64_t height, bool single_elsewhere, int64_t lanes) {
  if (ir::lanes_dim(nest) == Dim::kStep) {
    ir::Tail tail{TailStrategy::kMask, {}};
    if (height > 3 * lanes) tail.sizes.push_back(height / lanes / 3 * lanes);
    return tail;
  }
  if (!ir::tiles_may_overlap(nest)) {
    ir::Tail tail{TailStrategy::kShrink, {}};
    for (height /= 2; height > (single_elsewhere ? 1 : 0); height /= 2) tail.sizes.push_back(height);
    return tail;
  }
  ir::Tail tail{TailStrategy::kShift, {}};
  for (; height > kLowestTile; tail.sizes.push_back(height)) {
    // Calls of four steps are common.
    if (height == 6 && ir::lanes_dim(nest) == Dim::kFilter) tail.sizes.push_back(4);
    height = (height + 1) / 2;
  }
  if (!single_elsewhere && height > 1) tail.sizes.push_back(1);
  return tail;
}

void complete_tail(LoopNest& nest, int64_t lanes) {
  bool single_elsewhere = false;
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    Loop& loop = nest.loops[i];
    single_elsewhere = single_elsewhere || loop.wide > 1;
    if (loop.dim != Dim::kStep || loop.role != Role::kSerial ||
        ir::has_inside(nest.loops, i, Dim::kStep, Role::kSerial))
      continue;
    if (loop.tail.strategy == TailStrategy::kOpen)
      loop.tail = default_tail(nest, loop.step, single_elsewhere, lanes);
  }
}

// Steps whose input and output fill half of the first cache, but several times what a tile reads ahead, as
// far as the second one has room.
int64_t near_steps(const Problem& p, int64_t vectors, const Target& target) {
  const int64_t tile = vectors * target.lanes;
  const int64_t reach = (p.taps - 1) * p.dilation;
  const int64_t fitting = target.l1_bytes / 2 / (4 * (2 * p.channels + p.filters));
  const int64_t most = std::max(fitting, target.l2_bytes / 2 / (4 * p.channels) - reach);
  return std::max<int64_t>(1, std::min(std::max(fitting, 4 * reach), most) / tile) * tile;
}

void complete_inside(LoopNest& nest, const Target& target) {
  ir::Inside form = ir::inside_of(nest);
  if (form.vectors == 0) return;
  const Problem& p = nest.problem;
  if (form.far && !form.skewed && form.tiles == 0) form.tiles = lifted_block(p, target, form.vectors).tiles;
  if (form.far && form.worth == 0) form.worth = steps_worth_lifting(p, target, form.vectors);
  if (!form.far && p.channels > 1 && form.chunk == 0) form.chunk = near_steps(p, form.vectors, target);
  nest.inside = ir::inside_loops(nest, form);
}

int64_t default_number(ir::HintKind kind) {
  if (kind == ir::HintKind::kNontemporal) return kKept;
  return kind == ir::HintKind::kPrefetchWeights ? kAskingTiles : kAskedLines;
}

}  // namespace

LoopNest completed(LoopNest nest, const Target& target) {
  if (!ir::verify_lowerable(nest)) return nest;
  const Problem& p = nest.problem;
  complete_wide(nest, target.lanes);
  complete_tail(nest, target.lanes);
  complete_inside(nest, target);
  for (Loop& loop : nest.loops) {
    if (loop.copies_in && loop.apart == 0 && ir::stages_where_rows_meet(nest))
      loop.apart = meeting_distance(p, target);
    if (loop.dim == Dim::kGroup && loop.role == Role::kLanes && ir::can_join_rows(nest))
      loop.tail.strategy = TailStrategy::kJoin;
  }
  for (ir::Hint& hint : nest.hints) {
    if (hint.number == 0) hint.number = default_number(hint.kind);
  }
  return nest;
}

ir::Schedule with_numbers(ir::Schedule schedule, const LoopNest& nest) {
  using ir::StepKind;
  const auto has = [&](StepKind kind) {
    return std::any_of(schedule.begin(), schedule.end(),
                       [&](const ir::Step& step) { return step.kind == kind; });
  };
  for (ir::Step& step : schedule) step.numbers = ir::numbers_of(nest, step.kind);
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const Loop& loop = nest.loops[i];
    if (loop.wide > 0 && !has(StepKind::kWide))
      schedule.push_back({StepKind::kWide, {ir::loop_name(nest.loops, i)}, loop.wide});
    const bool is_tile_loop = loop.dim == Dim::kStep && loop.role == Role::kSerial;
    const bool has_tail = !loop.tail.sizes.empty() || loop.tail.strategy == TailStrategy::kMask;
    if (is_tile_loop && has_tail && !has(StepKind::kTail))
      schedule.push_back({StepKind::kTail, {ir::loop_name(nest.loops, i)}, 0, loop.tail});
  }
  return schedule;
}

}  // namespace convsmith
