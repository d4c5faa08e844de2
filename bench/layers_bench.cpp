// Speed of the layers of published networks, one benchmark for each row of the table, back end and
// instruction set; weights packed, one thread, data in the caches as far as it fits.
//
//   layers_bench [--backend=xbyak|llvm|interp|auto] [--isa=baseline|avx2|avx512|auto] [--shapes=FILE.csv]
//                [Google Benchmark's options, such as --benchmark_filter=whisper]
//
// Counters: GF/s of the shortest call (2 operations for each tap, taps in the padding included; of a
// transposed layer 2 x batch x input steps x taps x channels x filters), peak (of independent multiply-adds
// of the instruction set, measured in turns with the calls) and the share of it.
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>

#include "bench/bench_main.hpp"
#include "bench/shapes.hpp"
#include "cli/measure/measure.hpp"
#include "cli/verify/back_ends.hpp"
#include "cli/verify/placed_array.hpp"
#include "cli/verify/random_layer.hpp"
#include "frontend/keras/make_problem.hpp"
#include "ir/graph/build_graph.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith::bench {
namespace {

// A compiled layer with its weights and arrays.
struct Layer {
  std::shared_ptr<const CompiledGraph> graph;
  std::shared_ptr<const PackedGraph> weights;
  std::unique_ptr<cli::PlacedArray> input;  // at multiples of 64 bytes
  std::unique_ptr<cli::PlacedArray> output;
  int64_t batch;
  int64_t steps;

  RunStatus run() {
    const float* const in = input->data();
    float* const out = output->data();
    return run_graph(*graph, *weights, {&in, 1}, {&out, 1}, batch, {&steps, 1}, {});
  }
};

Result<Layer> make_layer(const Shape1d& shape, cli::BackEnd back_end) {
  const auto problem = make_layer_problem(shape.spec, Rules::kAny);
  if (!problem) return tl::unexpected(problem.error());
  auto graph = ir::build_graph(shape.spec, problem->chain.front().channels, Rules::kAny);
  if (!graph) return tl::unexpected(graph.error());
  KernelCache kernels;
  auto compiled = compile_graph(std::move(*graph), back_end.backend, back_end.isa, {}, kernels);
  if (!compiled) return tl::unexpected(compiled.error());
  Layer layer{std::move(*compiled), nullptr, nullptr, nullptr, shape.batch, shape.steps};
  const ir::Graph& made = layer.graph->graph;
  const cli::Call call{shape.batch, shape.steps, cli::DataKind::kFloats, 1};
  const cli::Arrays arrays = cli::make_weights(made, call);
  const std::vector<std::span<const float>> spans(arrays.begin(), arrays.end());
  layer.weights = pack_graph(layer.graph, spans);
  layer.input = std::make_unique<cli::PlacedArray>(cli::make_inputs(made, call)[0], cli::Place{});
  const ir::GraphTensor& out = made.tensors[static_cast<size_t>(made.outputs[0])];
  const int64_t steps = ir::evaluate_extents(made, {&shape.steps, 1})[static_cast<size_t>(out.steps)];
  const auto floats = static_cast<size_t>(shape.batch * steps * out.channels);
  layer.output = std::make_unique<cli::PlacedArray>(floats, cli::Place{});
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
  RunStatus status = RunStatus::kOk;
  const auto run = [&] {
    if (status == RunStatus::kOk) status = layer->run();
  };
  run();
  for (auto _ : state) {
    if (peak && Clock::now() >= next_peak) {
      highest_peak = std::max(highest_peak, peak->measure({}));
      run();
      next_peak = Clock::now() + std::chrono::milliseconds(3);
    }
    const double us = cli::microseconds(run);
    if (status != RunStatus::kOk) return state.SkipWithError(describe(status));
    shortest = std::min(shortest, us);
    state.SetIterationTime(us * 1e-6);
  }
  const double operations = 2 * ir::multiply_adds(layer->graph->graph, shape.batch, {&shape.steps, 1});
  const double gflops = operations / shortest * 1e-3;
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

}  // namespace

void add_benchmarks(const Options& options) {
  static const std::vector<Shape1d> shapes = read_shapes(options.shapes);
  const std::string backend = options.backend.empty() ? "auto" : options.backend;
  for (const cli::BackEnd back_end : cli::available_back_ends(Backend::kAuto, Isa::kAuto)) {
    if (!is_wanted(back_end, backend, options.isa)) continue;
    for (const Shape1d& shape : shapes) {
      const std::string name =
          fmt::format("{}/{}/{}", backend_name(back_end.backend), isa_name(back_end.isa), shape.name);
      benchmark::RegisterBenchmark(name.c_str(), run_shape, shape, back_end)
          ->UseManualTime()
          ->Unit(benchmark::kMicrosecond);
    }
  }
}

}  // namespace convsmith::bench
