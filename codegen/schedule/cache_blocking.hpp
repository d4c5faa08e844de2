// What schedules do about caches: chunks of steps, early requests, rows that meet in one set, and what a
// tile's loads cost by where they come from. The rules of choose_schedule; lower shares one of them.
#pragma once

#include <cstdint>

#include "codegen/target.hpp"
#include "frontend/problem.hpp"

namespace convsmith {

// Each pass over the steps makes one block of filters: tiles of `rows` steps and `vectors` vectors.
struct CacheBlocking {
  int64_t chunk = 0;        // steps that all passes make before the next ones; 0: all of them
  bool prefetch = false;    // tiles ask for the weights of the next pass
  bool read_ahead = false;  // tiles ask for the inputs of the next tile
};
CacheBlocking cache_blocking(const Problem& p, const Target& target, int64_t rows, int64_t vectors);

// Whether outputs that leave the caches are what a call waits for: whole lines in rows and tiles, since a
// part of one goes to memory by itself, and little arithmetic for each.
bool may_stream(const Problem& p, const Target& target, int64_t vectors);

// Rows whose inputs lie in the first cache at the same time. Lines whose addresses differ by a multiple of a
// way's bytes, a page, take the ways of one set from each other.
int64_t rows_in_ways(const Problem& p, const Target& target);

// Channels-first rows that are a multiple of so many bytes apart share sets of the first cache, more of them
// than it has ways, if there are so many rows at all.
int64_t meeting_distance(const Problem& p, const Target& target);

// Whether lengths of which rows meet are so common that a schedule should be ready for them.
bool rows_may_meet(const Problem& p, const Target& target);

// What reading the weights of a block of `vectors` vectors again for each tile costs, in multiply-adds for
// each, by row that shares them: nothing from the first cache, little from a corner of the second one. From a
// larger part of it, or where far-apart taps need that, too, it is the bandwidth that counts.
double weight_stream(const Problem& p, const Target& target, int64_t vectors);

// The same for inputs, by vector that shares them: each pass brings all of them from beyond the second cache
// where chunks have no room there. Windows that overlap have most of theirs from the row before.
double input_stream(const Problem& p, const Target& target, int64_t rows, int64_t vectors);

}  // namespace convsmith
