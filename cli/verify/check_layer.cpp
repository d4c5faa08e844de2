#include "cli/verify/check_layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cli/verify/reference.hpp"
#include "codegen/schedule/candidate_schedules.hpp"
#include "codegen/schedule/choose_schedule.hpp"
#include "convsmith/activation.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/problem_text.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith::cli {

namespace {

// Turn this:  split o 1234; split o1 14; ..; stream; prefetch
// Into this:  split o 28; split o1 14; ..; stream above 64; prefetch share 1
// so that small layers have what large ones get: several chunks, weights to ask for, outputs that bypass the
// caches. False if there is nothing to do.
bool shrink_chunks(ir::Schedule& schedule) {
  using ir::StepKind;
  const auto find = [&](StepKind kind) {
    return std::find_if(schedule.begin(), schedule.end(),
                        [&](const ir::Step& step) { return step.kind == kind; });
  };
  const auto splits = [](const ir::Step& step, const char* loop) {
    return step.kind == StepKind::kSplit && step.loops == std::vector<std::string>{loop};
  };
  bool shrunk = false;
  for (size_t i = 0; i + 1 < schedule.size() && !shrunk; ++i) {
    if (!splits(schedule[i], "o") || !splits(schedule[i + 1], "o1")) continue;
    schedule[i].factor = 2 * schedule[i + 1].factor;
    const auto lanes = find(StepKind::kLanes);
    const bool over_filters = lanes != schedule.end() && lanes->loops[0].starts_with('f');
    if (over_filters && find(StepKind::kPrefetch) == schedule.end())
      schedule.push_back({StepKind::kPrefetch, {}});
    shrunk = true;
  }
  for (ir::Step& step : schedule) {
    const bool is_small = step.kind == StepKind::kStream || step.kind == StepKind::kPrefetch;
    if (is_small) step.numbers = {step.kind == StepKind::kStream ? 64 : 1};
    shrunk = shrunk || is_small;
  }
  return shrunk;
}

// None: the chosen one.
std::optional<ir::Schedule> other_schedule(const Problem& problem, const Target& target,
                                           const ScheduleChoice& choice) {
  if (choice.candidate) {
    const std::vector<ir::Schedule> candidates = candidate_schedules(problem, target);
    return candidates[*choice.candidate % candidates.size()];
  }
  ir::Schedule schedule = choose_schedule(problem, target);
  if (!shrink_chunks(schedule)) return std::nullopt;
  return schedule;
}

CodeMemory* code_memory() {
  return process_code_memory() ? *process_code_memory() : nullptr;
}

Result<std::shared_ptr<const CompiledGraph>> compile_with(const ir::Graph& graph, BackEnd back_end,
                                                          const ScheduleChoice& choice,
                                                          KernelCache& kernels) {
  const bool is_other = choice.small_chunks || choice.candidate;
  auto compiled = compile_graph(graph, back_end.backend, back_end.isa, choice.text, kernels,
                                is_other ? nullptr : choice.tuning);
  if (!compiled || !is_other) return compiled;
  return with_kernels(choice.small_chunks ? *with_short_chains(**compiled) : **compiled,
                      [&](const CompiledPart& part) -> Result<std::shared_ptr<const CompiledKernel>> {
                        const Problem& p = part.kernel->problem;
                        const auto schedule = other_schedule(p, target_for(back_end.isa), choice);
                        if (!schedule) return nullptr;
                        auto kernel = compile_problem(p, back_end.backend, back_end.isa, ir::print(*schedule),
                                                      code_memory());
                        // A search skips those that need too many registers.
                        if (!kernel && choice.candidate) return nullptr;
                        return kernel;
                      });
}

// Whether a float32 sum agrees with the float64 one.
bool is_close(const Number& sum, DataKind data) {
  if (std::isnan(sum.exact) || std::isinf(sum.exact)) return is_within(sum.strict, sum);
  if (data == DataKind::kIntegers) return double{sum.strict} == sum.exact;
  return is_within(sum.strict, sum);
}

std::string wrong_output(size_t i, float found, float sum, double exact) {
  return fmt::format("output {} of the interpreter is {:.9g}, of the sum {:.9g} it should be {:.9g}", i,
                     found, sum, exact);
}

std::string check_elementwise(const Activation& activation, const std::vector<Number>& sums,
                              const std::vector<float>& output) {
  const bool linear = activation.kind == ActivationKind::kLinear;
  for (size_t i = 0; i < output.size(); ++i) {
    const float sum = sums[i].strict;
    if (linear && canonical_bits(output[i]) == canonical_bits(sum)) continue;
    const double exact = reference_activation(activation, double{sum});
    if (!linear && ulp_error(output[i], exact) <= activation_bound(activation, double{sum})) continue;
    return wrong_output(i, output[i], sum, exact);
  }
  return {};
}

// `length`: of the last axis in memory of the sums.
std::string check_rows(ActivationKind kind, const std::vector<Number>& sums, size_t length,
                       const std::vector<float>& output) {
  const size_t out_length = kind == ActivationKind::kGlu ? length / 2 : length;
  std::vector<Number> row(length);
  for (size_t begin = 0; begin < sums.size(); begin += length) {
    for (size_t i = 0; i < length; ++i) {
      const float sum = sums[begin + i].strict;
      row[i] = {double{sum}, 0, sum};
    }
    if (kind == ActivationKind::kGlu) {
      for (size_t i = 0; i < out_length; ++i) row[i] = gate(row[i], row[i + out_length]);
    } else {
      activate_row(kind, row);
    }
    const size_t out = begin / length * out_length;
    for (size_t i = 0; i < out_length; ++i) {
      if (!is_within(output[out + i], row[i]))
        return wrong_output(out + i, output[out + i], sums[begin + i].strict, row[i].exact);
    }
  }
  return {};
}

std::string check_reference(const CheckedLayer& layer, const FilledCall& call,
                            const std::vector<float>& output) {
  const std::vector<Number> input = exact_numbers(call.inputs[0]);
  const int64_t channels = layer.graph.tensors[static_cast<size_t>(layer.graph.inputs[0])].channels;
  const ReferenceSums sums =
      reference_sums(layer.spec, {input, call.weights, call.call.batch, call.steps[0], channels});
  const ir::GraphTensor& out = layer.graph.tensors[static_cast<size_t>(layer.graph.outputs[0])];
  const int64_t output_steps = ir::evaluate_extents(layer.graph, call.steps)[static_cast<size_t>(out.steps)];
  if (sums.output_steps != output_steps) {
    return fmt::format("the reference has {} output steps, the problem {}", sums.output_steps, output_steps);
  }
  for (size_t i = 0; i < sums.values.size(); ++i) {
    // Where float32 overflows or flushes, float64 is no guide.
    const Number& sum = sums.values[i];
    const bool has_guide = call.call.data != DataKind::kHuge && call.call.denormals == Denormals::kKeep;
    if (!has_guide || is_close(sum, call.call.data)) continue;
    return fmt::format("the strict sum {} is {:.9g}, the float64 loop gives {:.17g}", i, sum.strict,
                       sum.exact);
  }
  const Activation& activation = layer.spec.activation;
  if (is_elementwise(activation.kind)) return check_elementwise(activation, sums.values, output);
  const bool last = out.layout == Layout::kChannelsLast;
  return check_rows(activation.kind, sums.values, static_cast<size_t>(last ? sums.filters : output_steps),
                    output);
}

}  // namespace

