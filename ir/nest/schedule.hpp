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
//   tail o shift 7 4  smaller tiles for the steps that whole tiles leave, shifted inwards to end with them;
//                     'tail o 7 3 1' where tiles may not overlap, 'tail o mask 32' for lanes over steps
//   wide f 4          a tile of a single step takes so many blocks at once
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
//
// Behind a step may stand its numbers, each with its name (kStepNumbers): `lift 8 tiles 3 worth 40`. What a
// schedule leaves open is filled in for the target (codegen/schedule/completed.hpp).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "ir/nest/nest.hpp"

namespace convsmith::ir {

enum class StepKind {
  kCut,
  kFuse,
  kSplit,
  kReorder,
  kTile,
  kLanes,
  kUnroll,
  kTail,
  kWide,
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
  std::vector<std::string> loops;     // the loop or loops it names
  int64_t factor = 0;                 // split, wide, lift, blend and panel only
  Tail tail = {};                     // tail only
  std::vector<int64_t> numbers = {};  // in the order of kStepNumbers, 0: open; none: all open
  bool operator==(const Step&) const = default;
};

// The numbers that a step may have, by name.
struct StepNumber {
  StepKind step;
  std::string_view name;
};
constexpr StepNumber kStepNumbers[] = {
    // Rows whose distance is a multiple of so many bytes are staged, others read where they are.
    {StepKind::kStage, "apart"},
    // Tiles whose input is turned together; steps from which on a call takes one more, overlapping tile.
    {StepKind::kLift, "tiles"},
    {StepKind::kLift, "worth"},
    // Steps whose input is staged together, where there are several channels.
    {StepKind::kNear, "chunk"},
    // Bytes of the output of a call.
    {StepKind::kStream, "above"},
    // Tiles that ask for a block of weights together.
    {StepKind::kPrefetch, "share"},
    // Cache lines that a round of products asks for at most; where it would be more, none.
    {StepKind::kReadAhead, "within"},
};

using Schedule = std::vector<Step>;

std::string print(const Step& step);
std::string print(const Schedule& schedule);
Result<Schedule> parse_schedule(std::string_view text);

// Whether a step of that name is about a whole nest and names no loop: `ragged`, `lift 8`.
bool is_nest_step(std::string_view name);

// "shift 7 4"; and what that says, of the words [begin, end) of a text. Sizes fall.
std::string print(const Tail& tail);
Result<Tail> parse_tail(std::span<const std::string> words);
// Numbers as text: " tiles 3 worth 40", open ones left out; and read from such words.
std::string print_numbers(StepKind step, const std::vector<int64_t>& numbers);
Result<std::vector<int64_t>> parse_numbers(StepKind step, std::span<const std::string> words);
// The numbers of a step as a nest has them, in the order of kStepNumbers; 0 where one is open or means
// nothing.
std::vector<int64_t> numbers_of(const LoopNest& nest, StepKind step);
void set_numbers(LoopNest& nest, StepKind step, const std::vector<int64_t>& numbers);

// A count as texts have it: "24M" is 24 << 20.
std::string print_count(int64_t count);
std::optional<int64_t> parse_count(std::string_view text);

// Each step is followed by verify; an error names the step.
Result<LoopNest> apply(LoopNest nest, const Schedule& schedule);
Result<LoopNest> apply(LoopNest nest, const Step& step);

}  // namespace convsmith::ir
