#include "codegen/schedule/cache_blocking.hpp"

#include <algorithm>
#include <bit>
#include <numeric>

#include "frontend/base/ceil_div.hpp"

namespace convsmith {

namespace {

constexpr int64_t kLineFloats = 16;

// Bytes of a way of the first cache: a page.
constexpr int64_t kWay = 4096;

// Vectors of products for an input, see reads_ahead.
constexpr int64_t kFewProducts = 80;

// Bytes of the weights of `filters` filters.
int64_t weight_bytes(const Problem& p, int64_t filters) {
  return 4 * p.taps * p.group_channels() * filters;
}

// Rows of the output that passes over one chunk complete while they are near. Lines that are written in
// parts come from memory first, which prefetchers foresee in so many pages at a time.
int64_t written_rows(const Problem& p, const Target& target, int64_t in_row, int64_t vectors) {
  constexpr int64_t kFollowedPages = 32;
  const int64_t out_row = 4 * p.out_pitch();
  const int64_t near = target.l2_bytes / 2 / (in_row + out_row);
  return may_stream(p, target, vectors) ? near : std::min(near, kFollowedPages * kWay / out_row);
}

// Steps of one chunk, whose input all passes read one after the other: as many as the second cache holds
// beside the weights that stand there; 0 where it has hardly room for any, or that would save little.
// Far-apart taps read that many separate runs of rows.
int64_t chunk_steps(const Problem& p, const Target& target, int64_t tile_steps, int64_t vectors,
                    int64_t passes, bool prefetch) {
  constexpr int64_t kFewestTiles = 8;
  const int64_t weights = weight_bytes(p, ceil_div(p.group_filters(), passes));
  const int64_t bytes = target.l2_bytes * 3 / 4 - weights * (prefetch ? 2 : 1);
  if (bytes < weights) return 0;
  const int64_t row = 4 * p.stride * p.in_pitch();
  const int64_t rows = bytes / row;
  const int64_t reach = (p.taps - 1) * p.dilation / p.stride;
  const int64_t fitting = reach < rows / 2 ? rows - reach : rows / p.taps;
  // Weights that stay near all the time leave chunks to be short, so that the passes over one complete whole
  // rows of the output before these leave the cache.
  const int64_t all_weights = weight_bytes(p, p.group_filters());
  if (all_weights <= target.l1_bytes / 2) return 2 * tile_steps;
  const int64_t whole_rows = written_rows(p, target, row, vectors);
  const bool stays = all_weights <= target.l2_bytes / 2;
  const int64_t tiles = (stays ? std::min(fitting, whole_rows) : fitting) / tile_steps;
  if (stays) return std::max(kFewestTiles, tiles) * tile_steps;
  // Each chunk brings all weights; without chunks each pass brings all inputs, in order, as prefetchers like
  // it.
  const bool saves = 2 * all_weights <= row * passes * tiles * tile_steps;
  return tiles >= kFewestTiles && saves ? tiles * tile_steps : 0;
}

// Whether weights come from beyond the second cache, and two blocks fit there.
bool prefers_prefetch(const Problem& p, const Target& target, int64_t block) {
  return weight_bytes(p, p.filters) > target.l2_bytes && 2 * weight_bytes(p, block) < target.l2_bytes * 2 / 3;
}

// So few products with each input that the call waits for them where they come from beyond the second cache.
bool reads_ahead(const Problem& p, int64_t rows, int64_t vectors, int64_t passes) {
  const int64_t taps = p.dilation < rows * p.stride ? p.taps : 1;
  return p.groups == 1 && p.channels >= kLineFloats && vectors * passes * taps <= kFewProducts * p.stride;
}

}  // namespace

CacheBlocking cache_blocking(const Problem& p, const Target& target, int64_t rows, int64_t vectors) {
  CacheBlocking cache;
  if (rows == 1) return cache;
  const int64_t passes = ceil_div(p.group_filters(), vectors * target.lanes);
  if (passes > 1) {
    cache.prefetch = prefers_prefetch(p, target, vectors * target.lanes);
    cache.chunk = chunk_steps(p, target, rows, vectors, passes, cache.prefetch);
  }
  cache.read_ahead = !cache.prefetch && reads_ahead(p, rows, vectors, passes);
  return cache;
}

bool may_stream(const Problem& p, const Target& target, int64_t vectors) {
  return p.out_pitch() % kLineFloats == 0 && vectors * target.lanes % kLineFloats == 0 &&
         p.taps * p.group_channels() <= 256;
}

int64_t rows_in_ways(const Problem& p, const Target& target) {
  const int64_t sets = kWay / std::gcd(kWay, 4 * p.stride * p.in_pitch());
  return sets * (target.l1_bytes / kWay);
}

int64_t meeting_distance(const Problem& p, const Target& target) {
  const auto fitting = static_cast<uint64_t>(target.l1_bytes / p.group_channels());
  return std::max<int64_t>(4 * kLineFloats, static_cast<int64_t>(2 * std::bit_floor(fitting)));
}

bool rows_may_meet(const Problem& p, const Target& target) {
  return meeting_distance(p, target) <= kWay;
}

double weight_stream(const Problem& p, const Target& target, int64_t vectors) {
  const int64_t bytes = weight_bytes(p, target.lanes * vectors);
  if (bytes <= target.l1_bytes / 2) return 0;
  // Dense layers often have few rows, and wait for weights from memory that no tile asked for before.
  const bool is_late = p.taps == 1 && weight_bytes(p, p.filters) > 4 * target.l2_bytes &&
                       !prefers_prefetch(p, target, target.lanes * vectors);
  if (is_late) return 1.2;
  return p.dilation == 1 && bytes <= target.l2_bytes / 8 ? 0.05 : 0.6;
}

double input_stream(const Problem& p, const Target& target, int64_t rows, int64_t vectors) {
  const bool passes_again = p.group_filters() > vectors * target.lanes;
  if (!passes_again || weight_bytes(p, p.group_filters()) <= target.l2_bytes / 2) return 0;
  const double fresh = std::min(1.0, static_cast<double>(p.stride) / static_cast<double>(p.taps));
  return cache_blocking(p, target, rows, vectors).chunk > 0 ? 0 : 0.25 * fresh;
}

}  // namespace convsmith
