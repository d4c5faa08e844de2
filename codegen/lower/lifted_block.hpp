// The blocks in which lanes over far-apart steps go through scratch ('lift', docs/nest.md): a block is some
// tiles whose inputs are turned together. choose_schedule weighs them, lower makes them.
#pragma once

#include "codegen/target.hpp"
#include "frontend/problem.hpp"

namespace convsmith {

struct LiftedBlock {
  int64_t tiles;
  int64_t steps;      // of each lane
  int64_t positions;  // that it reads
  int64_t kept;       // those that the next block reads again
  int64_t in_floats;  // of each lane, for one tile
  int64_t unread;     // of them behind the last step of a block, where taps end before the next step
  int64_t out_floats;
  int64_t bytes;  // of scratch
  // Cycles for a vector of steps: to turn inputs and sums, and to bring what is kept to the front.
  double moving;
};

// The cheapest block of tiles of `vectors` vectors of steps: the floats of a lane should be whole vectors,
// and what is kept little, while all stays in the first cache.
LiftedBlock lifted_block(const Problem& problem, const Target& target, int64_t vectors);
// That of so many tiles.
LiftedBlock lifted_block(const Problem& problem, const Target& target, int64_t vectors, int64_t tiles);

// Steps that lanes over filters make one by one in the time of one such tile.
int64_t steps_worth_lifting(const Problem& problem, const Target& target, int64_t vectors);

// Cycles that a sum takes beside its products: its start, its bias, its store.
constexpr double kSumCycles = 1.7;

// Cycles that turn `columns` floats of as many rows as there are lanes.
double turning(const Target& target, int64_t columns);

}  // namespace convsmith
