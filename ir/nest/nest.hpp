// The loop nest: one contraction as loops, as data. A nest is a Problem (what is read, written and
// computed, by the formula in problem.hpp) and the loops that run over its dimensions, outside in.
// A dimension's value is the sum of its loops' offsets, so splitting, reordering and tiling change
// the loops and never the subscripts:
//
//   in[n, o*stride + k*dilation - pad_left, group_channels*g + c]    w[k, c, group_filters*g + f]
//   out[n, o, group_filters*g + f]
//
// Built by build_nest, rewritten by schedule steps, checked by verify, read by lower and nest_interp.
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

enum class Role : uint8_t {
  kSerial,  // a loop
  kBand,    // over runs of output steps that share one tap range; of the step dimension only
  kTile,    // unrolled into accumulators
  kLanes,   // the lanes of a vector
  kUnroll,  // unrolled in the reduction
};

// What becomes of the steps that whole tiles leave (Halide's TailStrategy).
enum class TailStrategy : uint8_t {
  kOpen,    // as `completed` says
  kShrink,  // smaller tiles, of each size as many as fit
  kShift,   // the last tile of a size is shifted inwards, over steps that are done, to end with them
  kMask,    // smaller tiles of whole vectors, and masked vectors
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
  int64_t step = 1;
  Role role = Role::kSerial;
  Tail tail = {};    // of the innermost serial loop over steps
  int64_t wide = 0;  // over filters or groups: blocks that a tile of a single step takes at once; 0: open
  bool operator==(const Loop&) const = default;
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
  std::vector<Loop> loops;
  // The input of a tile of steps, or of a chunk, is copied to scratch, transposed, so that lanes over steps
  // read neighbouring floats.
  bool staged = false;
  // Steps that see all taps are made by lanes that stand far apart, through scratch.
  // 0: no; else vectors of steps of a tile there.
  int64_t lifted = 0;
  // The lanes of lifted tiles are neighbouring steps instead. Inputs of one channel are read where they are.
  bool near = false;
  // The filters that fill no more than one blended-th of the last vector share it with those of so many
  // neighbouring rows of a tile. 0: no.
  int64_t blended = 0;
  // All output steps are one band. Each row of a tile sees its own taps: those that all rows see run as
  // everywhere, the others row by row.
  bool ragged = false;
  // The taps of a tile are walked by input position, each input loaded once. Its rows lie row_distance steps
  // apart, so that they read the same positions.
  bool slide = false;
  // Outputs of calls that make more than a cache holds are stored around the caches.
  bool stream = false;
  // Tiles ask for the weights of the next block of filters while they read their own.
  bool prefetch = false;
  // Tiles ask for the inputs of the tile behind them while they read their own.
  bool read_ahead = false;
  // Weights are packed in panels of so many units of the lanes (of filters, where lanes run over steps),
  // whatever the tile: kernels for several CPUs can share them. 0: in blocks of one tile.
  int64_t panel = 0;
  // Numbers of the above, see kStepNumbers. 0: open, as `completed` says.
  int64_t stage_apart = 0;
  int64_t lift_tiles = 0;
  int64_t lift_worth = 0;
  int64_t near_chunk = 0;
  int64_t stream_above = 0;
  int64_t prefetch_share = 0;
  int64_t read_ahead_within = 0;
  bool operator==(const LoopNest&) const = default;

  // True after `fuse`: taps and channels run as one reduction dimension.
  bool fused() const;
  // True after `cut`: a band loop exists and the tap loops run over the band's tap range.
  bool cut() const;
  // Output steps from one row of a tile to the next.
  int64_t row_distance() const;
};

// Extent of a whole dimension; nullopt for samples and steps, which only a call knows.
std::optional<int64_t> dim_extent(const Problem& problem, Dim dim);

// Extent of loop `index`: the step of the nearest loop outside it over the same dimension, else the
// dimension's. nullopt where only a call knows it.
std::optional<int64_t> loop_extent(const LoopNest& nest, size_t index);

// "o" for the outermost loop over o, then "o1", "o2"; "b" for the band loop.
std::string loop_name(const LoopNest& nest, size_t index);
std::optional<size_t> find_loop(const LoopNest& nest, std::string_view name);

// The loop over `dim` with `role`, if there is one. At most one has kTile, kLanes or kUnroll.
const Loop* loop_with(const LoopNest& nest, Dim dim, Role role);
// The dimension of the lanes, if any.
std::optional<Dim> lanes_dim(const LoopNest& nest);

// How many lanes there are.
int64_t lane_count(const LoopNest& nest);

// Whether `rows` rows can share the last vector of the filters of a group, in parts of whole blocks of four
// lanes.
bool can_blend(const Problem& problem, int64_t lanes, int64_t rows);

// Whether lanes of a lifted tile may be neighbouring steps, see StepKind::kNear.
bool can_be_near(const Problem& problem, int64_t lanes);

// The step of the innermost serial loop over `dim`: of steps, filters or groups the size of a whole tile.
int64_t innermost_step(const LoopNest& nest, Dim dim);

// Whether a loop over `dim` with that role stands inside loop `i`.
bool has_inside(const LoopNest& nest, size_t i, Dim dim, Role role);

// Whether tiles of a single step may take several blocks of loop `i` at once: it is inside a band, whose
// steps it knows, and outside no loop over groups, which those tiles would skip.
bool may_be_wide(const LoopNest& nest, size_t i);

// Whether a tile may begin on rows that are done already, and make the same sums again. An operand may lie
// where the output does.
bool tiles_may_overlap(const LoopNest& nest);

// Whether a call stages its input only where rows share cache sets: neighbouring steps are neighbours in
// memory anyway.
bool stages_where_rows_meet(const LoopNest& nest);

// How much of `dim` (groups or filters) one pass of the innermost serial step loop covers: all of it
// where its loops stand inside, the step of the last one that stands outside otherwise.
int64_t extent_inside_steps(const LoopNest& nest, Dim dim);

}  // namespace convsmith::ir
