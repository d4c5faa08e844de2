#include "ir/nest/nest.hpp"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

namespace convsmith::ir {

namespace {

// "o", "o1" and so on.
bool is_name(std::string_view name, char letter, size_t level) {
  if (name.empty() || name[0] != letter) return false;
  return level == 0 ? name.size() == 1 : name.substr(1) == std::to_string(level);
}

}  // namespace

bool LoopNest::fused() const {
  return std::any_of(loops.begin(), loops.end(), [](const Loop& l) { return l.dim == Dim::kReduction; });
}

bool LoopNest::cut() const {
  return std::any_of(loops.begin(), loops.end(), [](const Loop& l) { return is_band(l.role); });
}

bool LoopNest::guarded() const {
  return loop_with(loops, Dim::kStep, Role::kGuard) != nullptr;
}

const Loop* LoopNest::staged() const {
  const auto loop = std::find_if(loops.begin(), loops.end(), [](const Loop& l) { return l.copies_in; });
  return loop == loops.end() ? nullptr : &*loop;
}

int64_t LoopNest::shared_rows() const {
  const Loop* lanes = loop_with(loops, Dim::kFilter, Role::kLanes);
  return lanes != nullptr && lanes->tail.strategy == TailStrategy::kShare ? lanes->tail.sizes.front() : 0;
}

const Hint* LoopNest::hint(HintKind kind) const {
  const auto hint = std::find_if(hints.begin(), hints.end(), [&](const Hint& h) { return h.kind == kind; });
  return hint == hints.end() ? nullptr : &*hint;
}

int64_t LoopNest::row_distance() const {
  return skews(loops) ? problem.dilation / std::gcd(problem.stride, problem.dilation) : 1;
}

Inside inside_of(const LoopNest& nest) {
  const Loops& loops = nest.inside;
  Inside form;
  if (loops.size() < 3) return form;
  form.far = loops[0].role == Role::kLanes;
  form.skewed = skews(loops);
  const Loop& tile = loops[form.far && !form.skewed ? 2 : form.far || loops[0].copies_in ? 1 : 0];
  form.vectors = form.far ? tile.step : tile.step / lane_count(nest);
  if (form.far && !loops[0].tail.sizes.empty()) form.worth = loops[0].tail.sizes[0];
  if (form.far && !form.skewed && form.vectors > 0) form.tiles = loops[1].step / form.vectors;
  if (!form.far && loops[0].copies_in) form.chunk = loops[0].step;
  return form;
}

Loops inside_loops(const LoopNest& nest, const Inside& form) {
  const Problem& p = nest.problem;
  const int64_t lanes = lane_count(nest);
  const Tail shift{TailStrategy::kShift, {}};
  Loops loops;
  const auto over_steps = [&](int64_t step, Role role) -> Loop& {
    loops.push_back({Dim::kStep, step, role});
    return loops.back();
  };
  if (form.far) {
    over_steps(0, Role::kLanes).tail = {TailStrategy::kOverlap, {}};
    if (form.worth > 0) loops.back().tail.sizes.push_back(form.worth);
    over_steps(form.skewed ? form.vectors : form.tiles * form.vectors, Role::kSerial).copies_out = true;
    loops.back().copies_in = !form.skewed;
    over_steps(form.skewed ? 1 : form.vectors, Role::kSerial);
  } else {
    if (p.channels > 1) {
      over_steps(form.chunk, Role::kSerial).copies_in = true;
      loops.back().tail = shift;
    }
    over_steps(form.vectors * lanes, Role::kSerial).copies_out = turns_near_sums(p);
    loops.back().tail = shift;
  }
  for (const Loop& loop : nest.loops) {
    if (loop.role != Role::kSerial || (loop.dim != Dim::kGroup && loop.dim != Dim::kFilter)) continue;
    loops.push_back(loop);
    loops.back().wide = 0;
  }
  loops.push_back({Dim::kFilter, 1, Role::kTile});
  if (!form.skewed && form.vectors > 1) over_steps(form.far ? 1 : lanes, Role::kTile);
  if (!form.far) over_steps(1, Role::kLanes);
  bool skews = form.skewed;
  for (const Loop& loop : nest.loops) {
    if (!is_reduction(loop.dim)) continue;
    loops.push_back(loop);
    if (loop.role == Role::kSkew) loops.back().role = Role::kSerial;
    if (std::exchange(skews, false)) loops.back().role = Role::kSkew;
  }
  return loops;
}

std::optional<int64_t> dim_extent(const Problem& problem, Dim dim) {
  switch (dim) {
    case Dim::kGroup:
      return problem.groups;
    case Dim::kFilter:
      return problem.group_filters();
    case Dim::kTap:
      return problem.taps;
    case Dim::kChannel:
      return problem.group_channels();
    case Dim::kReduction:
      return problem.taps * problem.group_channels();
    default:
      return std::nullopt;
  }
}

std::optional<int64_t> loop_extent(const Problem& problem, const Loops& loops, size_t index) {
  const Loop& loop = loops[index];
  for (size_t i = index; i-- > 0;) {
    const Loop& outer = loops[i];
    if (outer.dim != loop.dim || is_band(outer.role)) continue;
    return outer.step == 0 ? std::nullopt : std::optional(outer.step);
  }
  return dim_extent(problem, loop.dim);
}

std::optional<int64_t> loop_extent(const LoopNest& nest, size_t index) {
  return loop_extent(nest.problem, nest.loops, index);
}

std::string loop_name(const Loops& loops, size_t index) {
  const Loop& loop = loops[index];
  if (is_band(loop.role)) return "b";
  int level = 0;
  for (size_t i = 0; i < index; ++i) {
    if (loops[i].dim == loop.dim && !is_band(loops[i].role)) ++level;
  }
  std::string name(1, kDimLetters[static_cast<size_t>(loop.dim)]);
  return level == 0 ? name : name + std::to_string(level);
}

std::optional<size_t> find_loop(const Loops& loops, std::string_view name) {
  std::array<size_t, kDimLetters.size()> level{};
  for (size_t i = 0; i < loops.size(); ++i) {
    const Loop& loop = loops[i];
    const auto dim = static_cast<size_t>(loop.dim);
    if (is_band(loop.role) ? name == "b" : is_name(name, kDimLetters[dim], level[dim]++)) return i;
  }
  return std::nullopt;
}

const Loop* loop_with(const Loops& loops, Dim dim, Role role) {
  for (const Loop& loop : loops) {
    if (loop.dim == dim && loop.role == role) return &loop;
  }
  return nullptr;
}

std::optional<Dim> lanes_dim(const LoopNest& nest) {
  for (const Loop& loop : nest.loops) {
    if (loop.role == Role::kLanes) return loop.dim;
  }
  return std::nullopt;
}

int64_t lane_count(const LoopNest& nest) {
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    if (nest.loops[i].role == Role::kLanes) return loop_extent(nest, i).value_or(1);
  }
  return 1;
}

