// How fast one core moves data that lives in each of its caches, or in memory: the other limit beside the FMA
// peak. Used by measure_row in turns with the layers.
#pragma once

#include <memory>
#include <span>

#include "bench/peers/limits.hpp"
#include "bench/peers/table.hpp"
#include "cli/verify/placed_array.hpp"
#include "convsmith/options.hpp"

namespace convsmith::bench {

// All figures are GB/s, bytes read and written together, the best of some runs; beyond the second cache also
// with stores that go around the caches.
class TrafficLoops {
 public:
  // With the vectors of `isa`.
  TrafficLoops(const Caches& caches, Isa isa);
  // Copying between two arrays that take up half of the cache (for memory: 256 MiB).
  double measure(Level level) const;
  // What a layer cannot do without: reading two arrays and writing a third one, which begins at a multiple of
  // 64 bytes. 0 where they are too small to tell.
  double measure(std::span<const float> weights, std::span<const float> input, std::span<float> output) const;

 private:
  size_t floats_of(Level level) const;  // of each array

  Caches caches_;
  bool is_wide_;
  std::unique_ptr<cli::PlacedArray> from_;
  std::unique_ptr<cli::PlacedArray> to_;
};

}  // namespace convsmith::bench
