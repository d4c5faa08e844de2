// What surrounds the arithmetic: compile time from text to something callable, a hit in the cache, ten
// thousand lengths of one layer, and the cost of a call.
//
//   compile_bench [--backend=xbyak|llvm|interp] [--isa=auto|baseline|avx2|avx512] [Google Benchmark's
//   options]
#include <benchmark/benchmark.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "bench/bench_main.hpp"
#include "bench/shapes.hpp"
#include "cli/measure/measure.hpp"
#include "cli/verify/random_layer.hpp"
#include "convsmith/convsmith.hpp"
#include "frontend/keras/make_problem.hpp"
#include "ir/graph/build_graph.hpp"
#include "runtime/compile.hpp"

namespace convsmith::bench {
namespace {

CompileOptions options_of(const std::string& backend, const std::string& isa) {
  CompileOptions options{.backend = Backend::kXbyak, .rules = Rules::kAny};
  for (const Backend candidate : {Backend::kXbyak, Backend::kLlvm, Backend::kInterp}) {
    if (backend_name(candidate) == backend) options.backend = candidate;
  }
  for (const Isa candidate : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (isa_name(candidate) == isa) options.isa = candidate;
  }
  return options;
}

// Every iteration compiles all rows of the table, each in an engine that has never compiled: the time of an
// iteration is that of a row on average.
void compile_rows(benchmark::State& state, const CompileOptions& options, const std::string& shapes) {
  std::vector<std::string> texts;
  for (const Shape1d& shape : read_shapes(shapes)) texts.push_back(to_call_text(shape.spec));
  Engine().compile(texts.front(), options).has_value();  // back end and code memory are there
  std::vector<double> samples;
  for (auto _ : state) {
    double sum = 0;
    for (const std::string& text : texts) {
      Engine engine;
      const double us =
          cli::microseconds([&] { benchmark::DoNotOptimize(engine.compile(text, options).has_value()); });
      samples.push_back(us);
      sum += us;
    }
    state.SetIterationTime(sum * 1e-6 / static_cast<double>(texts.size()));
  }
  state.counters["p50_us"] = cli::percentile(samples, 0.5);
  state.counters["p99_us"] = cli::percentile(samples, 0.99);
  state.counters["max_us"] = *std::max_element(samples.begin(), samples.end());
  state.counters["rows"] = static_cast<double>(texts.size());
}

constexpr const char* kLayer = "Conv1D(64, 3, activation='relu', padding='same', input_shape=(None, 64))";

void hit_cache(benchmark::State& state, const CompileOptions& options) {
  Engine engine;
  for (auto _ : state) benchmark::DoNotOptimize(engine.compile(kLayer, options).has_value());
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0;
  double resident = 0;
  file >> total >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

// One layer with its weights.
struct Callable {
  CompiledLayer layer;
  PackedWeights weights;
  cli::Arrays input;

  static Callable make(const std::string& text, const CompileOptions& options, int64_t batch, int64_t steps,
                       Engine& engine) {
    auto layer = engine.compile(text, options);
    if (!layer) {
      std::fprintf(stderr, "%s\n", layer.error().message.c_str());
      std::exit(2);
    }
    const cli::Call call{batch, steps, cli::DataKind::kFloats, 1};
    const ir::Graph graph = ir::build_graph(layer->spec(), layer->channels(), options.rules).value();
    const cli::Arrays arrays = cli::make_weights(graph, call);
    const std::vector<std::span<const float>> spans(arrays.begin(), arrays.end());
    PackedWeights weights = layer->pack(spans).value();
    return {std::move(*layer), std::move(weights), cli::make_inputs(graph, call)};
  }
};

// Steps 1 to 10,000 of one layer, each asked for by its text as a program does that knows no better.
void ten_thousand_lengths(benchmark::State& state, const CompileOptions& options) {
  constexpr int64_t kLengths = 10'000;
  Engine engine;
  const Callable callable = Callable::make(kLayer, options, 1, kLengths, engine);
  std::vector<float> output(static_cast<size_t>(kLengths * callable.layer.filters()), 0.0F);
  double growth = 0;
  for (auto _ : state) {
    const double before = resident_bytes();
    for (int64_t steps = 1; steps <= kLengths; ++steps) {
      const auto layer = engine.compile(kLayer, options);
      const RunStatus status =
          layer->run(callable.weights, callable.input[0].data(), output.data(), 1, steps);
      if (status != RunStatus::kOk) return state.SkipWithError(describe(status));
    }
    growth = std::max(growth, resident_bytes() - before);
  }
  state.counters["growth_kB"] = growth / 1024;
  state.counters["compiles"] = static_cast<double>(engine.stats().compiles);
}

// A call with one output step. The arithmetic of it is what one more sample of the same kind adds to a call
// with many; the overhead is what is left:
//   overhead = t(1 sample) - (t(65 samples) - t(1 sample)) / 64
void call_overhead(benchmark::State& state, const CompileOptions& options) {
  constexpr int64_t kMany = 65;
  constexpr int64_t kSteps = 3;  // of a kernel with three taps: one output step
  Engine engine;
  const Callable callable = Callable::make("Conv1D(64, 3, activation='relu', input_shape=(None, 64))",
                                           options, kMany, kSteps, engine);
  std::vector<float> output(static_cast<size_t>(kMany * callable.layer.filters()));
  RunStatus status = RunStatus::kOk;
  const auto run = [&](int64_t batch) {
    if (status != RunStatus::kOk) return;
    status = callable.layer.run(callable.weights, callable.input[0].data(), output.data(), batch, kSteps);
  };
  double one = 0;
  double many = 0;
  for (auto _ : state) {
    one = cli::measure_call([&] { run(1); }, nullptr, {}, 0.1).min_us;
    many = cli::measure_call([&] { run(kMany); }, nullptr, {}, 0.1).min_us;
    if (status != RunStatus::kOk) return state.SkipWithError(describe(status));
    state.SetIterationTime(one * 1e-6);
  }
  const double arithmetic = (many - one) / static_cast<double>(kMany - 1);
  state.counters["arithmetic_us"] = arithmetic;
  state.counters["overhead_us"] = one - arithmetic;
}

}  // namespace

void add_benchmarks(const Options& chosen) {
  const CompileOptions options = options_of(chosen.backend, chosen.isa);
  const int64_t passes = options.backend == Backend::kLlvm ? 1 : 50;
  benchmark::RegisterBenchmark("compile", compile_rows, options, chosen.shapes)
      ->UseManualTime()
      ->Iterations(passes)
      ->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("cache_hit", hit_cache, options)->Unit(benchmark::kMicrosecond);
  benchmark::RegisterBenchmark("ten_thousand_lengths", ten_thousand_lengths, options)
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
  benchmark::RegisterBenchmark("one_output_step", call_overhead, options)
      ->UseManualTime()
      ->Iterations(3)
      ->Unit(benchmark::kMicrosecond);
}

}  // namespace convsmith::bench
