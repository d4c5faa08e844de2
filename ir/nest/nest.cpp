#include "ir/nest/nest.hpp"

#include <algorithm>
#include <array>
#include <numeric>

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
  return std::any_of(loops.begin(), loops.end(), [](const Loop& l) { return l.role == Role::kBand; });
}

int64_t LoopNest::row_distance() const {
  return slide ? problem.dilation / std::gcd(problem.stride, problem.dilation) : 1;
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

std::optional<int64_t> loop_extent(const LoopNest& nest, size_t index) {
  const Loop& loop = nest.loops[index];
  for (size_t i = index; i-- > 0;) {
    const Loop& outer = nest.loops[i];
    if (outer.dim == loop.dim && outer.role != Role::kBand) return outer.step;
  }
  return dim_extent(nest.problem, loop.dim);
}

std::string loop_name(const LoopNest& nest, size_t index) {
  const Loop& loop = nest.loops[index];
  if (loop.role == Role::kBand) return "b";
  int level = 0;
  for (size_t i = 0; i < index; ++i) {
    if (nest.loops[i].dim == loop.dim && nest.loops[i].role != Role::kBand) ++level;
  }
  std::string name(1, kDimLetters[static_cast<size_t>(loop.dim)]);
  return level == 0 ? name : name + std::to_string(level);
}

std::optional<size_t> find_loop(const LoopNest& nest, std::string_view name) {
  std::array<size_t, kDimLetters.size()> level{};
  for (size_t i = 0; i < nest.loops.size(); ++i) {
    const Loop& loop = nest.loops[i];
    const auto dim = static_cast<size_t>(loop.dim);
    if (loop.role == Role::kBand ? name == "b" : is_name(name, kDimLetters[dim], level[dim]++)) return i;
  }
  return std::nullopt;
}

const Loop* loop_with(const LoopNest& nest, Dim dim, Role role) {
  for (const Loop& loop : nest.loops) {
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
  return p.stride == 1 && p.dilation <= kFarthest / p.taps / p.channels &&
         (p.in_pitch() == 1 || (p.channels > 1 && p.channels <= lanes && p.filters <= lanes));
}

bool can_blend(const Problem& problem, int64_t lanes, int64_t rows) {
  const int64_t left = problem.group_filters() % lanes;
  return rows > 1 && lanes % (4 * rows) == 0 && left > 0 && left * rows <= lanes &&
         problem.combine == Combine::kNone;
}

int64_t innermost_step(const LoopNest& nest, Dim dim) {
  int64_t step = 1;
  for (const Loop& loop : nest.loops) {
    if (loop.dim == dim && loop.role == Role::kSerial) step = loop.step;
  }
  return step;
}

bool has_inside(const LoopNest& nest, size_t i, Dim dim, Role role) {
  return std::any_of(nest.loops.begin() + static_cast<std::ptrdiff_t>(i) + 1, nest.loops.end(),
                     [&](const Loop& l) { return l.dim == dim && l.role == role; });
}

bool may_be_wide(const LoopNest& nest, size_t i) {
  const Loop& l = nest.loops[i];
  const bool skips_groups =
      l.dim == Dim::kFilter && nest.problem.groups > 1 && has_inside(nest, i, Dim::kGroup, Role::kSerial);
  return !has_inside(nest, i, Dim::kStep, Role::kBand) && !skips_groups && l.dim != Dim::kStep &&
         l.dim == lanes_dim(nest) && l.role == Role::kSerial && l.step == innermost_step(nest, l.dim);
}

bool tiles_may_overlap(const LoopNest& nest) {
  return nest.problem.has_weights() && nest.problem.combine == Combine::kNone && nest.row_distance() == 1;
}

bool stages_where_rows_meet(const LoopNest& nest) {
  return nest.staged && nest.problem.stride == 1 && nest.problem.layout == Layout::kChannelsFirst;
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
