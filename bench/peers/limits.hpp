// What a layer demands of any implementation, and what a machine can do at best. Used by measure_row and
// table.
#pragma once

#include <cstdint>

#include "bench/peers/table.hpp"
#include "frontend/problem.hpp"

namespace convsmith::bench {

// a / b for b > 0, rounded up.
int64_t divide_up(int64_t a, int64_t b);

// Multiply-adds count as two operations.
struct Work {
  double operations = 0;         // by the convention of docs/benchmarks.md: taps in the padding included
  double operations_inside = 0;  // those that meet an input step (transposed: an output step that is kept)
  double bytes = 0;              // float32 input, weights with bias, and output, once each
};
Result<Work> work_of(const Shape1d& shape);

// Bytes of each cache that one core may count on.
struct Caches {
  double l1 = 0;
  double l2 = 0;
  double l3 = 0;
};
// As the system tells them (48 KiB, 2 MiB and 32 MiB where it does not), the last one at most 32 MiB: it is
// shared with other cores, and on rented machines with other guests.
Caches system_caches();
// The first cache that holds them all.
Level level_of(double bytes, const Caches& caches);

// The longer of arithmetic at the peak and of traffic at the bandwidth; a rate of 0 sets no limit.
double shortest_us(double operations_inside, double bytes, double peak_gflops, double bandwidth_gbs);

}  // namespace convsmith::bench
