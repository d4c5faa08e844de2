// Measures one layer: ours and every peer, the FMA peak and the bandwidth in turns, so that a machine whose
// speed drifts drifts for all of them. Used by main.
#pragma once

#include <vector>

#include "bench/peers/bandwidth.hpp"
#include "bench/peers/peers.hpp"
#include "bench/peers/table.hpp"
#include "cli/measure/measure.hpp"

namespace convsmith::bench {

struct Machine {
  cli::PeakLoop peak;
  TrafficLoops traffic;
  Caches caches;
};

// The first way is ours, channels last; its result judges the others (largest difference above 1e-4 of the
// largest value: a wrong one, which is not timed). About `seconds` for all together, more where single calls
// take that long.
Result<Row> measure_row(const Shape1d& shape, const std::vector<Way>& ways, Machine& machine, double seconds);

}  // namespace convsmith::bench
