#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/io/html_report.hpp"
#include "cli/measure/compare.hpp"
#include "cli/measure/computed_products.hpp"
#include "cli/verify/placed_array.hpp"
#include "codegen/target.hpp"
#include "frontend/base/utf8.hpp"
#include "runtime/host/cpu_id.hpp"

namespace convsmith::cli {

namespace {

// The interpreter does about twice this in a second, code without fused multiply-adds four times.
constexpr double kSlowOperations = 1e8;

// Floats as integers in their order: neighbours differ by 1, both zeros are 0.
int64_t on_number_line(float x) {
  const auto bits = std::bit_cast<uint32_t>(x);
  const auto magnitude = static_cast<int64_t>(bits & 0x7fffffffU);
  return (bits >> 31) != 0 ? -magnitude : magnitude;
}

bool is_slow(BackEnd back_end) {
  return back_end.backend == Backend::kInterp || !target_for(back_end.isa).fused_multiply_add;
}

double operation_count(const ir::Graph& graph, const CompareCall& call) {
  return 2 * computed_products(graph, call.batch, input_steps(graph, call.steps));
}

// The beginning of the call that slow rows can do in a moment.
CompareCall shortened(const ir::Graph& graph, CompareCall call) {
  if (operation_count(graph, call) > kSlowOperations) call.batch = std::min<int64_t>(call.batch, 1);
  while (operation_count(graph, call) > kSlowOperations && call.steps > 1) {
    CompareCall fewer = call;
    fewer.steps = ir::nearest_fit(graph, call.steps * 7 / 8).value_or(call.steps);
    // The same work: steps that a layer fixes.
    if (fewer.steps >= call.steps || operation_count(graph, fewer) == operation_count(graph, call)) break;
    call = fewer;
  }
  return call;
}

// One compiled variant with its weights and the arrays that all rows share.
class Bench {
 public:
  Bench(const ir::Graph& graph, const CompareCall& call)
      : graph_(graph), weights_(make_weights(graph, {call.batch, call.steps, DataKind::kFloats, call.seed})) {
    const Arrays inputs = make_inputs(graph, {call.batch, call.steps, DataKind::kFloats, call.seed});
    for (const std::vector<float>& input : inputs) add(input, inputs_);
    for (size_t i = 0; i < graph.outputs.size(); ++i) add(std::vector<float>(output_size(i, call)), outputs_);
    for (size_t i = 0; i < weights_.size(); ++i) {
      const std::vector<float>& own = graph.arrays[i].data;
      spans_.emplace_back(own.empty() ? weights_[i] : own);
    }
    if (call.threads > 1) pool_.emplace(call.threads);
  }

  ParallelFor parallel() const { return pool_ ? pool_->parallel_for() : ParallelFor{}; }
  std::shared_ptr<const PackedGraph> pack(const Variant& variant) const {
    return pack_graph(variant.graph, spans_);
  }

  // compare_variants has seen that the call is one that the graph takes.
  void run(const Variant& variant, const PackedGraph& weights, const CompareCall& call) {
    const RunStatus status =
        run_graph(*variant.graph, weights, inputs_, outputs_, call.batch, input_steps(graph_, call.steps),
                  {.workspace = nullptr, .parallel = parallel(), .denormals = call.denormals});
    if (status != RunStatus::kOk) refused_ = status;
  }

  // Of the last call that was refused, whatever its time and bits.
  RunStatus refused() const { return refused_; }

  Arrays outputs_of(const Variant& variant, const PackedGraph& weights, const CompareCall& call) {
    Arrays values;
    for (size_t i = 0; i < outputs_.size(); ++i) std::fill_n(outputs_[i], output_size(i, call), -1.0F);
    run(variant, weights, call);
    for (size_t i = 0; i < outputs_.size(); ++i)
      values.emplace_back(outputs_[i], outputs_[i] + output_size(i, call));
    return values;
  }

 private:
  size_t output_size(size_t i, const CompareCall& call) const {
    const ir::GraphTensor& tensor = graph_.tensors[static_cast<size_t>(graph_.outputs[i])];
    const std::vector<int64_t> extents = ir::evaluate_extents(graph_, input_steps(graph_, call.steps));
    return static_cast<size_t>(call.batch * extents[static_cast<size_t>(tensor.steps)] * tensor.channels);
  }

  // A copy at a multiple of 64 bytes.
  template <class Pointer>
  void add(const std::vector<float>& values, std::vector<Pointer>& pointers) {
    arrays_.push_back(std::make_unique<PlacedArray>(values, Place{}));
    pointers.push_back(arrays_.back()->data());
  }

