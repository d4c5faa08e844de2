#include "cli/measure/measure.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "codegen/target.hpp"
#include "codegen/vir/builder.hpp"
#include "codegen/vir/verify.hpp"
#include "frontend/base/check.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {

namespace {

using Clock = std::chrono::steady_clock;

constexpr double kPeakSeconds = 3e-4;
constexpr int64_t kTrips = 4000;
constexpr int kUnroll = 4;

struct PeakProgram {
  vir::Program program;
  double operations;
};

// loop { acc = fma(acc, w[0], w[1]) for as many accumulators as hide the latency }. Neutral values come from
// memory, where no back end can fold them away.
PeakProgram peak_program(const Target& target) {
  using vir::Arg;
  const int accumulators = target.vector_registers == 32 ? 24 : 12;
  vir::Builder b("peak", target.lanes);
  const vir::P weights = b.arg_ptr(Arg::kWeights);
  const vir::P out = b.arg_ptr(Arg::kOut);
  const vir::V factor = b.vec();
  const vir::V term = b.vec();
  b.bcast(factor, weights, 0);
  b.bcast(term, weights, 4);
  std::vector<vir::V> acc;
  for (int i = 0; i < accumulators; ++i) acc.push_back(b.constant(1.0F));
  b.loop(b.iconst(kTrips), "peak", [&] {
    for (int i = 0; i < kUnroll * accumulators; ++i) {
      const vir::V a = acc[static_cast<size_t>(i % accumulators)];
      if (target.fused_multiply_add) {
        b.fma(a, a, factor, term);
      } else {
        b.op(i % 2 == 0 ? vir::Opcode::kMul : vir::Opcode::kAdd, a, a, i % 2 == 0 ? factor : term);
      }
    }
  });
  // Storing them keeps them alive.
  for (int i = 0; i < accumulators; ++i) b.store(out, i * b.vector_bytes(), acc[static_cast<size_t>(i)]);
  const double each = target.fused_multiply_add ? 2 : 1;
  return {b.take(), each * target.lanes * accumulators * kUnroll * kTrips};
}

struct PeakRun {
  const Kernel* kernel;
};

void run_peak(void* context, size_t) {
  constexpr std::array<float, 2> kNeutral = {1.0F, 0.0F};
  alignas(64) std::array<float, 24 * 16> out;
  KernelArgs args{};
  args.kWeights = kNeutral.data();
  args.kOut = out.data();
  static_cast<const PeakRun*>(context)->kernel->run(args);
}

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// How many calls are timed together, so that the clock's own time does not show.
int64_t calls_together(const std::function<void()>& call, double& once) {
  constexpr double kShortest = 5e-6;
  const auto begin = Clock::now();
  call();
  once = seconds_since(begin);
  if (once >= kShortest) return 1;
  // The first call is the slowest.
  once = microseconds([&] {
           for (int i = 0; i < 16; ++i) call();
         }) *
         1e-6 / 16;
  return std::clamp<int64_t>(static_cast<int64_t>(kShortest / std::max(once, 1e-9)), 1, 1000);
}

}  // namespace

Result<PeakLoop> PeakLoop::make(Isa isa) {
  const Target& target = target_for(isa);
  const auto& memory = process_code_memory();
  if (!memory) return tl::unexpected(memory.error());
  const PeakProgram peak = peak_program(target);
  CONVSMITH_CHECK(vir::verify(peak.program), "the peak loop is a legal program");
  const Backend backend = isa == Isa::kBaseline ? Backend::kLlvm : Backend::kXbyak;
  auto kernel = make_kernel(peak.program, backend, target, *memory);
  if (!kernel) return tl::unexpected(kernel.error());
  PeakLoop loop;
  loop.kernel_ = std::move(*kernel);
  loop.operations_ = peak.operations;
  return loop;
}

double PeakLoop::measure(const ParallelFor& parallel) const {
  PeakRun run{kernel_.get()};
  const int threads = std::max(parallel.threads, 1);
  const auto once = [&] {
    if (parallel.run == nullptr) return run_peak(&run, 0);
    parallel.run(parallel.pool, run_peak, &run, static_cast<size_t>(threads));
  };
  double best = 0;
  const auto begin = Clock::now();
  do {
    const auto start = Clock::now();
    once();
    best = std::max(best, operations_ * threads / seconds_since(start) * 1e-9);
  } while (seconds_since(begin) < kPeakSeconds);
  return best;
}

double microseconds(const std::function<void()>& work) {
  const auto begin = Clock::now();
  work();
  return seconds_since(begin) * 1e6;
}

std::string time_text(double us) {
  if (us < 1) return fmt::format("{:.0f} ns", us * 1e3);
  if (us < 100) return fmt::format("{:.2f} us", us);
  if (us < 1e4) return fmt::format("{:.0f} us", us);
  return fmt::format("{:.1f} ms", us * 1e-3);
}

double percentile(std::vector<double> values, double share) {
  const auto index = static_cast<std::ptrdiff_t>(share * static_cast<double>(values.size() - 1) + 0.5);
  std::nth_element(values.begin(), values.begin() + index, values.end());
  return values[static_cast<size_t>(index)];
}

Timing measure_call(const std::function<void()>& call, const PeakLoop* peak, const ParallelFor& parallel,
                    double seconds) {
  constexpr size_t kMost = 20000;
  constexpr double kBetweenPeaks = 3e-3;
  Timing timing;
  double once = 0;
  const int64_t together = calls_together(call, once);
  const size_t fewest = once > seconds ? 1 : 3;
  std::vector<double> samples;
  const auto begin = Clock::now();
  auto last_peak = begin - std::chrono::hours(1);
  while (samples.size() < fewest || (samples.size() < kMost && seconds_since(begin) < seconds)) {
    if (peak != nullptr && seconds_since(last_peak) > kBetweenPeaks) {
      timing.peak_gflops = std::max(timing.peak_gflops, peak->measure(parallel));
      if (once < 1e-3) call();  // not timed: it brings back what the peak loop displaced
      last_peak = Clock::now();
    }
    const auto start = Clock::now();
    for (int64_t i = 0; i < together; ++i) call();
    samples.push_back(seconds_since(start) * 1e6 / static_cast<double>(together));
  }
  timing.min_us = *std::min_element(samples.begin(), samples.end());
  timing.p50_us = percentile(samples, 0.5);
  timing.p99_us = percentile(samples, 0.99);
  return timing;
}

}  // namespace convsmith::cli