Result<CheckedLayer> make_checked_layer(const LayerSpec& spec, const LayerProblem& problem,
                                        const std::vector<BackEnd>& back_ends, const ScheduleChoice& choice) {
  auto graph = ir::build_graph(spec, problem.chain.front().channels, Rules::kAny);
  if (!graph) return tl::unexpected(graph.error());
  CheckedLayer layer{spec, std::move(*graph), {}, {}};
  KernelCache kernels;
  auto variants = compile_variants(
      back_ends, [&](BackEnd back_end) { return compile_with(layer.graph, back_end, choice, kernels); },
      choice.text.empty() ? nullptr : &layer.skipped);
  if (!variants) return tl::unexpected(variants.error());
  layer.variants = std::move(*variants);
  return layer;
}

Result<CheckedLayer> make_checked_nests(const NestedLayer& nested, const std::vector<BackEnd>& back_ends) {
  CheckedLayer layer{nested.spec, nested.graph, {}, {}};
  KernelCache kernels;
  auto variants = compile_variants(
      back_ends, [&](BackEnd back_end) { return compile_nests(nested, back_end, kernels); }, &layer.skipped);
  if (!variants) return tl::unexpected(variants.error());
  layer.variants = std::move(*variants);
  return layer;
}

Result<CheckedLayer> make_checked_nest(const ir::LoopNest& nest, const std::vector<BackEnd>& back_ends) {
  const auto layers = layers_of({{}, {nest}});
  if (!layers) return tl::unexpected(layers.error());
  return make_checked_nests(layers->front(), back_ends);
}

std::optional<Finding> check_call(const CheckedLayer& layer, const Call& call, const CheckOptions& options,
                                  Pools& pools) {
  const Arrays weights = make_weights(layer.graph, call);
  FilledCall filled{call, {call.steps}, make_inputs(layer.graph, call), {}};
  filled.weights.assign(weights.begin(), weights.end());
  const auto judge = [&](const Arrays& outputs) { return check_reference(layer, filled, outputs[0]); };
  return check_variants(layer.variants, filled, judge, options, pools);
}

}  // namespace convsmith::cli