  const ir::Graph& graph_;
  Arrays weights_;
  std::vector<std::span<const float>> spans_;
  std::vector<std::unique_ptr<PlacedArray>> arrays_;
  std::vector<const float*> inputs_;
  std::vector<float*> outputs_;
  std::optional<ThreadPool> pool_;
  RunStatus refused_ = RunStatus::kOk;
};

int64_t largest_ulp_of_all(const Arrays& expected, const Arrays& found) {
  int64_t largest = 0;
  for (size_t i = 0; i < expected.size(); ++i)
    largest = std::max(largest, largest_ulp(expected[i], found[i]));
  return largest;
}

// Peak loops by instruction set, made when first asked for.
const PeakLoop* peak_of(std::map<Isa, std::optional<PeakLoop>>& peaks, Isa isa) {
  auto [entry, is_new] = peaks.try_emplace(isa);
  if (is_new) {
    auto peak = PeakLoop::make(isa);
    if (peak) entry->second = std::move(*peak);
  }
  return entry->second ? &*entry->second : nullptr;
}

std::string how_far(const CompareRow& row) {
  return row.bit_equal ? "equal" : fmt::format("{} ULP", row.max_ulp);
}

}  // namespace

int64_t largest_ulp(const std::vector<float>& expected, const std::vector<float>& found) {
  int64_t largest = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const uint32_t a = canonical_bits(expected[i]);
    const uint32_t b = canonical_bits(found[i]);
    if (a == b) continue;
    const int64_t distance =
        std::llabs(on_number_line(std::bit_cast<float>(a)) - on_number_line(std::bit_cast<float>(b)));
    largest =
        std::max<int64_t>(largest, std::max<int64_t>(distance, 1));  // zeros of two signs differ as well
  }
  return largest;
}

Result<void> compare_variants(const std::vector<Variant>& variants, const CompareCall& call,
                              const CompileTimer& compile_timer, Comparison& comparison) {
  const ir::Graph& graph = variants.front().graph->graph;
  if (const std::string why = ir::why_not(graph, input_steps(graph, call.steps), call.batch); !why.empty())
    return make_error(ErrorCode::kInvalidSpec, why);
  Bench bench(graph, call);
  const CompareCall small = shortened(graph, call);
  const bool is_short = small.batch != call.batch || small.steps != call.steps;
  if (is_short) {
    comparison.notes.push_back(
        fmt::format("Interpreter and baseline are timed on {} sample{} of {} steps; all rows are compared "
                    "bit for bit with the "
                    "interpreter there, and the fast ones with each other on the whole call.",
                    small.batch, small.batch == 1 ? "" : "s", small.steps));
  }
  std::map<Isa, std::optional<PeakLoop>> peaks;
  Arrays judged;  // by the interpreter
  Arrays whole;   // by the first fast row
  for (const Variant& variant : variants) {
    const bool slow = is_slow(variant.back_end);
    const CompareCall& timed = slow ? small : call;
    const auto cost = compile_timer(variant.back_end);
    if (!cost) return tl::unexpected(cost.error());
    const auto weights = bench.pack(variant);
    CompareRow row;
    row.back_end = variant.back_end;
    row.compile_us = cost->compile_us;
    row.cache_hit_us = cost->cache_hit_us;
    row.code_bytes = variant.graph->code_bytes;
    row.batch = timed.batch;
    row.steps = timed.steps;
    row.operations = operation_count(graph, timed);
    const Arrays on_small = bench.outputs_of(variant, *weights, small);
    if (judged.empty()) judged = on_small;
    row.max_ulp = largest_ulp_of_all(judged, on_small);
    if (is_short && !slow) {
      const Arrays on_whole = bench.outputs_of(variant, *weights, call);
      if (whole.empty()) whole = on_whole;
      row.max_ulp = std::max(row.max_ulp, largest_ulp_of_all(whole, on_whole));
    }
    row.bit_equal = row.max_ulp == 0;
    row.timing = measure_call([&] { bench.run(variant, *weights, timed); },
                              peak_of(peaks, variant.back_end.isa), bench.parallel(), call.seconds);
    if (bench.refused() != RunStatus::kOk) {
      return make_error(
          bench.refused() == RunStatus::kNoMemory ? ErrorCode::kUnavailable : ErrorCode::kInvalidData,
          fmt::format("{}: {}", back_end_name(variant.back_end), describe(bench.refused())));
    }
    comparison.rows.push_back(row);
  }
  return {};
}

double Comparison::peak_gflops() const {
  double best = 0;
  for (const CompareRow& row : rows) best = std::max(best, row.timing.peak_gflops);
  return best;
}

