#include "cli/check_layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>

#include "cli/reference.hpp"
#include "cli/run_call.hpp"
#include "codegen/choose_schedule.hpp"
#include "codegen/llvm_loader.hpp"
#include "ir/build_nest.hpp"
#include "ir/nest_interp.hpp"
#include "ir/schedule.hpp"

namespace convsmith::cli {

namespace {

bool is_available(BackEnd back_end) {
  if (back_end.backend == Backend::kInterp) return true;
  if (back_end.isa > detect_isa() || !process_code_memory()) return false;
  if (back_end.backend == Backend::kXbyak) return back_end.isa != Isa::kBaseline;
  return load_llvm_module().has_value();
}

// Turn this:  split o 1234; split o1 14
// Into this:  split o 28; split o1 14
void shrink_chunks(ir::Schedule& schedule) {
  const auto splits = [](const ir::Step& step, const char* loop) {
    return step.kind == ir::StepKind::kSplit && step.loops == std::vector<std::string>{loop};
  };
  for (size_t i = 0; i + 1 < schedule.size(); ++i) {
    if (splits(schedule[i], "o") && splits(schedule[i + 1], "o1"))
      schedule[i].factor = 2 * schedule[i + 1].factor;
  }
}

Result<ir::Schedule> schedule_for(const Problem& problem, Isa isa, const ScheduleChoice& choice) {
  if (!choice.text.empty()) return ir::parse_schedule(choice.text);
  ir::Schedule schedule = choose_schedule(problem, target_for(isa));
  if (choice.small_chunks) shrink_chunks(schedule);
  return schedule;
}

void add_isa(CheckedLayer& layer, Isa isa, ir::LoopNest nest) {
  if (std::find(layer.isas.begin(), layer.isas.end(), isa) != layer.isas.end()) return;
  layer.isas.push_back(isa);
  layer.nests.push_back(std::move(nest));
}

tl::unexpected<Error> nothing_fits(const CheckedLayer& layer) {
  std::string why;
  for (const std::string& line : layer.skipped) why += (why.empty() ? "" : "; ") + line;
  return make_error(ErrorCode::kInvalidSpec, fmt::format("The schedule fits no instruction set: {}", why));
}

CodeMemory* code_memory() {
  return process_code_memory() ? *process_code_memory() : nullptr;
}

struct Compiled {
  ir::LoopNest nest;
  std::shared_ptr<const CompiledKernel> kernel;
};

// Fills the variants. Where the first back end that fits is no interpreter, one with its instruction set is
// put before it.
template <class Compile>
Result<void> compile_all(CheckedLayer& layer, const std::vector<BackEnd>& back_ends, bool must_fit,
                         const Compile& compile) {
  const auto add = [&](BackEnd back_end) -> Result<void> {
    auto compiled = compile(back_end);
    if (!compiled) return tl::unexpected(compiled.error());
    add_isa(layer, back_end.isa, std::move(compiled->nest));
    layer.variants.push_back({back_end, std::move(compiled->kernel)});
    return {};
  };
  for (const BackEnd back_end : back_ends) {
    Result<void> added;
    if (layer.variants.empty() && back_end.backend != Backend::kInterp) {
      added = add({Backend::kInterp, back_end.isa});
    }
    if (added) added = add(back_end);
    if (added) continue;
    if (must_fit) return tl::unexpected(added.error());
    layer.skipped.push_back(back_end_name(back_end) + ": " + added.error().message);
  }
  if (layer.variants.empty()) return nothing_fits(layer);
  return {};
}

std::string describe_difference(const std::vector<float>& expected, const std::vector<float>& found) {
  size_t count = 0;
  size_t first = 0;
  for (size_t i = expected.size(); i-- > 0;) {
    if (canonical_bits(expected[i]) == canonical_bits(found[i])) continue;
    first = i;
    ++count;
  }
  if (count == 0) return {};
  return fmt::format(
      "{} of {} outputs differ, the first is output {}: {:08x} ({:.9g}), the interpreter gives {:08x} "
      "({:.9g})",
      count, expected.size(), first, canonical_bits(found[first]), found[first],
      canonical_bits(expected[first]), expected[first]);
}

// Sums in strict order by the naive nest.
std::vector<float> naive_sums(const CheckedLayer& layer, const Call& call, const CallData& data) {
  const Problem& p = layer.problem;
  std::vector<float> sums(static_cast<size_t>(call.batch * p.output_steps(call.steps) * p.filters));
  const ir::NestTensors tensors{data.input.data(), data.kernel.data(), data.bias.data(),
                                sums.data(),       call.batch,         call.steps};
  ir::interpret(layer.naive, tensors, [](float x) { return x; });
  return sums;
}

// Whether a float32 sum agrees with the float64 one.
bool is_close(float sum, double exact, double magnitude, int64_t terms, DataKind data) {
  if (std::isnan(exact)) return std::isnan(sum);
  if (std::isinf(exact) || data == DataKind::kIntegers) return double{sum} == exact;
  return std::fabs(double{sum} - exact) <= error_factor(terms) * magnitude + error_floor(terms);
}

std::optional<std::string> check_sums(const CheckedLayer& layer, const Call& call, const CallData& data,
                                      const std::vector<float>& sums) {
  const ReferenceSums reference =
      reference_sums(layer.spec, {data.input.data(), data.kernel.data(), data.bias.data(), call.batch,
                                  call.steps, layer.problem.channels});
  if (reference.output_steps != layer.problem.output_steps(call.steps)) {
    return fmt::format("the reference has {} output steps, the problem {}", reference.output_steps,
                       layer.problem.output_steps(call.steps));
  }
  // Where float32 overflows, float64 is no guide.
  if (call.data == DataKind::kHuge) return std::nullopt;
  const int64_t terms = layer.problem.taps * layer.problem.group_channels();
  for (size_t i = 0; i < sums.size(); ++i) {
    if (is_close(sums[i], reference.sum[i], reference.magnitude[i], terms, call.data)) continue;
    return fmt::format("the naive nest's sum {} is {:.9g}, the float64 loop gives {:.17g}", i, sums[i],
                       reference.sum[i]);
  }
  return std::nullopt;
}

}  // namespace

std::string back_end_name(BackEnd back_end) {
  return fmt::format("{} {}", backend_name(back_end.backend), isa_name(back_end.isa));
}

std::vector<BackEnd> available_back_ends(Backend backend, Isa isa) {
  std::vector<BackEnd> result;
  for (const Isa candidate : {Isa::kAvx512, Isa::kAvx2, Isa::kBaseline}) {
    if (isa != Isa::kAuto && isa != candidate) continue;
    if (result.empty() && (isa != Isa::kAuto || candidate <= detect_isa()))
      result.push_back({Backend::kInterp, candidate});
  }
  for (const Backend kind : {Backend::kInterp, Backend::kXbyak, Backend::kLlvm}) {
    for (const Isa candidate : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
      const BackEnd pair{kind, candidate};
      const bool wanted =
          (backend == Backend::kAuto || backend == kind) && (isa == Isa::kAuto || isa == candidate);
      if (wanted && pair != result.front() && is_available(pair)) result.push_back(pair);
    }
  }
  return result;
}

uint32_t canonical_bits(float x) {
  return std::isnan(x) ? 0x7fc00000U : std::bit_cast<uint32_t>(x);
}

Result<CheckedLayer> make_checked_layer(const LayerSpec& spec, const Problem& problem,
                                        const std::vector<BackEnd>& back_ends, const ScheduleChoice& choice) {
  CheckedLayer layer;
  layer.spec = spec;
  layer.problem = problem;
  layer.naive = ir::build_nest(problem);
  const auto compile = [&](BackEnd back_end) -> Result<Compiled> {
    const auto schedule = schedule_for(problem, back_end.isa, choice);
    if (!schedule) return tl::unexpected(schedule.error());
    auto nest = ir::apply(layer.naive, *schedule);
    if (!nest) return tl::unexpected(nest.error());
    auto kernel =
        compile_problem(problem, back_end.backend, back_end.isa, ir::print(*schedule), code_memory());
    if (!kernel) return tl::unexpected(kernel.error());
    return Compiled{std::move(*nest), std::move(*kernel)};
  };
  if (auto done = compile_all(layer, back_ends, choice.text.empty(), compile); !done) {
    return tl::unexpected(done.error());
  }
  return layer;
}

Result<CheckedLayer> make_checked_nest(const ir::LoopNest& nest, const std::vector<BackEnd>& back_ends) {
  CheckedLayer layer;
  layer.problem = nest.problem;
  layer.naive = ir::build_nest(nest.problem);
  const auto compile = [&](BackEnd back_end) -> Result<Compiled> {
    auto kernel = compile_nest(nest, back_end.backend, back_end.isa, code_memory());
    if (!kernel) return tl::unexpected(kernel.error());
    return Compiled{nest, std::move(*kernel)};
  };
  if (auto done = compile_all(layer, back_ends, false, compile); !done) return tl::unexpected(done.error());
  return layer;
}

std::vector<Coverage::Scheduled> scheduled_nests(const CheckedLayer& layer) {
  std::vector<Coverage::Scheduled> result;
  for (size_t i = 0; i < layer.nests.size(); ++i)
    result.push_back({&layer.nests[i], &target_for(layer.isas[i])});
  return result;
}

bool runs_on_threads(const Call& call) {
  return call.seed % 4 == 0;
}
bool runs_on_real_threads(const Call& call) {
  return call.seed % 64 == 0;
}

ParallelFor Pools::pretended(int threads) {
  const auto run = [](void*, void (*task)(void*, size_t), void* context, size_t count) {
    for (size_t i = count; i-- > 0;) task(context, i);
  };
  return {run, nullptr, threads};
}

ParallelFor Pools::real(int threads) {
  const auto index = static_cast<size_t>(threads);
  if (pools_.size() <= index) pools_.resize(index + 1);
  if (!pools_[index]) pools_[index] = std::make_unique<ThreadPool>(threads);
  return pools_[index]->parallel_for();
}

std::optional<Finding> check_reference(const CheckedLayer& layer, const Call& call, const CallData& data,
                                       const std::vector<float>& output) {
  const std::vector<float> sums = naive_sums(layer, call, data);
  if (auto wrong = check_sums(layer, call, data, sums)) return Finding{std::nullopt, std::move(*wrong)};
  const Activation& activation = layer.problem.activation;
  const bool linear = activation.kind == ActivationKind::kLinear;
  for (size_t i = 0; i < output.size(); ++i) {
    if (linear && canonical_bits(output[i]) == canonical_bits(sums[i])) continue;
    const double exact = reference_activation(activation, double{sums[i]});
    if (!linear && ulp_error(output[i], exact) <= activation_bound(activation, double{sums[i]})) continue;
    return Finding{
        std::nullopt,
        fmt::format("output {} of the interpreter is {:.9g}, of the sum {:.9g} it should be {:.9g}", i,
                    output[i], sums[i], exact)};
  }
  return std::nullopt;
}

std::optional<Finding> check_call(const CheckedLayer& layer, const Call& call, const CheckOptions& options,
                                  Pools& pools) {
  const CallData data = make_data(layer.problem, call);
  std::vector<float> expected;
  for (size_t i = 0; i < layer.variants.size(); ++i) {
    const Variant& variant = layer.variants[i];
    CallRunner runner(*variant.kernel, data, call, options.guard);
    const auto compare = [&](const CallOutput& output, std::string_view how) -> std::optional<Finding> {
      const std::string what =
          output.error.empty() ? describe_difference(expected, output.values) : output.error;
      if (what.empty()) return std::nullopt;
      return Finding{variant.back_end, fmt::format("{}{}: {}", back_end_name(variant.back_end), how, what)};
    };
    CallOutput whole = runner.run({});
    if (i == 0) {
      if (!whole.error.empty())
        return Finding{variant.back_end, back_end_name(variant.back_end) + ": " + whole.error};
      expected = std::move(whole.values);
      if (auto finding = check_reference(layer, call, data, expected)) return finding;
    } else if (auto finding = compare(whole, "")) {
      return finding;
    }
    for (const int threads : options.threads) {
      if (threads == 1 || !runs_on_threads(call)) continue;
      const ParallelFor parallel =
          runs_on_real_threads(call) ? pools.real(threads) : Pools::pretended(threads);
      if (auto finding = compare(runner.run(parallel), fmt::format(" on {} threads", threads)))
        return finding;
    }
    if (auto finding = compare(runner.run_in_parts(), " in parts")) return finding;
  }
  return std::nullopt;
}

}  // namespace convsmith::cli
