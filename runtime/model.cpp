#include "runtime/model.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/control_word.hpp"
#include "frontend/base/check.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/model_spec.hpp"
#include "frontend/models/load_model.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/fitting_steps.hpp"
#include "ir/graph/fold.hpp"
#include "ir/graph/fuse.hpp"
#include "runtime/disk_cache.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/host/verbose.hpp"

namespace convsmith {

namespace {

// Kernels are shared by all models of the process.
KernelCache& model_kernels() {
  static auto* cache = new KernelCache(process_disk_cache());  // never destroyed, as the default engine
  return *cache;
}

std::vector<Shape> open_shapes(const std::vector<std::vector<ir::Axis>>& all_axes) {
  std::vector<Shape> shapes;
  for (const std::vector<ir::Axis>& axes : all_axes) {
    shapes.emplace_back();
    for (const ir::Axis& axis : axes)
      shapes.back().push_back(axis.extent < 0 ? std::optional(axis.size) : std::nullopt);
  }
  return shapes;
}

// What a pass leaves is dumped and verified.
void check(const ir::Graph& graph, std::string_view pass) {
  if (dump_wanted("graph")) dump("graph", fmt::format("after {}\n{}", pass, ir::print(graph)));
  const Result<void> ok = ir::verify_graph(graph);
  if (ok) return;
  fail_check(__FILE__, __LINE__,
             fmt::format("after {}: {}\n{}", pass, ok.error().message, ir::print(graph)).c_str());
}

struct GraphPass {
  std::string_view name;
  ir::Graph (*rewrite)(ir::Graph graph);
};
// In this order, behind build_graph (docs/graph.md).
constexpr GraphPass kPasses[] = {
    {"fold", ir::fold}, {"fuse", ir::fuse}, {"flatten_elementwise", ir::flatten_elementwise}};

}  // namespace

Result<ir::Graph> optimized_graph(const ModelSpec& model, Rules rules) {
  if (const ModelLayer* layer = find_layer_without_weights(model)) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("Layer {} has no weights; a model in JSON needs a file with its weights.", layer->name));
  }
  const ScopedControlWord modes(kUsualModes);
  auto graph = [&] {
    const PassScope scope("build_graph");
    return ir::build_graph(model, rules);
  }();
  if (!graph) return graph;
  check(*graph, "build_graph");
  for (const GraphPass& pass : kPasses) {
    {
      const PassScope scope(pass.name);
      *graph = pass.rewrite(std::move(*graph));
    }
    check(*graph, pass.name);
  }
  return graph;
}

Result<CompiledModel> compile(const Model& model, const ModelOptions& options) {
  auto graph = optimized_graph(model.spec(), options.rules);
  if (!graph) return tl::unexpected(graph.error());
  auto choice = choose_backend(options.backend, options.isa);
  if (!choice) return tl::unexpected(choice.error());
  const auto tuning = load_tuning(options.tuning);
  if (!tuning) return tl::unexpected(tuning.error());
  if (const auto fits = check_graph_schedule(options.schedule); !fits) return tl::unexpected(fits.error());
  auto compiled = compile_graph(std::move(*graph), choice->backend, choice->isa, options.schedule,
                                model_kernels(), tuning->get());
  if (!compiled) return tl::unexpected(compiled.error());
  std::vector<std::span<const float>> arrays;
  for (const ir::Array& array : (*compiled)->graph.arrays) arrays.emplace_back(array.data);
  auto weights = pack_graph(*compiled, arrays);
  return CompiledModel(
      std::make_shared<const ModelData>(ModelData{std::move(*compiled), std::move(weights)}));
}

Result<Model> load_model(const ModelFile& file) {
  auto loaded = load_model(file.path, {.rules = file.rules, .weights_path = file.weights});
  if (!loaded) return tl::unexpected(loaded.error());
  for (const std::string& note : loaded->notes) say(1, note);
  return Model(std::make_shared<const ModelSpec>(std::move(loaded->spec)));
}

