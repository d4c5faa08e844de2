// The loop nest: one contraction as loops, as data. A nest is a Problem (what is read, written and
// computed, by the formula in problem.hpp) and the loops that run over its dimensions, outside in.
// A dimension's value is the sum of its loops' offsets, so splitting, reordering and tiling change
// the loops and never the subscripts:
//
//   in[n, o*stride + k*dilation - pad_left, group_channels*g + c]    w[k, c, group_filters*g + f]
//   out[n, o, group_filters*g + f]
//
// What an iteration copies through scratch, what it asks of the caches and how weights are packed stand
// beside the loops, and the steps that see all taps may have loops of their own (`inside`). Built by
// build_nest, rewritten by schedule steps, checked by verify, read by lower and nest_interp.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/problem.hpp"

namespace convsmith::ir {

// The letters n g f o k c r of the text form.
enum class Dim : uint8_t { kSample, kGroup, kFilter, kStep, kTap, kChannel, kReduction };
constexpr std::string_view kDimLetters = "ngfokcr";
constexpr bool is_reduction(Dim dim) {
  return dim == Dim::kTap || dim == Dim::kChannel || dim == Dim::kReduction;
}

enum class Role : uint8_t {
  kSerial,  // a loop
  kBand,    // over runs of output steps that share one tap range; of the step dimension only
  kGuard,   // in its place: all output steps are one run, and each row of a tile sees its own taps
  kTile,    // unrolled into accumulators
  kLanes,   // the lanes of a vector
  kUnroll,  // unrolled in the reduction
  kSkew,    // over taps, by input position: an input is loaded once for all rows of a tile that read it
};

// What becomes of what a loop does not divide (Halide's TailStrategy).
enum class TailStrategy : uint8_t {
  kOpen,     // as `completed` says
  kShrink,   // smaller tiles, of each size as many as fit
  kShift,    // the last tile of a size is shifted inwards, over steps that are done, to end with them
  kMask,     // smaller tiles of whole vectors, and masked vectors
  kShare,    // of lanes over filters: those of so many neighbouring rows share a vector
  kJoin,     // of lanes over groups: the rows of a tile are one run of memory
  kOverlap,  // of far lanes: they begin nearer to each other than they are long, if so many steps are left
};
struct Tail {
  TailStrategy strategy = TailStrategy::kOpen;
  std::vector<int64_t> sizes;  // descending
  bool operator==(const Tail&) const = default;
};

// One loop: its offset runs over 0, step, 2*step .. below its extent, which is the step of the next
// loop outside it over the same dimension, or the whole dimension for the outermost one.
struct Loop {
  Dim dim;
  int64_t step = 1;  // of far lanes 0: what a call gives each of them
  Role role = Role::kSerial;
  Tail tail = {};    // of the innermost serial loop over steps, and of lanes
  int64_t wide = 0;  // over filters or groups: blocks that a tile of a single step takes at once; 0: open
  // What an iteration copies to scratch before the loops inside it, and from there behind them.
  bool copies_in = false;
  bool copies_out = false;
  int64_t apart = 0;  // only inputs whose rows lie a multiple of so many bytes apart; 0: open, or all
  bool operator==(const Loop&) const = default;
};
using Loops = std::vector<Loop>;

// What an access asks of the caches; its number is 0 where it is open.
enum class HintKind : uint8_t {
  kNontemporal,      // outputs of calls that make more than so many bytes bypass the caches
  kPrefetchWeights,  // a tile prefetches its share of the next block of filters, a so-many-th
  kPrefetchInput,    // a tile prefetches the next tile's inputs, at most so many lines with each product
};
struct Hint {
  HintKind kind;
  int64_t number = 0;
  bool operator==(const Hint&) const = default;
};

// Bounds of the sizes that are not those of loops.
constexpr int64_t kMostLifted = 16;
constexpr int64_t kMostLiftedSteps = 24;  // of a lane, in several tiles
constexpr int64_t kMostPanel = 64;
constexpr int64_t kMostBlended = 4;
constexpr int64_t kMostWide = 64;
constexpr int64_t kMostOfStep = int64_t{1} << 40;
constexpr size_t kMostTails = 8;
// Of all accumulators together: no CPU has registers for so many sums.
constexpr int64_t kMostSums = 256;

struct LoopNest {
  Problem problem;
  Loops loops;
  // The loops of the steps that see all taps, below the guard, where those run otherwise (loop partitioning).
  Loops inside = {};
  std::vector<Hint> hints = {};
  // Weights are packed in blocks of so many units of the lanes (of filters, where lanes run over steps), so
  // that kernels for several CPUs can share them. 0: as the tiles read them.
  int64_t packed_by = 0;
  bool operator==(const LoopNest&) const = default;

