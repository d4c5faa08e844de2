// A schedule: checked, printable rewrites that turn the naive nest into one that fits a CPU. Each
// step either rewrites the nest or returns an error that names the loop. As text, steps are
// separated by semicolons, what follows '#' in a line is a comment; loops are named as loop_name says, at the
// moment the step runs:
//
//   cut o             split the output at the padding: a band loop, after which no tap is tested
//   fuse k c          taps and channels become one contiguous reduction r
//   split f 32        for f = 0..F           ->  for f = 0..F step 32, for f1 = 0..32
//   reorder n g b ..  the loops in this order, all of them named
//   tile f1           unroll the loop into accumulators
//   lanes f2          run the loop in the lanes of a vector
//   unroll c1         unroll the loop in the reduction
//   stage             copy the input of a tile or a chunk of steps to scratch, transposed
//   lift 8            lanes are far-apart segments of the steps, wherever all taps are inside
//   near              the lanes of lifted tiles are neighbouring steps
//   blend 2           two rows share the vector that the last filters of a group fill by no more than half
//   ragged            one band: each row of a tile skips the taps that it lacks
//   slide             load each input once for all the rows of a tile that read it
//   stream            outputs too large for the caches bypass them
//   prefetch          the first tiles of a block ask for the next one's weights
//   read_ahead        each tile asks for the next tile's inputs
//   panel 16          pack weights in panels of 16 filters (or groups), whatever the tile
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "ir/nest.hpp"

namespace convsmith::ir {

enum class StepKind {
  kCut,
  kFuse,
  kSplit,
  kReorder,
  kTile,
  kLanes,
  kUnroll,
  kStage,
  kLift,
  kNear,
  kBlend,
  kRagged,
  kSlide,
  kStream,
  kPrefetch,
  kReadAhead,
  kPanel
};

struct Step {
  StepKind kind;
  std::vector<std::string> loops;  // the loop or loops it names
  int64_t factor = 0;              // split, lift, blend and panel only
  bool operator==(const Step&) const = default;
};

using Schedule = std::vector<Step>;

std::string print(const Schedule& schedule);
Result<Schedule> parse_schedule(std::string_view text);

// Each step is followed by verify; an error names the step.
Result<LoopNest> apply(LoopNest nest, const Schedule& schedule);
Result<LoopNest> apply(LoopNest nest, const Step& step);

}  // namespace convsmith::ir
