// The compare subcommand: one table, a row for each back end and instruction set.
#include "cli/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/files.hpp"
#include "cli/vir_file.hpp"
#include "codegen/target.hpp"
#include "codegen/vir_text.hpp"
#include "ir/nest_text.hpp"
#include "ir/problem_text.hpp"

namespace convsmith::cli {

namespace {

constexpr int64_t kUsualSteps = 1024;

struct Options {
  CommonOptions common;
  std::optional<int64_t> batch;
  std::optional<int64_t> steps;
};

// One row for the interpreter, which leads, and one for each pair that makes machine code.
void keep_one_interpreter(CheckedLayer& layer) {
  const auto is_interpreter = [](const Variant& v) { return v.back_end.backend == Backend::kInterp; };
  layer.variants.erase(std::remove_if(layer.variants.begin() + 1, layer.variants.end(), is_interpreter),
                       layer.variants.end());
  std::erase_if(layer.skipped, [](const std::string& line) { return line.starts_with("interp"); });
}

// Slow compilations are repeated less often.
int compile_repeats(Backend backend) {
  return backend == Backend::kLlvm ? 3 : 11;
}

// From the text to something callable, each time in an engine of its own; then lookups in the last one.
Result<CompileCost> time_text(const std::string& text, const CompileOptions& options) {
  std::vector<double> compile_us;
  std::vector<double> hit_us;
  for (int i = compile_repeats(options.backend); i-- > 0;) {
    Engine engine;
    std::optional<Error> error;
    const auto compile = [&] {
      const auto layer = engine.compile(text, options);
      if (!layer) error = layer.error();
    };
    compile_us.push_back(microseconds(compile));
    if (error) return tl::unexpected(*error);
    constexpr int kLookups = 200;
    for (int j = 0; i == 0 && j < kLookups; ++j) hit_us.push_back(microseconds(compile));
  }
  return CompileCost{percentile(std::move(compile_us), 0.5), percentile(std::move(hit_us), 0.5)};
}

template <class Compile>
Result<CompileCost> time_uncached(Backend backend, Compile&& compile) {
  std::vector<double> compile_us;
  for (int i = compile_repeats(backend); i-- > 0;) {
    std::optional<Error> error;
    compile_us.push_back(microseconds([&] {
      const auto result = compile();
      if (!result) error = result.error();
    }));
    if (error) return tl::unexpected(*error);
  }
  return CompileCost{percentile(std::move(compile_us), 0.5), std::nullopt};
}

int print_comparison(const Options& options, const Comparison& comparison) {
  if (options.common.json) {
    fmt::print("{}\n", as_json(comparison).dump(2));
  } else {
    fmt::print("{}", as_table(comparison));
  }
  for (const CompareRow& row : comparison.rows) {
    if (!row.bit_equal) return kFailure;
  }
  return kOk;
}

int compare_checked(const Options& options, Result<CheckedLayer> layer, CompareCall call,
                    const CompileTimer& compile_timer, std::string title) {
  if (!layer) return report(layer.error());
  keep_one_interpreter(*layer);
  const Problem& p = layer->problem;
  const double floats =
      static_cast<double>(call.batch) * static_cast<double>(call.steps) * static_cast<double>(p.channels) +
      3.0 * static_cast<double>(call.batch) * static_cast<double>(p.output_steps(call.steps)) *
          static_cast<double>(p.filters);
  if (const auto fits = check_memory("The arrays of this call", 4 * floats); !fits)
    return report(fits.error());
  if (operation_count(p, call.batch, call.steps) == 0) {
    return report({ErrorCode::kInvalidSpec,
                   fmt::format("batch {} and {} steps give no output, so there is nothing to time.",
                               call.batch, call.steps)});
  }
  Comparison comparison{std::move(title), call.batch, call.steps,    call.threads,
                        cpu_name(),       {},         layer->skipped};
  if (const auto done = compare_layer(*layer, call, compile_timer, comparison); !done)
    return report(done.error());
  return print_comparison(options, comparison);
}

CompareCall call_of(const Options& options, int64_t batch, int64_t steps) {
  CompareCall call;
  call.batch = options.batch.value_or(batch);
  call.steps = options.steps.value_or(steps);
  call.threads = thread_count(options.common);
  call.seed = options.common.seed;
  return call;
}

int compare_text(const Options& options, const ParsedLayer& parsed) {
  const CommonOptions& common = options.common;
  const auto problem = problem_for(parsed.spec, common);
  if (!problem) return report(problem.error());
  std::string text = common.spec;
  if (suffix_of(text) == ".json") text = read_text(text, uint64_t{1} << 20).value_or(text);
  const Shape& shape = common.input_shape.empty() ? parsed.spec.input_shape : common.input_shape;
  const bool last = problem->layout == Layout::kChannelsLast;
  const auto known_steps =
      shape.size() < 2 ? std::nullopt : shape[last ? shape.size() - 2 : shape.size() - 1];
  int64_t batch = parsed.spec.batch_size.value_or(1);
  for (size_t i = 0; i + 2 < shape.size(); ++i) batch *= shape[i].value_or(1);
  CompileOptions compile{.rules = common.rules, .schedule = common.schedule};
  if (!common.input_shape.empty()) {
    compile.input_shape = {std::nullopt};
    compile.input_shape.insert(compile.input_shape.end(), common.input_shape.begin(),
                               common.input_shape.end());
  }
  const auto timer = [&](BackEnd back_end) {
    compile.backend = back_end.backend;
    compile.isa = back_end.isa;
    return time_text(text, compile);
  };
  const ScheduleChoice schedule{common.schedule, false};
  return compare_checked(
      options,
      make_checked_layer(parsed.spec, *problem, available_back_ends(common.backend, common.isa), schedule),
      call_of(options, batch, known_steps.value_or(kUsualSteps)), timer, to_call_text(parsed.spec));
}

int compare_nest(const Options& options, const ir::LoopNest& nest) {
  if (!options.common.schedule.empty()) {
    return report(
        {ErrorCode::kInvalidSpec, "--schedule does not go with a .nest file, which is scheduled already."});
  }
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  const auto timer = [&](BackEnd back_end) {
    return time_uncached(back_end.backend,
                         [&] { return compile_nest(nest, back_end.backend, back_end.isa, memory); });
  };
  return compare_checked(
      options, make_checked_nest(nest, available_back_ends(options.common.backend, options.common.isa)),
      call_of(options, 1, kUsualSteps), timer, ir::problem_text(nest.problem));
}

// A row of a vector program: how many operations it does is not known.
Result<CompareRow> vir_row(const vir::Program& program, BackEnd back_end, VirArrays& arrays) {
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  const Target& target = target_for(back_end.isa);
  const auto compile = [&] { return make_kernel(program, back_end.backend, target, memory); };
  const auto kernel = compile();
  if (!kernel) return tl::unexpected(kernel.error());
  const auto cost = time_uncached(back_end.backend, compile);
  if (!cost) return tl::unexpected(cost.error());
  CompareRow row;
  row.back_end = back_end;
  row.compile_us = cost->compile_us;
  row.code_bytes = (*kernel)->code_bytes();
  const auto peak = PeakLoop::make(back_end.isa);
  row.timing = measure_call([&] { (*kernel)->run(arrays.args()); }, peak ? &*peak : nullptr, {}, 0.3);
  return row;
}

int compare_vir(const Options& options, const vir::Program& program) {
  const auto text = read_text(options.common.spec, uint64_t{1} << 20);
  if (!text) return report(text.error());
  const auto call = parse_vir_call(*text, program);
  if (!call) return report(call.error());
  Comparison comparison{program.name, 1, call->args.kSteps, 1, cpu_name(), {}, {}};
  std::vector<float> expected;
  auto back_ends = available_back_ends(options.common.backend, Isa::kAuto);
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512})
    back_ends.insert(back_ends.begin(), {Backend::kInterp, isa});
  std::vector<BackEnd> done;
  for (const BackEnd back_end : back_ends) {
    const bool is_done = std::find(done.begin(), done.end(), back_end) != done.end();
    if (is_done || target_for(back_end.isa).lanes != program.lanes) continue;
    done.push_back(back_end);
    VirArrays arrays(*call, DataKind::kFloats, options.common.seed, {});
    auto row = vir_row(program, back_end, arrays);
    if (!row) return report(row.error());
    // Every run of a program that reads only its inputs leaves the same output.
    if (expected.empty()) expected = arrays.out();
    row->max_ulp = largest_ulp(expected, arrays.out());
    row->bit_equal = row->max_ulp == 0;
    comparison.rows.push_back(*row);
  }
  return print_comparison(options, comparison);
}

int run_compare(const Options& options) {
  const auto loaded = load_spec(options.common);
  if (!loaded) return report(loaded.error());
  if (const auto* parsed = std::get_if<ParsedLayer>(&*loaded)) return compare_text(options, *parsed);
  if (const auto* nest = std::get_if<ir::LoopNest>(&*loaded)) return compare_nest(options, *nest);
  return compare_vir(options, std::get<vir::Program>(*loaded));
}

}  // namespace

void add_compare(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "compare", "Time a layer on every back end and instruction set, and compare their bits");
  add_spec(command, options->common, true);
  add_common_options(command, options->common);
  command.add_option("--batch", options->batch, "Samples (default: the spec's, else 1)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("N");
  command.add_option("--steps", options->steps, "Input steps (default: the spec's, else 1024)")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->type_name("L");
  command.callback([options, &exit_code] { exit_code = run_compare(*options); });
}

}  // namespace convsmith::cli
