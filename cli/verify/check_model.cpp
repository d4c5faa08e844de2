#include "cli/verify/check_model.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "cli/verify/reference_model.hpp"
#include "cli/verify/run_call.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/graph/fold.hpp"
#include "runtime/model.hpp"

namespace convsmith::cli {

namespace {

constexpr double kMostWork = 2e6;

std::vector<std::span<const float>> arrays_of(const ir::Graph& graph) {
  std::vector<std::span<const float>> arrays;
  for (const ir::Array& array : graph.arrays) arrays.emplace_back(array.data);
  return arrays;
}

std::vector<int64_t> shape_of(const std::vector<ir::Axis>& axes, const std::vector<int64_t>& extents,
                              int64_t batch) {
  std::vector<int64_t> shape{batch};
  for (const ir::Axis& axis : axes)
    shape.push_back(axis.size * (axis.extent < 0 ? 1 : extents[static_cast<size_t>(axis.extent)]));
  return shape;
}

// Outputs of a graph that is no variant: its layers are the model's, but not its passes.
std::string compare_graph(const std::shared_ptr<const CompiledGraph>& graph, const FilledCall& call,
                          const Arrays& expected, const char* name) {
  const FilledCall own{call.call, call.steps, call.inputs, arrays_of(graph->graph)};
  const CallOutput output = CallRunner(graph, own, false).run({});
  const std::string what = output.error.empty() ? describe_difference(output.values, expected) : output.error;
  return what.empty() ? what : fmt::format("the optimized graph against the {}: {}", name, what);
}

std::string check_reference(const CheckedModel& model, const FilledCall& call, const Arrays& outputs) {
  const ir::Graph& graph = model.plain->graph;
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, call.steps);
  std::vector<ReferenceTensor> inputs;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    inputs.push_back(
        {shape_of(graph.input_shapes[i], extents, call.call.batch), exact_numbers(call.inputs[i])});
  }
  const std::vector<ReferenceTensor> expected = reference_outputs(*model.spec, std::move(inputs));
  for (size_t k = 0; k < outputs.size(); ++k) {
    const std::vector<int64_t> shape = shape_of(graph.output_shapes[k], extents, call.call.batch);
    if (shape != expected[k].shape) {
      return fmt::format("output {} has the shape ({}), the reference ({})", k, fmt::join(shape, ", "),
                         fmt::join(expected[k].shape, ", "));
    }
    for (size_t i = 0; i < outputs[k].size(); ++i) {
      const Number& number = expected[k].values[i];
      if (is_within(outputs[k][i], number)) continue;
      return fmt::format("value {} of output {} of the interpreter is {:.9g}, it should be {:.9g} +- {:.3g}",
                         i, k, outputs[k][i], number.exact, number.error);
    }
  }
  return {};
}

bool has_batch_norm(const ModelSpec& model) {
  return std::any_of(model.layers.begin(), model.layers.end(),
                     [](const ModelLayer& layer) { return std::holds_alternative<BatchNormOp>(layer.op); });
}

}  // namespace

Result<CheckedModel> make_checked_model(ModelSpec model, Rules rules, const std::vector<BackEnd>& back_ends,
                                        const ScheduleChoice& schedule) {
  CheckedModel checked;
  checked.spec = std::make_shared<const ModelSpec>(std::move(model));
  auto plain = ir::build_graph(*checked.spec, rules);
  if (!plain) return tl::unexpected(plain.error());
  auto graph = optimized_graph(*checked.spec, rules);
  if (!graph) return tl::unexpected(graph.error());
  KernelCache kernels;
  auto variants = compile_variants(back_ends, [&](BackEnd back_end) {
    return compile_graph(*graph, back_end.backend, back_end.isa, schedule.text, kernels, schedule.tuning);
  });
  if (!variants) return tl::unexpected(variants.error());
  checked.variants = std::move(*variants);
  for (Variant& variant : checked.variants) {
    if (schedule.small_chunks) variant.graph = with_short_chains(*variant.graph);
  }
  const Isa isa = checked.variants.front().back_end.isa;
  auto folded = compile_graph(ir::fold(*plain), Backend::kInterp, isa, {}, kernels);
  if (!folded) return tl::unexpected(folded.error());
  auto unfolded = compile_graph(std::move(*plain), Backend::kInterp, isa, {}, kernels);
  if (!unfolded) return tl::unexpected(unfolded.error());
  checked.folded = std::move(*folded);
  checked.plain = std::move(*unfolded);
  return checked;
}

Call random_model_call(const CheckedModel& model, uint64_t seed) {
  Random random(seed);
  constexpr DataKind kKinds[] = {DataKind::kIntegers, DataKind::kFloats, DataKind::kFloats,
                                 DataKind::kSpecial, DataKind::kHuge};
  const ir::Graph& graph = model.plain->graph;
  Call call{.batch = random.one_in(2) ? 1 : random.between(0, 3), .data = random.pick(kKinds)};
  call.seed = random.next();
  draw_denormals(call);
  // Where the batch meets steps, it is as large as these.
  const int64_t most = !graph.batch_steps.empty() ? 12 : random.one_in(2) ? 40 : 150;
  call.steps = ir::nearest_fit(graph, random.between(1, most)).value_or(1);
  const auto work = [&](int64_t steps) {
    return multiply_adds(graph, std::max<int64_t>(call.batch, 1), input_steps(graph, steps));
  };
  while (call.steps > 1 && work(call.steps) > kMostWork) {
    const int64_t fewer = ir::nearest_fit(graph, call.steps * 3 / 4).value_or(call.steps);
    if (fewer >= call.steps) break;
    call.steps = fewer;
  }
  call.batch = ir::nearest_batch(graph, input_steps(graph, call.steps), call.batch);
  return call;
}

std::optional<Finding> check_call(const CheckedModel& model, const Call& call, const CheckOptions& options,
                                  Pools& pools) {
  const ir::Graph& graph = model.graph();
  const FilledCall filled{call, input_steps(graph, call.steps), make_inputs(graph, call), arrays_of(graph)};
  const auto judge = [&](const Arrays& outputs) -> std::string {
    std::string wrong = compare_graph(model.folded, filled, outputs, "one without fusion");
    if (wrong.empty() && !has_batch_norm(*model.spec))
      wrong = compare_graph(model.plain, filled, outputs, "one as it was built");
    // Where values are not finite, so is no bound.
    const bool is_plain = call.data == DataKind::kIntegers || call.data == DataKind::kFloats;
    return wrong.empty() && is_plain ? check_reference(model, filled, outputs) : wrong;
  };
  return check_variants(model.variants, filled, judge, options, pools);
}

}  // namespace convsmith::cli