// Rows of several channels are read by fours, which end within the next row. Taps of a tile that is written
// out lie within displacements of 32 bits.
bool can_be_near(const Problem& p, int64_t lanes) {
  constexpr int64_t kFarthest = int64_t{1} << 24;
  constexpr int64_t kMostNear = 4096;
  return p.stride == 1 && p.dilation <= kFarthest / p.taps / p.channels &&
         (p.in_pitch() == 1 || (p.channels > 1 && p.channels <= kMostNear && p.filters <= lanes));
}

bool turns_near_sums(const Problem& p) {
  return p.filters > 1 || p.out_pitch() > 1;
}

bool can_join_rows(const Problem& p, int64_t lanes) {
  const bool is_run = p.layout == Layout::kChannelsLast && p.stride == 1 && p.in_pitch() == p.channels &&
                      p.out_pitch() == p.channels && !(p.has_weights() && p.taps > 1);
  const bool operand_is_run = p.combine == Combine::kNone || !p.operand_has_steps ||
                              (p.operand_has_channels && p.operand_pitch() == p.channels);
  return p.is_channelwise() && p.groups > 1 && p.groups % lanes != 0 && is_run && operand_is_run;
}

bool can_join_rows(const LoopNest& nest) {
  return lanes_dim(nest) == Dim::kGroup && innermost_step(nest.loops, Dim::kStep) > 1 && !nest.guarded() &&
         innermost_step(nest.loops, Dim::kGroup) >= nest.problem.groups &&
         can_join_rows(nest.problem, lane_count(nest));
}

bool can_blend(const Problem& problem, int64_t lanes, int64_t rows) {
  const int64_t left = problem.group_filters() % lanes;
  return rows > 1 && lanes % (4 * rows) == 0 && left > 0 && left * rows <= lanes &&
         problem.combine == Combine::kNone;
}

int64_t innermost_step(const Loops& loops, Dim dim) {
  int64_t step = 1;
  for (const Loop& loop : loops) {
    if (loop.dim == dim && (loop.role == Role::kSerial || loop.role == Role::kSkew)) step = loop.step;
  }
  return step;
}

bool skews(const Loops& loops) {
  return std::any_of(loops.begin(), loops.end(), [](const Loop& l) { return l.role == Role::kSkew; });
}

bool has_inside(const Loops& loops, size_t i, Dim dim, Role role) {
  return std::any_of(loops.begin() + static_cast<std::ptrdiff_t>(i) + 1, loops.end(),
                     [&](const Loop& l) { return l.dim == dim && l.role == role; });
}

bool may_be_wide(const LoopNest& nest, size_t i) {
  const Loop& l = nest.loops[i];
  const bool skips_groups = l.dim == Dim::kFilter && nest.problem.groups > 1 &&
                            has_inside(nest.loops, i, Dim::kGroup, Role::kSerial);
  return !has_inside(nest.loops, i, Dim::kStep, Role::kBand) &&
         !has_inside(nest.loops, i, Dim::kStep, Role::kGuard) && !skips_groups && l.dim != Dim::kStep &&
         l.dim == lanes_dim(nest) && l.role == Role::kSerial && l.step == innermost_step(nest.loops, l.dim);
}

bool tiles_may_overlap(const LoopNest& nest) {
  return nest.problem.has_weights() && nest.problem.combine == Combine::kNone && nest.row_distance() == 1;
}

bool joins_rows(const LoopNest& nest) {
  const Loop* lanes = loop_with(nest.loops, Dim::kGroup, Role::kLanes);
  return lanes != nullptr && lanes->tail.strategy == TailStrategy::kJoin;
}

bool stages_where_rows_meet(const LoopNest& nest) {
  return nest.staged() != nullptr && nest.problem.stride == 1 &&
         nest.problem.layout == Layout::kChannelsFirst;
}

int64_t extent_inside_steps(const LoopNest& nest, Dim dim) {
  int64_t extent = dim_extent(nest.problem, dim).value();
  int64_t outside = extent;
  for (const Loop& loop : nest.loops) {
    if (loop.role != Role::kSerial) continue;
    if (loop.dim == dim) outside = std::min(outside, loop.step);
    if (loop.dim == Dim::kStep) extent = outside;
  }
  return extent;
}

}  // namespace convsmith::ir
