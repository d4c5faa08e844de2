// Times of calls, and the speed of light to hold them against: the rate of independent fused multiply-adds
// that this CPU reaches at the moment. Used by compare and by the benchmarks.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "codegen/kernel.hpp"
#include "convsmith/convsmith.hpp"
#include "convsmith/error.hpp"

namespace convsmith::cli {

// A loop of independent multiply-adds in registers, made of vir like every kernel. kBaseline has no fused
// one: there it is half multiplications, half additions, which is what such code can reach at best.
class PeakLoop {
 public:
  static Result<PeakLoop> make(Isa isa);
  // One run of about a third of a millisecond on each of the threads; GF/s of all of them.
  double measure(const ParallelFor& parallel) const;

 private:
  std::unique_ptr<Kernel> kernel_;
  double operations_ = 0;  // floating-point operations of a run
};

struct Timing {
  double min_us = 0;
  double p50_us = 0;
  double p99_us = 0;
  double peak_gflops = 0;  // the highest of the peak loop, measured in turns with the calls
};

// Calls `call` for about `seconds`, at least three times (once if it takes that long), the peak loop in
// between. Calls too short for the clock are timed several together.
Timing measure_call(const std::function<void()>& call, const PeakLoop* peak, const ParallelFor& parallel,
                    double seconds);

// Microseconds of one run of `work`.
double microseconds(const std::function<void()>& work);
std::string time_text(double us);  // "12.34 us"
// The value below which `share` (0..1) of the values lie; values are not empty.
double percentile(std::vector<double> values, double share);

}  // namespace convsmith::cli
