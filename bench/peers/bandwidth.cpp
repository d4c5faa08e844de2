#include "bench/peers/bandwidth.hpp"

#include <immintrin.h>

#include <algorithm>

#include "cli/measure/measure.hpp"

namespace convsmith::bench {
namespace {

constexpr size_t kBlock = 64;  // floats: what the loops below move in one round
constexpr double kMemoryBytes = 256.0 * 1024 * 1024;

// A layer's traffic in the order in which a good one makes it: weights, then input and output side by side.
struct Traffic {
  std::span<const float> weights;
  std::span<const float> input;
  std::span<float> output;
};

constexpr size_t blocks_of(std::span<const float> array) {
  return array.size() / kBlock;
}

double bytes_of(const Traffic& t) {
  const size_t blocks = blocks_of(t.weights) + blocks_of(t.input) + blocks_of(t.output);
  return static_cast<double>(sizeof(float) * kBlock * blocks);
}

// A function that moves a block of one array at a time: with each block written as many are read as it takes
// for both to end together. Values that are read are needed by nobody. A macro, because templates do not pass
// on which instructions they may be compiled to.
#define CONVSMITH_DEFINE_MOVE(NAME, TARGET, LANES, LOAD, ONE, STORE)                                        \
  __attribute__((target(TARGET))) void NAME(const Traffic& t) {                                             \
    const size_t reads = blocks_of(t.input);                                                                \
    const size_t writes = blocks_of(t.output);                                                              \
    const float* from = t.input.data();                                                                     \
    const float* const end = from + reads * kBlock;                                                         \
    const float* const weights_end = t.weights.data() + blocks_of(t.weights) * kBlock;                      \
    for (const float* w = t.weights.data(); w < weights_end; w += LANES) asm volatile("" : : "v"(LOAD(w))); \
    size_t due = 0;                                                                                         \
    for (float *to = t.output.data(), *last = to + writes * kBlock; to < last; to += kBlock) {              \
      for (due += reads; due >= writes; due -= writes, from += kBlock)                                      \
        for (size_t j = 0; j < kBlock; j += LANES) asm volatile("" : : "v"(LOAD(from + j)));                \
      for (size_t j = 0; j < kBlock; j += LANES) STORE(to + j, ONE(1));                                     \
    }                                                                                                       \
    for (; from < end; from += LANES) asm volatile("" : : "v"(LOAD(from)));                                 \
  }

CONVSMITH_DEFINE_MOVE(move_avx2, "avx2", 8, _mm256_loadu_ps, _mm256_set1_ps, _mm256_store_ps)
CONVSMITH_DEFINE_MOVE(stream_avx2, "avx2", 8, _mm256_loadu_ps, _mm256_set1_ps, _mm256_stream_ps)
CONVSMITH_DEFINE_MOVE(move_avx512, "avx512f", 16, _mm512_loadu_ps, _mm512_set1_ps, _mm512_store_ps)
CONVSMITH_DEFINE_MOVE(stream_avx512, "avx512f", 16, _mm512_loadu_ps, _mm512_set1_ps, _mm512_stream_ps)

// The best of several runs, each long enough for the clock.
double best_gbs(const Traffic& traffic, void (*move)(const Traffic&)) {
  constexpr double kRunBytes = 2e6;
  const double bytes = bytes_of(traffic);
  if (bytes == 0) return 0;
  const int times = std::max(static_cast<int>(kRunBytes / bytes), 1);
  const int runs = bytes > 10 * kRunBytes ? 2 : 6;
  double best = 0;
  for (int run = 0; run < runs; ++run) {
    const double us = cli::microseconds([&] {
      for (int i = 0; i < times; ++i) move(traffic);
      _mm_sfence();
    });
    best = std::max(best, times * bytes / us * 1e-3);
  }
  return best;
}

}  // namespace

TrafficLoops::TrafficLoops(const Caches& caches, Isa isa)
    : caches_(caches),
      is_wide_(isa == Isa::kAvx512),
      from_(std::make_unique<cli::PlacedArray>(floats_of(Level::kMemory), cli::Place{})),
      to_(std::make_unique<cli::PlacedArray>(floats_of(Level::kMemory), cli::Place{})) {}

size_t TrafficLoops::floats_of(Level level) const {
  const double bytes = level == Level::kL1   ? caches_.l1 / 2
                       : level == Level::kL2 ? caches_.l2 / 2
                       : level == Level::kL3 ? caches_.l3 / 2
                                             : kMemoryBytes;
  return static_cast<size_t>(bytes / 2 / sizeof(float));
}

double TrafficLoops::measure(Level level) const {
  const size_t floats = floats_of(level);
  return measure({}, {from_->data(), floats}, {to_->data(), floats});
}

double TrafficLoops::measure(std::span<const float> weights, std::span<const float> input,
                             std::span<float> output) const {
  const Traffic traffic{weights, input, output};
  const double plain = best_gbs(traffic, is_wide_ ? move_avx512 : move_avx2);
  if (bytes_of(traffic) <= caches_.l2) return plain;
  return std::max(plain, best_gbs(traffic, is_wide_ ? stream_avx512 : stream_avx2));
}

}  // namespace convsmith::bench
