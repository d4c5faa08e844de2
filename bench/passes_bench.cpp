// How near each kind of pass over memory comes to a plain copy of the same bytes: activations, sums and
// products of tensors, pooling, paddings and so on, on one thread, by back end and instruction set.
//
//   passes_bench [--backend B] [--isa I] [--channels C ...] [--floats N ...] [--filter TEXT] [--seconds S]
//                [--json FILE]
//
// The copy reads the pass's own inputs and writes its output without any arithmetic, in turns with the pass.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>

#include "bench/command.hpp"
#include "bench/passes.hpp"
#include "bench/peers/bandwidth.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "cli/measure/compare.hpp"
#include "cli/measure/measure.hpp"
#include "cli/verify/back_ends.hpp"
#include "cli/verify/placed_array.hpp"
#include "cli/verify/random_layer.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/model.hpp"

namespace convsmith::bench {
namespace {

struct Options {
  cli::CommonOptions common;
  std::vector<int64_t> channels = {64, 1, 3, 7, 48};
  // Of each input: a few of them fit into the second cache, or don't.
  std::vector<int64_t> floats = {int64_t{1} << 16, int64_t{1} << 21};
  std::string filter;
  double seconds = 0.05;
  std::string json;
};

struct Row {
  std::string pass;
  int64_t channels;
  int64_t steps;
  cli::BackEnd back_end;
  double bytes;  // of inputs and output
  double us = std::numeric_limits<double>::infinity();
  double copy_gbs = 0;
  double share() const { return bytes / us * 1e-3 / copy_gbs; }
};

// The arrays of a call: its inputs side by side, so that a copy can read them as one.
class Arrays {
 public:
  Arrays(const ir::Graph& graph, int64_t steps) {
    std::vector<size_t> begins;
    size_t floats = 0;
    for (size_t i = 0; i < graph.inputs.size(); ++i) {
      const int64_t channels = graph.tensors[static_cast<size_t>(graph.inputs[i])].channels;
      steps_.push_back(graph.pinned_steps[i].value_or(steps));
      begins.push_back(floats);
      floats += static_cast<size_t>((steps_.back() * channels + 15) / 16 * 16);
    }
    const std::vector<float> all =
        cli::random_floats(static_cast<int64_t>(floats), cli::DataKind::kFloats, 1);
    inputs_ = std::make_unique<cli::PlacedArray>(all, cli::Place{});
    for (const size_t begin : begins) starts_.push_back(inputs_->data() + begin);
    const ir::GraphTensor& out = graph.tensors[static_cast<size_t>(graph.outputs[0])];
    const int64_t out_steps = ir::evaluate_extents(graph, steps_)[static_cast<size_t>(out.steps)];
    output_ = std::make_unique<cli::PlacedArray>(static_cast<size_t>(out_steps * out.channels), cli::Place{});
  }

  RunStatus run(const CompiledGraph& graph, const PackedGraph& weights) {
    float* const out = output_->data();
    return run_graph(graph, weights, starts_, {&out, 1}, 1, steps_, {});
  }
  std::span<const float> inputs() const { return {inputs_->data(), inputs_->size()}; }
  std::span<float> output() { return {output_->data(), output_->size()}; }
  double bytes() const { return static_cast<double>(4 * (inputs_->size() + output_->size())); }

 private:
  std::vector<int64_t> steps_;
  std::unique_ptr<cli::PlacedArray> inputs_;
  std::vector<const float*> starts_;
  std::unique_ptr<cli::PlacedArray> output_;
};

// One pass on one back end.
class Runner {
 public:
  static Result<Runner> make(const ModelSpec& model, cli::BackEnd back_end, KernelCache& kernels) {
    auto graph = optimized_graph(model, Rules::kAny);
    if (!graph) return tl::unexpected(graph.error());
    auto compiled = compile_graph(std::move(*graph), back_end.backend, back_end.isa, {}, kernels);
    if (!compiled) return tl::unexpected(compiled.error());
    std::vector<std::span<const float>> arrays;
    for (const ir::Array& array : (*compiled)->graph.arrays) arrays.emplace_back(array.data);
    auto weights = pack_graph(*compiled, arrays);
    return Runner(std::move(*compiled), std::move(weights));
  }

  const ir::Graph& graph() const { return graph_->graph; }
  // False if the call fails, which no figure may count.
  bool run(Arrays& arrays) const { return arrays.run(*graph_, *weights_) == RunStatus::kOk; }

 private:
  Runner(std::shared_ptr<const CompiledGraph> graph, std::shared_ptr<const PackedGraph> weights)
      : graph_(std::move(graph)), weights_(std::move(weights)) {}
  std::shared_ptr<const CompiledGraph> graph_;
  std::shared_ptr<const PackedGraph> weights_;
};

class Bench {
 public:
  explicit Bench(const Options& options) : options_(options), caches_(system_caches()) {
    for (const cli::BackEnd back_end : cli::available_back_ends(options.common.backend, options.common.isa)) {
      const bool is_fast = back_end.backend != Backend::kInterp && back_end.isa != Isa::kBaseline;
      if (is_fast) back_ends_.push_back(back_end);
    }
    for (const cli::BackEnd back_end : back_ends_) widest_ = std::max(widest_, back_end.isa);
  }

