// The compare subcommand: one table, a row for each back end and instruction set.
#include "cli/compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/check_layer.hpp"
#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "cli/files.hpp"
#include "cli/vir_file.hpp"
#include "codegen/control_word.hpp"
#include "codegen/target.hpp"
#include "codegen/vir_text.hpp"
#include "frontend/model_spec.hpp"
#include "ir/nest_text.hpp"
#include "ir/problem_text.hpp"
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
void keep_one_interpreter(std::vector<Variant>& variants, std::vector<std::string>& skipped) {
  const auto is_interpreter = [](const Variant& v) { return v.back_end.backend == Backend::kInterp; };
  variants.erase(std::remove_if(variants.begin() + 1, variants.end(), is_interpreter), variants.end());
  std::erase_if(skipped, [](const std::string& line) { return line.starts_with("interp"); });
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
  if (!options.html.empty()) {
    if (const auto done = write_text(options.html, as_html(comparison)); !done) return report(done.error());
  }
  for (const CompareRow& row : comparison.rows) {
    if (!row.bit_equal) return kFailure;
  }
  return kOk;
}

// Bytes of all tensors of a call, the outputs three times.
double call_bytes(const ir::Graph& graph, const CompareCall& call) {
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, input_steps(graph, call.steps));
  double floats = 0;
  const auto count = [&](int id, double times) {
    const ir::GraphTensor& tensor = graph.tensors[static_cast<size_t>(id)];
    floats += times * static_cast<double>(call.batch) *
              static_cast<double>(extents[static_cast<size_t>(tensor.steps)]) *
              static_cast<double>(tensor.channels);
  };
  for (int id = 0; id < static_cast<int>(graph.tensors.size()); ++id) {
    if (graph.tensors[static_cast<size_t>(id)].base < 0) count(id, 1);
  }
  for (const int id : graph.inputs) count(id, 1);
  for (const int id : graph.outputs) count(id, 2);
  return 4 * floats;
}

bool makes_output(const ir::Graph& graph, const CompareCall& call) {
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, input_steps(graph, call.steps));
  return std::all_of(graph.outputs.begin(), graph.outputs.end(), [&](int id) {
    return extents[static_cast<size_t>(graph.tensors[static_cast<size_t>(id)].steps)] > 0;
  });
}

int compare_checked(const Options& options, std::vector<Variant> variants, std::vector<std::string> skipped,
                    const CompareCall& call, const CompileTimer& compile_timer, std::string title) {
  keep_one_interpreter(variants, skipped);
  const ir::Graph& graph = variants.front().graph->graph;
  if (const auto fits = check_memory("The arrays of this call", call_bytes(graph, call)); !fits)
    return report(fits.error());
  if (!makes_output(graph, call)) {
    return report({ErrorCode::kInvalidSpec,
                   fmt::format("batch {} and {} steps give no output, so there is nothing to time.",
                               call.batch, call.steps)});
  }
  Comparison comparison{std::move(title), call.batch, call.steps,        call.threads,
                        cpu_name(),       {},         std::move(skipped)};
  if (const auto done = compare_variants(variants, call, compile_timer, comparison); !done)
    return report(done.error());
  return print_comparison(options, comparison);
}

int compare_checked(const Options& options, Result<CheckedLayer> layer, const CompareCall& call,
                    const CompileTimer& compile_timer, std::string title) {
  if (!layer) return report(layer.error());
  return compare_checked(options, std::move(layer->variants), std::move(layer->skipped), call, compile_timer,
                         std::move(title));
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
  std::string text = common.spec;
  if (suffix_of(text) == ".json") text = read_text(text, uint64_t{1} << 20).value_or(text);
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
  if (!common.schedule.empty() || !common.input_shape.empty()) {
    return report(
        {ErrorCode::kInvalidSpec, "--schedule and --input-shape are for layers, and SPEC is a model."});
  }
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
    return compile_graph(*graph, back_end.backend, back_end.isa, {}, kernels, tuning->get());
  });
  if (!variants) return report(variants.error());
  CompareCall call = call_of(options, 1, declared_steps(model).value_or(kUsualSteps));
  // What a layer fixes wins over what was asked for.
  call.steps = input_steps(*graph, call.steps).front();
  if (options.steps && call.steps != *options.steps) {
    return report({ErrorCode::kInvalidSpec, fmt::format("--steps is {}, and the model takes {} steps only.",
                                                        *options.steps, call.steps)});
  }
  return compare_checked(
      options, std::move(*variants), {}, call,
      [&](BackEnd back_end) { return time_model(model, common.rules, back_end, tuning->get()); },
      common.spec);
}

// A row of a vector program: how many operations it does is not known.
Result<CompareRow> vir_row(const vir::Program& program, BackEnd back_end, VirArrays& arrays,
                           Denormals denormals) {
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
  const ScopedControlWord modes(denormals);
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
    auto row = vir_row(program, back_end, arrays, options.common.denormals);
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
  if (const auto* nest = std::get_if<ir::LoopNest>(&*loaded)) return compare_nest(options, *nest);
  if (const auto* model = std::get_if<LoadedModelSpec>(&*loaded)) return compare_model(options, *model->spec);
  return compare_vir(options, std::get<vir::Program>(*loaded));
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
  command.callback([options, &exit_code] { exit_code = run_compare(*options); });
}

}  // namespace convsmith::cli