nlohmann::json as_json(const Comparison& comparison) {
  nlohmann::json rows = nlohmann::json::array();
  for (const CompareRow& row : comparison.rows) {
    rows.push_back({{"backend", backend_name(row.back_end.backend)},
                    {"isa", isa_name(row.back_end.isa)},
                    {"compile_us", row.compile_us},
                    {"cache_hit_us", row.cache_hit_us ? nlohmann::json(*row.cache_hit_us) : nlohmann::json()},
                    {"code_bytes", row.code_bytes},
                    {"min_us", row.timing.min_us},
                    {"p50_us", row.timing.p50_us},
                    {"p99_us", row.timing.p99_us},
                    {"gflops", row.operations > 0 ? nlohmann::json(row.gflops()) : nlohmann::json()},
                    {"peak_share", row.operations > 0 ? nlohmann::json(row.peak_share()) : nlohmann::json()},
                    {"bit_equal", row.bit_equal},
                    {"max_ulp", row.max_ulp},
                    {"isa_peak_gflops", row.timing.peak_gflops},
                    {"timed_batch", row.batch},
                    {"timed_steps", row.steps}});
  }
  return {{"spec", comparison.spec},   {"batch", comparison.batch},
          {"steps", comparison.steps}, {"threads", comparison.threads},
          {"cpu", comparison.cpu},     {"peak_gflops", comparison.peak_gflops()},
          {"rows", std::move(rows)}};
}

namespace {

const std::vector<std::string> kHeader = {"backend", "isa", "compile", "cache hit", "code",    "min",
                                          "p50",     "p99", "GF/s",    "peak",      "of peak", "bits"};
constexpr std::string_view kLegend =
    "GF/s from the shortest time. peak: what independent multiply-adds of the row's own instruction set "
    "reach,\nmeasured in turns with it (baseline has no fused ones); a call that outran it counts as all of "
    "it. "
    "bits: against the\ninterpreter.";

std::vector<std::string> cells_of(const CompareRow& row) {
  const bool counted = row.operations > 0;
  return {std::string(backend_name(row.back_end.backend)),
          std::string(isa_name(row.back_end.isa)),
          time_text(row.compile_us),
          row.cache_hit_us ? time_text(*row.cache_hit_us) : "-",
          std::to_string(row.code_bytes),
          time_text(row.timing.min_us),
          time_text(row.timing.p50_us),
          time_text(row.timing.p99_us),
          counted ? fmt::format("{:.2f}", row.gflops()) : "-",
          fmt::format("{:.1f}", row.timing.peak_gflops),
          counted ? fmt::format("{:.1f} %", 100 * row.peak_share()) : "-",
          how_far(row)};
}

std::string line_of(const std::vector<std::string>& c) {
  return fmt::format("{:<7} {:<9} {:>10} {:>10} {:>8} {:>11} {:>11} {:>11} {:>8} {:>8} {:>9}  {}\n", c[0],
                     c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8], c[9], c[10], c[11]);
}

std::string call_text(const Comparison& comparison) {
  return fmt::format("batch {}, {} steps, {} thread{}, {}", comparison.batch, comparison.steps,
                     comparison.threads, comparison.threads == 1 ? "" : "s", comparison.cpu);
}

}  // namespace

std::string as_table(const Comparison& comparison) {
  std::string text = fmt::format("{}\n{}\n\n{}", comparison.spec, call_text(comparison), line_of(kHeader));
  for (const CompareRow& row : comparison.rows) text += line_of(cells_of(row));
  text += fmt::format("\n{}\n", kLegend);
  for (const std::string& note : comparison.notes) text += note + "\n";
  return without_controls(text);
}

std::string as_html(const Comparison& comparison) {
  BarChart speed{"GF/s of the shortest call", {}, {}};
  BarChart share{"Share of the FMA peak of the row's own instruction set", {}, 100};
  BarChart times{"Shortest call", {}, {}};
  std::vector<std::vector<std::string>> rows;
  bool counted = true;
  for (const CompareRow& row : comparison.rows) {
    rows.push_back(cells_of(row));
    const std::vector<std::string>& cells = rows.back();
    const std::string name = back_end_name(row.back_end);
    const std::string hover =
        fmt::format("{}: {} shortest, {} median, bits {}", name, cells[5], cells[6], cells[11]);
    const std::string color = series_color(static_cast<size_t>(row.back_end.backend));
    speed.bars.push_back({name, row.gflops(), cells[8], hover, color});
    share.bars.push_back({name, 100 * row.peak_share(), cells[10], hover, color});
    times.bars.push_back({name, row.timing.min_us, cells[5], hover, color});
    counted = counted && row.operations > 0;
  }
  std::vector<std::string> parts = {html_paragraph(call_text(comparison))};
  for (const BarChart& chart : counted ? std::vector{speed, share} : std::vector{times})
    parts.push_back(svg_bars(chart));
  parts.push_back(html_table(kHeader, rows));
  parts.push_back(html_paragraph(kLegend));
  for (const std::string& note : comparison.notes) parts.push_back(html_paragraph(note));
  return html_page(comparison.spec, parts);
}

std::string cpu_name() {
  return this_cpu().name;
}

}  // namespace convsmith::cli