  Result<std::vector<Row>> measure() {
    if (back_ends_.empty()) {
      return make_error(ErrorCode::kUnavailable,
                        "No back end is left that makes code for avx2 or avx512, which the loops that copy "
                        "need, too.");
    }
    const TrafficLoops traffic(caches_, widest_);
    std::vector<Row> rows;
    for (const int64_t floats : options_.floats) {
      for (const int64_t channels : options_.channels) {
        for (const Pass& pass : all_passes(channels)) {
          if (pass.name.find(options_.filter) == std::string::npos) continue;
          const int64_t steps = std::max<int64_t>(floats / channels, 16);
          auto measured = measure(pass, channels, steps, traffic);
          if (!measured)
            return make_error(measured.error().code, pass.name + ": " + measured.error().message);
          rows.insert(rows.end(), measured->begin(), measured->end());
        }
      }
    }
    return rows;
  }

 private:
  Result<std::vector<Row>> measure(const Pass& pass, int64_t channels, int64_t steps,
                                   const TrafficLoops& traffic) {
    std::vector<Runner> runners;
    std::vector<Row> rows;
    for (const cli::BackEnd back_end : back_ends_) {
      auto runner = Runner::make(pass.model, back_end, kernels_);
      if (!runner) return tl::unexpected(runner.error());
      runners.push_back(std::move(*runner));
    }
    Arrays arrays(runners[0].graph(), steps);
    for (const cli::BackEnd back_end : back_ends_)
      rows.push_back({pass.name, channels, steps, back_end, arrays.bytes()});
    const double slice = options_.seconds / kRounds / static_cast<double>(rows.size());
    double copy_gbs = 0;
    for (int round = 0; round < kRounds; ++round) {
      copy_gbs = std::max(copy_gbs, traffic.measure({}, arrays.inputs(), arrays.output()));
      for (size_t i = 0; i < rows.size(); ++i) {
        bool is_ok = true;
        const auto call = [&] { is_ok = is_ok && runners[i].run(arrays); };
        rows[i].us = std::min(rows[i].us, cli::measure_call(call, nullptr, {}, slice).min_us);
        if (!is_ok) return make_error(ErrorCode::kUnavailable, "A call failed, so there is no figure.");
      }
    }
    for (Row& row : rows) row.copy_gbs = copy_gbs;
    return rows;
  }

  static constexpr int kRounds = 3;
  const Options& options_;
  Caches caches_;
  std::vector<cli::BackEnd> back_ends_;
  Isa widest_ = Isa::kAvx2;
  KernelCache kernels_;
};

void print_rows(const std::vector<Row>& rows) {
  fmt::print("{:<20} {:>8} {:>8}  {:<14} {:>10} {:>8} {:>8} {:>8}\n", "pass", "channels", "steps", "back end",
             "us", "GB/s", "copy", "of copy");
  for (const Row& row : rows) {
    fmt::print("{:<20} {:>8} {:>8}  {:<14} {:>10.2f} {:>8.1f} {:>8.1f} {:>7.0f}%\n", row.pass, row.channels,
               row.steps, cli::back_end_name(row.back_end), row.us, row.bytes / row.us * 1e-3, row.copy_gbs,
               100 * row.share());
  }
}

std::string as_json(const std::vector<Row>& rows) {
  nlohmann::json all = nlohmann::json::array();
  for (const Row& row : rows) {
    all.push_back({{"pass", row.pass},
                   {"channels", row.channels},
                   {"steps", row.steps},
                   {"backend", backend_name(row.back_end.backend)},
                   {"isa", isa_name(row.back_end.isa)},
                   {"us", row.us},
                   {"bytes", row.bytes},
                   {"copy_gbs", row.copy_gbs},
                   {"share", row.share()}});
  }
  return nlohmann::json({{"cpu", cli::cpu_name()}, {"rows", all}}).dump(1) + "\n";
}

int run(const Options& options) {
  const auto rows = Bench(options).measure();
  if (!rows) return cli::report(rows.error());
  if (rows->empty()) {
    return cli::report({ErrorCode::kInvalidData,
                        fmt::format("--filter is '{}', and no pass has that in its name.", options.filter)});
  }
  print_rows(*rows);
  if (options.json.empty()) return cli::kOk;
  const auto done = cli::write_text(options.json, as_json(*rows));
  return done ? cli::kOk : cli::report(done.error());
}

void add_options(CLI::App& app, Options& options) {
  app.add_option("--channels", options.channels, "Channels of the inputs (default: 64 1 3 7 48)")
      ->check(CLI::Range(1, 4096))
      ->type_name("C");
  app.add_option("--floats", options.floats, "Floats of each input (default: 65536 2097152)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 26))
      ->type_name("N");
  app.add_option("--filter", options.filter, "Only passes with this in their name")->type_name("TEXT");
  app.add_option("--seconds", options.seconds, "For each pass, all back ends together (default: 0.05)")
      ->check(CLI::Range(0.001, 600.0))
      ->type_name("S");
  app.add_option("--json", options.json, "Writes all figures")->type_name("FILE");
}

}  // namespace
}  // namespace convsmith::bench

int main(int argc, char** argv) {
  using namespace convsmith::bench;
  return run_command("Times every kind of pass over memory beside a copy of the same bytes, on one thread.",
                     "passes_bench", add_options, run, argc, argv);
}
