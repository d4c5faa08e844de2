// The compare subcommand: one table, a row for each back end and instruction set.
#include "cli/measure/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/call_sizes.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/io/files.hpp"
#include "cli/verify/check_layer.hpp"
#include "cli/vir_file.hpp"
#include "codegen/control_word.hpp"
#include "codegen/target.hpp"
#include "frontend/model_spec.hpp"
#include "runtime/model.hpp"

namespace convsmith::cli {

namespace {

constexpr int64_t kUsualSteps = 1024;

struct Options {
  CommonOptions common;
  std::optional<int64_t> batch;
  std::optional<int64_t> steps;
  std::string html;  // path; empty: not given
};

// One row for the interpreter, which leads, and one for each pair that makes machine code.
void keep_one_interpreter(std::vector<Variant>& variants) {
  const auto is_interpreter = [](const Variant& v) { return v.back_end.backend == Backend::kInterp; };
  variants.erase(std::remove_if(variants.begin() + 1, variants.end(), is_interpreter), variants.end());
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

int print_comparisons(const Options& options, const std::vector<Comparison>& comparisons) {
  if (!options.html.empty() && comparisons.size() > 1) {
    return report({ErrorCode::kInvalidSpec, fmt::format("--html is for one table, and {} gives {}.",
                                                        options.common.spec, comparisons.size())});
  }
  bool equal = true;
  nlohmann::json json = nlohmann::json::array();
  for (const Comparison& comparison : comparisons) {
    if (options.common.json) {
      json.push_back(as_json(comparison));
    } else {
      fmt::print("{}{}", &comparison == &comparisons.front() ? "" : "\n", as_table(comparison));
    }
    for (const CompareRow& row : comparison.rows) equal = equal && row.bit_equal;
  }
  if (options.common.json) fmt::print("{}\n", (json.size() == 1 ? json.front() : json).dump(2));
  if (!options.html.empty()) {
    if (const auto done = write_text(options.html, as_html(comparisons.front())); !done)
      return report(done.error());
  }
  return equal ? kOk : kFailure;
}

Result<Comparison> compare_checked(std::vector<Variant> variants, std::vector<std::string> skipped,
                                   const CompareCall& call, const CompileTimer& compile_timer,
                                   std::string title) {
  keep_one_interpreter(variants);
  const ir::Graph& graph = variants.front().graph->graph;
  if (const auto fits = check_memory("The arrays of this call",
                                     call_bytes(graph, call.batch, input_steps(graph, call.steps)));
      !fits)
    return tl::unexpected(fits.error());
  Comparison comparison{std::move(title), call.batch, call.steps,        call.threads,
                        cpu_name(),       {},         std::move(skipped)};
  if (const auto done = compare_variants(variants, call, compile_timer, comparison); !done)
    return tl::unexpected(done.error());
  return comparison;
}

int report_comparison(const Options& options, const Result<Comparison>& comparison) {
  return comparison ? print_comparisons(options, {*comparison}) : report(comparison.error());
}

CompareCall call_of(const Options& options, int64_t batch, int64_t steps) {
  CompareCall call;
  call.batch = options.batch.value_or(batch);
  call.steps = options.steps.value_or(steps);
  call.threads = thread_count(options.common);
  call.seed = options.common.seed;
  call.denormals = options.common.denormals;
  return call;
}

// Of the first input, if the model says how many.
std::optional<int64_t> declared_steps(const ModelSpec& model) {
  const ModelNode& node = model.nodes[static_cast<size_t>(model.inputs.front())];
  const Shape& shape = std::get<InputOp>(model.layers[static_cast<size_t>(node.layer)].op).shape;
  return shape.size() < 2 ? std::nullopt : shape.front();
}

int compare_text(const Options& options, const ParsedLayer& parsed) {
  const CommonOptions& common = options.common;
  const auto problem = layer_problem_for(parsed.spec, common);
  if (!problem) return report(problem.error());
  // Text that was typed is the name of no file.
  const std::string text = read_text(common.spec, uint64_t{1} << 20).value_or(common.spec);
  const Shape& shape = common.input_shape.empty() ? parsed.spec.input_shape : common.input_shape;
  const bool last = problem->chain.front().layout == Layout::kChannelsLast;
  const auto known_steps =
      shape.size() < 2 ? std::nullopt : shape[last ? shape.size() - 2 : shape.size() - 1];
  int64_t batch = parsed.spec.batch_size.value_or(1);
  for (size_t i = 0; i + 2 < shape.size(); ++i) batch *= shape[i].value_or(1);
  CompileOptions compile{.rules = common.rules, .schedule = common.schedule, .tuning = common.tuning};
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
  const auto tuning = load_tuning(common.tuning);
  if (!tuning) return report(tuning.error());
  const ScheduleChoice schedule{common.schedule, false, tuning->get()};
  const auto layer =
      make_checked_layer(parsed.spec, *problem, available_back_ends(common.backend, common.isa), schedule);
  if (!layer) return report(layer.error());
  return report_comparison(options,
                           compare_checked(layer->variants, layer->skipped,
                                           call_of(options, batch, known_steps.value_or(kUsualSteps)), timer,
                                           to_call_text(parsed.spec)));
}

Result<Comparison> compare_nests(const Options& options, const NestedLayer& nested) {
  const auto layer =
      make_checked_nests(nested, available_back_ends(options.common.backend, options.common.isa));
  if (!layer) return tl::unexpected(layer.error());
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  const auto timer = [&](BackEnd back_end) {
    return time_uncached(back_end.backend, [&]() -> Result<void> {
      for (const ir::LoopNest& nest : nested.nests) {
        const auto kernel = compile_nest(nest, back_end.backend, back_end.isa, memory);
        if (!kernel) return tl::unexpected(kernel.error());
      }
      return {};
    });
  };
  return compare_checked(layer->variants, layer->skipped, call_of(options, 1, kUsualSteps), timer,
                         to_call_text(nested.spec));
}

int compare_nest_file(const Options& options, const NestFile& file) {
  if (const auto done = check_scheduled(options.common); !done) return report(done.error());
  const auto layers = layers_of(file);
  if (!layers) return report(in_file(options.common.spec, layers.error()));
  std::vector<Comparison> comparisons;
  for (const NestedLayer& nested : *layers) {
    auto comparison = compare_nests(options, nested);
    if (!comparison) return report(in_file(options.common.spec, comparison.error()));
    comparisons.push_back(std::move(*comparison));
  }
  return print_comparisons(options, comparisons);
}

// From the loaded model to something callable; then again with all kernels in the cache.
Result<CompileCost> time_model(const ModelSpec& model, Rules rules, BackEnd back_end, const Tuning* tuning) {
  std::optional<KernelCache> kernels;
  std::shared_ptr<const CompiledGraph> kept;
  const auto compile = [&]() -> Result<void> {
    auto graph = optimized_graph(model, rules);
    if (!graph) return tl::unexpected(graph.error());
    auto compiled = compile_graph(std::move(*graph), back_end.backend, back_end.isa, {}, *kernels, tuning);
    if (!compiled) return tl::unexpected(compiled.error());
    kept = std::move(*compiled);
    return {};
  };
  auto fresh = time_uncached(back_end.backend, [&] {
    kernels.emplace();
    return compile();
  });
  if (!fresh) return fresh;
  const auto again = time_uncached(Backend::kInterp, compile);
  if (!again) return again;
  return CompileCost{fresh->compile_us, again->compile_us};
}

int compare_model(const Options& options, ModelSpec model) {
  const CommonOptions& common = options.common;
  if (const auto fits = check_for_model(common); !fits) return report(fits.error());
  if (find_layer_without_weights(model) != nullptr) {
    print_note("The model has no weights: they are drawn from the initializers, as for a fresh model.");
    if (const auto done = draw_weights(model, common.rules, common.seed); !done) return report(done.error());
  }
  const auto graph = optimized_graph(model, common.rules);
  if (!graph) return report(graph.error());
  const auto tuning = load_tuning(common.tuning);
  if (!tuning) return report(tuning.error());
  KernelCache kernels;
  auto variants = compile_variants(available_back_ends(common.backend, common.isa), [&](BackEnd back_end) {
    return compile_graph(*graph, back_end.backend, back_end.isa, common.schedule, kernels, tuning->get());
  });
  if (!variants) return report(variants.error());
  CompareCall call = call_of(options, 1, declared_steps(model).value_or(kUsualSteps));
  const auto steps = choose_steps(*graph, options.steps, call.steps, call.batch);
  if (!steps) return report(steps.error());
  call.steps = *steps;
  const auto timer = [&](BackEnd back_end) {
    return time_model(model, common.rules, back_end, tuning->get());
  };
  std::vector<std::string> notes;
  if (const std::string inputs = several_inputs(model); !inputs.empty())
    notes.push_back("inputs, in this order: " + inputs);
  return report_comparison(options,
                           compare_checked(std::move(*variants), std::move(notes), call, timer, common.spec));
}

// A row of a vector program that stays in its arrays: how many operations it does is not known.
Result<CompareRow> vir_row(const vir::Program& program, BackEnd back_end, VirArrays& arrays,
                           std::vector<float>& expected, Denormals denormals) {
  const auto compile = [&] { return compile_vir(program, back_end); };
  const auto kernel = compile();
  if (!kernel) return tl::unexpected(kernel.error());
  const auto cost = time_uncached(back_end.backend, compile);
  if (!cost) return tl::unexpected(cost.error());
  CompareRow row;
  row.back_end = back_end;
  row.compile_us = cost->compile_us;
  row.code_bytes = (*kernel)->code_bytes();
  const ScopedControlWord modes(denormals);
  // Bits of the first call: a later one may read what an earlier one left.
  arrays.reset();
  (*kernel)->run(arrays.args());
  const std::vector<float> found = arrays.out();
  if (expected.empty()) expected = found;
  row.max_ulp = largest_ulp(expected, found);
  row.bit_equal = row.max_ulp == 0;
  const auto peak = PeakLoop::make(back_end.isa);
  row.timing = measure_call([&] { (*kernel)->run(arrays.args()); }, peak ? &*peak : nullptr, {}, 0.3);
  return row;
}

Result<Comparison> compare_program(const Options& options, const vir::Listing& listing) {
  const CommonOptions& common = options.common;
  const auto call = parse_vir_call(listing.text, listing.program);
  if (!call) return tl::unexpected(call.error());
  const auto back_ends = back_ends_for(listing.program, common.backend, common.isa);
  if (!back_ends) return tl::unexpected(back_ends.error());
  VirArrays arrays(*call, DataKind::kFloats, common.seed, {});
  if (auto done = run_checked(listing.program, listing.lines, arrays); !done)
    return tl::unexpected(done.error());
  note_idle(listing.program, arrays);
  Comparison comparison{listing.program.name, 1, call->args.kSteps, 1, cpu_name(), {}, {}};
  std::vector<float> expected;
  for (const BackEnd back_end : *back_ends) {
    auto row = vir_row(listing.program, back_end, arrays, expected, common.denormals);
    if (!row) return tl::unexpected(row.error());
    comparison.rows.push_back(*row);
  }
  return comparison;
}

int compare_vir(const Options& options, const VirFile& file) {
  if (options.batch || options.steps) {
    return report(
        {ErrorCode::kInvalidSpec, fmt::format("--batch and --steps do not go with {}, which is called as "
                                              "its '# run' line says.",
                                              options.common.spec)});
  }
  if (const auto done = check_unused(options.common, {{"--threads", "a vector program runs on one thread"}});
      !done)
    return report(done.error());
  if (const auto done = check_scheduled(options.common); !done) return report(done.error());
  std::vector<Comparison> comparisons;
  for (const vir::Listing& listing : file) {
    auto comparison = compare_program(options, listing);
    if (!comparison) return report(in_file(options.common.spec, comparison.error()));
    comparisons.push_back(std::move(*comparison));
  }
  return print_comparisons(options, comparisons);
}

int run_compare(const Options& options) {
  if (const auto done = check_named(options.common.backend, options.common.isa); !done)
    return report(done.error());
  if (!options.html.empty() && suffix_of(options.html) != ".html") {
    return report(
        {ErrorCode::kInvalidSpec, fmt::format("--html is {}; its name must end with .html.", options.html)});
  }
  if (!options.html.empty())
    if (const auto done = check_output("--html", options.html); !done) return report(done.error());
  note_foreign_tuning(options.common);
  const auto loaded = load_subject(options.common);
  if (!loaded) return report(loaded.error());
  if (const auto* parsed = std::get_if<ParsedLayer>(&*loaded)) return compare_text(options, *parsed);
  if (const auto* nests = std::get_if<NestFile>(&*loaded)) return compare_nest_file(options, *nests);
  if (const auto* model = std::get_if<LoadedModelSpec>(&*loaded)) return compare_model(options, *model->spec);
  return compare_vir(options, std::get<VirFile>(*loaded));
}

}  // namespace

void add_compare(CLI::App& app, int& exit_code) {
  const auto options = std::make_shared<Options>();
  CLI::App& command = *app.add_subcommand(
      "compare", "Time a layer or model on every back end and instruction set, and compare their bits");
  add_spec(command, options->common, true, ", a loop nest (.nest), a vector program (.vir)");
  add_common_options(command, options->common);
  add_denormals_option(command, options->common);
  command.add_option("--batch", options->batch, "Samples (default: the spec's, else 1)")
      ->check(whole_range(1, int64_t{1} << 40))
      ->type_name("N");
  command.add_option("--steps", options->steps, "Input steps (default: the spec's, else 1024)")
      ->check(whole_range(1, int64_t{1} << 40))
      ->type_name("L");
  command.add_option("--html", options->html, "Writes the comparison as a web page into this .html file")
      ->type_name("FILE");
  command.footer(
      "Examples:\n"
      "  convsmith compare \"Conv1D(256, 11, dilation_rate=5, padding='same', input_shape=(640, 256))\"\n"
      "  convsmith compare model.keras --steps 4096 --html model.html");
  command.callback([options, &exit_code] { exit_code = run_compare(*options); });
}

}  // namespace convsmith::cli
