#include "cli/pipeline.hpp"

#include <fmt/format.h>

#include "cli/common_options.hpp"
#include "cli/run_line.hpp"
#include "codegen/programs/row_programs.hpp"
#include "codegen/programs/transpose_program.hpp"
#include "codegen/schedule/completed.hpp"
#include "convsmith/activation.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/parts.hpp"
#include "runtime/compile.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/layer_data.hpp"
#include "runtime/model.hpp"
#include "runtime/tuning.hpp"

namespace convsmith::cli {
namespace {

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

// Whose schedules the kernels get.
struct Schedules {
  std::string_view text;  // empty: chosen or tuned
  const Tuning* tuning;   // may be null
};

// What was reached, complete if `done`.
void fill_unit(Unit& unit, LoweredLayer lowered, const Result<void>& done, const Target& target) {
  if (!lowered.naive.loops.empty()) unit.naive = std::move(lowered.naive);
  const bool scheduled = !lowered.schedule.empty();
  if (scheduled) unit.schedule = std::move(lowered.schedule);
  if (!lowered.nest.loops.empty()) {
    if (scheduled) unit.schedule = with_numbers(std::move(*unit.schedule), lowered.nest);
    unit.nest = std::move(lowered.nest);
  }
  if (!done) {
    unit.error = done.error();
    return;
  }
  unit.run_line = nest_run_line(*unit.nest, lowered.program, target);
  unit.program = std::move(lowered.program);
}

void fill_unit(Unit& unit, const Problem& problem, const Target& target, Schedules schedules) {
  unit.problem = problem;
  LoweredLayer lowered;
  Result<void> done = lower_layer(lowered, problem, target, schedules.text);
  if (schedules.text.empty() && schedules.tuning != nullptr && done) {
    if (auto tuned = lower_tuned(problem, target, schedules.tuning)) lowered = std::move(*tuned);
  }
  fill_unit(unit, std::move(lowered), done, target);
}

vir::Program program_of(ir::OpKind kind, const Target& target) {
  if (kind == ir::OpKind::kTranspose) return transpose_program(target);
  if (kind == ir::OpKind::kSoftmax) return row_program(ActivationKind::kSoftmax, target);
  if (kind == ir::OpKind::kLogSoftmax) return row_program(ActivationKind::kLogSoftmax, target);
  return row_program(ActivationKind::kSparsemax, target);
}

// Which output steps a part of a transposed problem makes.
std::string part_title(const std::string& title, const ir::Part& part, size_t index, size_t count) {
  std::string text = fmt::format("{}{}part {} of {}", title, title.empty() ? "" : ", ", index + 1, count);
  if (part.phases == part.row_steps) return fmt::format("{}, all output steps", text);
  text += fmt::format(", output step{} {}", part.phases > 1 ? "s" : "", part.first);
  if (part.phases > 1) text += fmt::format(" to {}", part.first + part.phases - 1);
  return fmt::format("{} of every {}{}", text, part.row_steps, part.merged_phases > 0 ? " at the ends" : "");
}

// The units of one pass.
void add_units(Pipeline& pipeline, const ir::Op& op, const std::string& name, const Target& target,
               Schedules schedules) {
  const std::string title = name.empty() ? name : fmt::format("{}: {}", name, op.name);
  if (!ir::has_problem(op.kind)) {
    Unit& unit = pipeline.units.emplace_back();
    unit.name = title;
    unit.program = program_of(op.kind, target);
    unit.run_line = rows_run_line(op.kind == ir::OpKind::kTranspose, *unit.program);
    return;
  }
  const std::vector<ir::Part> parts = ir::split_parts(op.problem);
  for (size_t i = 0; i < parts.size(); ++i) {
    Unit& unit = pipeline.units.emplace_back();
    unit.name = title;
    if (parts.size() > 1) unit.name = part_title(title, parts[i], i, parts.size());
    fill_unit(unit, parts[i].problem, target, schedules);
  }
}

Result<void> fill_units(Pipeline& pipeline, const ir::Graph& graph, const CommonOptions& options,
                        const Target& target, int pass) {
  const auto tuning = load_tuning(options.tuning);
  if (!tuning) return tl::unexpected(tuning.error());
  const auto count = static_cast<int>(graph.ops.size());
  const std::string_view of_nest =
      is_graph_schedule(options.schedule) ? std::string_view() : options.schedule;
  if (pass > count)
    return refuse(fmt::format("--pass is {}; it must be at most {}, the number of passes.", pass, count));
  for (int i = 0; i < count; ++i) {
    if (pass != 0 && i + 1 != pass) continue;
    const ir::Op& op = graph.ops[static_cast<size_t>(i)];
    const std::string name = count == 1 ? "" : fmt::format("pass {} of {}", i + 1, count);
    add_units(pipeline, op, name, target, {of_nest, tuning->get()});
  }
  if (!of_nest.empty() && pipeline.units.size() > 1) {
    const size_t units = pipeline.units.size();
    pipeline.units.clear();
    return refuse(fmt::format("--schedule is for one loop nest, and there are {}{}.", units,
                              count > 1 ? "; --pass chooses one" : ""));
  }
  return {};
}

// Which passes run together, where there are several. A graph that does not compile is shown without.
Result<void> fill_groups(Pipeline& pipeline, const CommonOptions& options, const Target& target) {
  if (pipeline.graph->ops.size() < 2) return {};
  KernelCache kernels;
  const std::string_view text = is_graph_schedule(options.schedule) ? options.schedule : std::string_view();
  const auto compiled = compile_graph(*pipeline.graph, Backend::kInterp, target.isa, text, kernels);
  if (!compiled && !text.empty()) return tl::unexpected(compiled.error());
  if (compiled) pipeline.groups = print(schedule_of(**compiled));
  return {};
}

Result<void> fill_layer(Pipeline& pipeline, const CommonOptions& options, const Target& target, Depth depth,
                        int pass) {
  if (depth == Depth::kSpec) return {};
  Result<LayerProblem> problem = layer_problem_for(pipeline.layer->spec, options);
  if (!problem) return tl::unexpected(problem.error());
  pipeline.problem = std::move(*problem);
  if (depth == Depth::kProblem) return {};
  Result<ir::Graph> graph =
      ir::build_graph(pipeline.layer->spec, pipeline.problem->chain.front().channels, options.rules);
  if (!graph) return tl::unexpected(graph.error());
  pipeline.graph = std::move(*graph);
  if (Result<void> done = fill_groups(pipeline, options, target); !done) return done;
  if (depth == Depth::kGraph) return {};
  return fill_units(pipeline, *pipeline.graph, options, target, pass);
}

Result<void> fill_model(Pipeline& pipeline, const LoadedModelSpec& model, const CommonOptions& options,
                        const Target& target, Depth depth, int pass) {
  if (Result<void> done = check_unused(options, {{"--input-shape", "a model's file says its own"}}); !done)
    return done;
  ModelSpec spec = *model.spec;
  if (find_layer_without_weights(spec) != nullptr) {
    print_note("The model has no weights: they are drawn from the initializers, as for a fresh model.");
    if (Result<void> done = draw_weights(spec, options.rules, options.seed); !done) return done;
  }
  Result<ir::Graph> graph = optimized_graph(spec, options.rules);
  if (!graph) return tl::unexpected(graph.error());
  pipeline.graph = std::move(*graph);
  if (Result<void> done = fill_groups(pipeline, options, target); !done) return done;
  if (depth == Depth::kGraph) return {};
  return fill_units(pipeline, *pipeline.graph, options, target, pass);
}

Result<void> fill_programs(Pipeline& pipeline, VirFile& file, const CommonOptions& options,
                           const Target& target) {
  for (vir::Listing& listing : file) {
    if (listing.program.lanes != target.lanes) {
      return refuse(fmt::format("{} has {} lanes, and isa {} has {}.", options.spec, listing.program.lanes,
                                target.name, target.lanes));
    }
    Unit& unit = pipeline.units.emplace_back();
    if (file.size() > 1)
      unit.name =
          fmt::format("program {} of {}: {}", pipeline.units.size(), file.size(), listing.program.name);
    if (const auto call = parse_vir_call(listing.text, listing.program)) unit.run_line = run_line_text(*call);
    unit.program = std::move(listing.program);
  }
  return {};
}

}  // namespace

Result<void> fill_pipeline(Pipeline& pipeline, Subject subject, const CommonOptions& options,
                           const Target& target, Depth depth, int pass) {
  if (const auto* model = std::get_if<LoadedModelSpec>(&subject))
    return fill_model(pipeline, *model, options, target, depth, pass);
  if (auto* layer = std::get_if<ParsedLayer>(&subject)) {
    pipeline.layer = std::move(*layer);
    if (!options.input_shape.empty()) pipeline.layer->spec.input_shape = options.input_shape;
    return fill_layer(pipeline, options, target, depth, pass);
  }
  if (Result<void> done = check_scheduled(options); !done) return done;
  if (pass > 1) return refuse(fmt::format("--pass is {}, and {} is one.", pass, options.spec));
  if (auto* file = std::get_if<VirFile>(&subject)) return fill_programs(pipeline, *file, options, target);
  std::vector<ir::LoopNest>& nests = std::get<NestFile>(subject).nests;
  for (size_t i = 0; i < nests.size(); ++i) {
    Unit& unit = pipeline.units.emplace_back();
    if (nests.size() > 1) unit.name = fmt::format("nest {} of {}", i + 1, nests.size());
    unit.problem = nests[i].problem;
    LoweredLayer lowered;
    lowered.nest = std::move(nests[i]);
    const Result<void> done = lower_nest(lowered, target);
    fill_unit(unit, std::move(lowered), done, target);
  }
  return {};
}

}  // namespace convsmith::cli