  // True after `fuse`: taps and channels run as one reduction dimension.
  bool fused() const;
  // True after `cut`: a band or guard stands in the nest, and the tap loops run over the taps seen there.
  bool cut() const;
  // All output steps are one run.
  bool guarded() const;
  // The loop that copies the input to scratch, transposed; null without one.
  const Loop* staged() const;
  // Rows that share the last vector of the filters; 0: none do.
  int64_t shared_rows() const;
  const Hint* hint(HintKind kind) const;
  // Output steps from one row of a tile to the next.
  int64_t row_distance() const;
};

// What the loops of `inside` are: lanes over steps, that stand far apart or are neighbours.
//
//   far         lanes o, for o1 step vectors*tiles (copied together), for o2 step vectors, .. tile o3
//   far, skewed lanes o, for o1 step vectors (copied together), for o2 (a step), .. skew
//   near        for o step chunk (of several channels), for o1 step vectors*lanes, .. tile o2, lanes o3
struct Inside {
  int64_t vectors = 0;  // of steps that a tile makes; 0: no such loops
  bool far = false;
  bool skewed = false;
  int64_t tiles = 0;  // of a block; 0 where it is open or there is none
  int64_t worth = 0;  // steps left from which on a call makes one more tile that overlaps; 0: open
  int64_t chunk = 0;  // steps whose input is copied together; 0: open or all
};
// `vectors` is 0 where the loops are none of these.
Inside inside_of(const LoopNest& nest);
Loops inside_loops(const LoopNest& nest, const Inside& form);

// Extent of a whole dimension; nullopt for samples and steps, which only a call knows.
std::optional<int64_t> dim_extent(const Problem& problem, Dim dim);

// Extent of loop `index`: the step of the nearest loop outside it over the same dimension, else the
// dimension's. nullopt where only a call knows it.
std::optional<int64_t> loop_extent(const Problem& problem, const Loops& loops, size_t index);
std::optional<int64_t> loop_extent(const LoopNest& nest, size_t index);

// Whether a loop stands for runs of steps and not for steps.
constexpr bool is_band(Role role) {
  return role == Role::kBand || role == Role::kGuard;
}

// "o" for the outermost loop over o, then "o1", "o2"; "b" for a band or guard.
std::string loop_name(const Loops& loops, size_t index);
std::optional<size_t> find_loop(const Loops& loops, std::string_view name);

// The loop over `dim` with `role`, if there is one. At most one has kTile, kLanes or kUnroll.
const Loop* loop_with(const Loops& loops, Dim dim, Role role);
// The dimension of the lanes, if any.
std::optional<Dim> lanes_dim(const LoopNest& nest);

// How many lanes there are.
int64_t lane_count(const LoopNest& nest);

// Whether `rows` rows can share the last vector of the filters of a group, in parts of whole blocks of four
// lanes.
bool can_blend(const Problem& problem, int64_t lanes, int64_t rows);

// Whether tiles with lanes over groups, whose channels leave lanes idle, may go over the floats of several
// steps as one run of memory; and whether those of a nest may.
bool can_join_rows(const Problem& problem, int64_t lanes);
bool can_join_rows(const LoopNest& nest);

// Whether the lanes of `inside` may be neighbouring steps.
bool can_be_near(const Problem& problem, int64_t lanes);
// Whether their sums, [filter][step], are not in the order of the output.
bool turns_near_sums(const Problem& problem);

// The step of the innermost serial loop over `dim`: of steps, filters or groups the size of a whole tile.
int64_t innermost_step(const Loops& loops, Dim dim);

// Whether taps are walked by input position.
bool skews(const Loops& loops);

// Whether a loop over `dim` with that role stands inside loop `i`.
bool has_inside(const Loops& loops, size_t i, Dim dim, Role role);

// Whether tiles of a single step may take several blocks of loop `i` at once: it is inside a band, whose
// steps it knows, and outside no loop over groups, which those tiles would skip.
bool may_be_wide(const LoopNest& nest, size_t i);

// Whether a tile may begin on rows that are done already, and make the same sums again. An operand may lie
// where the output does.
bool tiles_may_overlap(const LoopNest& nest);

// Whether the rows of a tile are joined, so that what differs by channel only is repeated in scratch.
bool joins_rows(const LoopNest& nest);

// Whether a call stages its input only where rows share cache sets: neighbouring steps are neighbours in
// memory anyway.
bool stages_where_rows_meet(const LoopNest& nest);

// How much of `dim` (groups or filters) one pass of the innermost serial step loop covers: all of it
// where its loops stand inside, the step of the last one that stands outside otherwise.
int64_t extent_inside_steps(const LoopNest& nest, Dim dim);

}  // namespace convsmith::ir
