// Speed of the layers of published networks, one benchmark for each row of the table, back end and
// instruction set; weights packed, one thread, data in the caches as far as it fits.
//
//   layers_bench [--backend=xbyak|llvm|interp|auto] [--isa=baseline|avx2|avx512|auto] [--shapes=FILE.csv]
//                [Google Benchmark's options, such as --benchmark_filter=whisper]
//
// Counters: GF/s of the shortest call (2 operations for each tap, taps in the padding included), peak (of
// independent multiply-adds of the instruction set, measured in turns with the calls) and the share of it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>

#include "bench/shapes.hpp"
#include "cli/check_layer.hpp"
#include "cli/compare.hpp"
#include "cli/measure.hpp"
#include "frontend/make_problem.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith::bench {
namespace {

// A compiled layer with its weights and arrays.
struct Layer {
  Problem problem;
  std::shared_ptr<const CompiledKernel> kernel;
  std::shared_ptr<const PackedData> weights;
  cli::CallData data;
  std::vector<float> output;
  int64_t batch;
  int64_t steps;

  void run() { run_kernel(*kernel, weights->data, data.input.data(), output.data(), batch, steps, {}); }
};

Result<Layer> make_layer(const Shape1d& shape, cli::BackEnd back_end) {
  auto problem = make_problem(shape.spec, Rules::kAny);
  if (!problem) return tl::unexpected(problem.error());
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  auto kernel = compile_problem(*problem, back_end.backend, back_end.isa, "", memory);
  if (!kernel) return tl::unexpected(kernel.error());
  Layer layer{*problem, std::move(*kernel), nullptr, {}, {}, shape.batch, shape.steps};
  layer.data = cli::make_data(*problem, {shape.batch, shape.steps, cli::DataKind::kFloats, 1});
  layer.weights = pack_weights(layer.kernel, layer.data.kernel, layer.data.bias);
  layer.output.resize(
      static_cast<size_t>(shape.batch * problem->output_steps(shape.steps) * problem->filters));
  return layer;
}

void run_shape(benchmark::State& state, const Shape1d& shape, cli::BackEnd back_end) {
  using Clock = std::chrono::steady_clock;
  auto layer = make_layer(shape, back_end);
  if (!layer) return state.SkipWithError(layer.error().message.c_str());
  const auto peak = cli::PeakLoop::make(back_end.isa);
  double shortest = std::numeric_limits<double>::infinity();
  double highest_peak = 0;
  auto next_peak = Clock::now();
  layer->run();
  for (auto _ : state) {
    if (peak && Clock::now() >= next_peak) {
      highest_peak = std::max(highest_peak, peak->measure({}));
      layer->run();
      next_peak = Clock::now() + std::chrono::milliseconds(3);
    }
    const double us = cli::microseconds([&] { layer->run(); });
    shortest = std::min(shortest, us);
    state.SetIterationTime(us * 1e-6);
  }
  const double gflops = cli::operation_count(layer->problem, shape.batch, shape.steps) / shortest * 1e-3;
  state.counters["min_us"] = shortest;
  state.counters["GF/s"] = gflops;
  state.counters["peak"] = highest_peak;
  state.counters["share"] = highest_peak > 0 ? gflops / highest_peak : 0;
}

bool is_wanted(cli::BackEnd back_end, const std::string& backend, const std::string& isa) {
  // By itself the interpreter is not worth the wait, nor is code without fused multiply-adds.
  const bool is_fast = back_end.backend != Backend::kInterp && back_end.isa != Isa::kBaseline;
  const bool kind =
      backend == "auto" ? is_fast || isa == "baseline" : backend_name(back_end.backend) == backend;
  return kind &&
         (isa == "auto" ? is_fast || back_end.backend == Backend::kInterp : isa_name(back_end.isa) == isa);
}

int run(int argc, char** argv) {
  const std::string backend = take_option(argc, argv, "backend", "auto");
  const std::string isa = take_option(argc, argv, "isa", "auto");
  const std::string path = take_option(argc, argv, "shapes", CONVSMITH_BENCH_SHAPES);
  static const std::vector<Shape1d> shapes = read_shapes(path);
  for (const cli::BackEnd back_end : cli::available_back_ends(Backend::kAuto, Isa::kAuto)) {
    if (!is_wanted(back_end, backend, isa)) continue;
    for (const Shape1d& shape : shapes) {
      const std::string name =
          fmt::format("{}/{}/{}", backend_name(back_end.backend), isa_name(back_end.isa), shape.name);
      benchmark::RegisterBenchmark(name.c_str(), run_shape, shape, back_end)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace convsmith::bench

int main(int argc, char** argv) {
  return convsmith::bench::run(argc, argv);
}