const std::string& Model::name() const {
  return spec_->name;
}

std::vector<std::string> Model::input_names() const {
  return convsmith::input_names(*spec_);
}
std::vector<std::string> Model::output_names() const {
  return convsmith::output_names(*spec_);
}

const std::vector<std::string>& CompiledModel::input_names() const {
  return data_->graph->graph.input_names;
}
const std::vector<std::string>& CompiledModel::output_names() const {
  return data_->graph->graph.output_names;
}
size_t CompiledModel::input_count() const {
  return data_->graph->graph.inputs.size();
}
size_t CompiledModel::output_count() const {
  return data_->graph->graph.outputs.size();
}

std::vector<Shape> CompiledModel::input_shapes() const {
  return open_shapes(data_->graph->graph.input_shapes);
}

std::vector<Shape> CompiledModel::output_shapes() const {
  return open_shapes(data_->graph->graph.output_shapes);
}

std::vector<std::optional<int64_t>> CompiledModel::fixed_steps() const {
  return data_->graph->graph.pinned_steps;
}

std::vector<std::vector<int64_t>> CompiledModel::output_shapes(int64_t batch,
                                                               std::span<const int64_t> steps) const {
  const ir::Graph& graph = data_->graph->graph;
  std::vector<std::vector<int64_t>> shapes;
  if (steps.size() != graph.inputs.size()) return shapes;
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, steps);
  for (const std::vector<ir::Axis>& axes : graph.output_shapes) {
    shapes.push_back({batch});
    for (const ir::Axis& axis : axes) {
      const int64_t factor = axis.extent < 0 ? 1 : extents[static_cast<size_t>(axis.extent)];
      shapes.back().push_back(axis.size * factor);
    }
  }
  return shapes;
}

Result<void> CompiledModel::check(int64_t batch, std::span<const int64_t> steps) const {
  if (steps.size() != input_count()) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("There are {} numbers of steps, and the model has {} inputs.", steps.size(),
                                  input_count()));
  }
  const auto is_size = [](int64_t size) { return size >= 0 && size <= kMaxAxis; };
  if (!is_size(batch) || !std::all_of(steps.begin(), steps.end(), is_size))
    return make_error(ErrorCode::kInvalidData, describe(RunStatus::kBadSize));
  const std::string why = ir::why_not(data_->graph->graph, steps, batch);
  if (why.empty()) return {};
  return make_error(ErrorCode::kInvalidData, why);
}

RunStatus CompiledModel::run(std::span<const float* const> inputs, std::span<float* const> outputs,
                             int64_t batch, std::span<const int64_t> steps,
                             const RunOptions& options) const noexcept {
  if (inputs.size() != input_count() || outputs.size() != output_count() || steps.size() != input_count())
    return RunStatus::kBadSize;
  return run_graph(*data_->graph, *data_->weights, inputs, outputs, batch, steps, options);
}

RunStatus CompiledModel::run(const float* input, float* output, int64_t batch, int64_t steps,
                             const RunOptions& options) const noexcept {
  return run({&input, 1}, {&output, 1}, batch, {&steps, 1}, options);
}

size_t CompiledModel::workspace_bytes(int64_t batch, std::span<const int64_t> steps, int threads) const {
  return convsmith::workspace_bytes(*data_->graph, batch, steps, threads);
}

Backend CompiledModel::backend() const {
  return data_->graph->backend;
}
Isa CompiledModel::isa() const {
  return data_->graph->isa;
}
size_t CompiledModel::code_bytes() const {
  return data_->graph->code_bytes;
}
int CompiledModel::passes() const {
  return ir::passes_over_memory(data_->graph->graph);
}

std::string CompiledModel::plan() const {
  const ir::Graph& graph = data_->graph->graph;
  std::string text = ir::print(graph);
  for (const std::string& decision : graph.decisions) text += decision + "\n";
  return text + fmt::format("{} passes over memory.\n", passes());
}

}  // namespace convsmith
