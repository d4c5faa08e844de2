#include "cli/run_line.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "runtime/compile.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith::cli {

namespace {

constexpr int64_t kUsualSteps = 64;
constexpr int64_t kMostMultiplyAdds = 20'000'000;

// As many as a moment of the interpreter allows, and no fewer than an output step needs.
int64_t steps_for(const Problem& p) {
  const int64_t macs = p.has_weights() ? std::max<int64_t>(p.taps * p.group_channels() * p.filters, 1) : 1;
  const int64_t steps = std::clamp<int64_t>(kMostMultiplyAdds / macs, 1, kUsualSteps);
  if (p.output_steps(steps) > 0) return steps;
  return std::max<int64_t>(1, p.span() - p.pad_left - p.pad_right);
}

int64_t scratch_floats(const vir::Program& program) {
  return (program.scratch_bytes + 3) / 4;
}

}  // namespace

std::string run_line_text(const VirCall& call) {
  std::string text = "run";
  const auto add = [&](std::string_view name, int64_t value) {
    if (value != 0) text += fmt::format(" {}={}", name, value);
  };
  add("in", call.in);
  add("weights", call.weights);
  add("out", call.out);
  add("operand", call.operand);
  add("scratch", call.scratch);
  for (int i = 0; i < vir::kArgs; ++i) {
    const auto arg = static_cast<vir::Arg>(i);
    if (!vir::is_pointer(arg)) add(vir::arg_text(arg), reinterpret_cast<const int64_t*>(&call.args)[i]);
  }
  return text;
}

std::string nest_run_line(const ir::LoopNest& nest, const vir::Program& program, const Target& target) {
  const Problem& p = nest.problem;
  const CompiledKernel kernel = kernel_without_code(nest, program, target);
  const int64_t steps = steps_for(p);
  VirCall call;
  call.args.kSteps = steps;
  call.args.kPadLeft = p.left_padding(steps);
  call.args.kSampleEnd = 1;
  call.args.kStepEnd = p.output_steps(steps);
  call.args.kBlockEnd = kernel.blocks.count;
  fill_pitches(call.args, p, steps, call.args.kStepEnd);
  call.in = call.args.kInSample;
  call.out = call.args.kOutSample;
  call.weights = kernel.weights.floats();
  if (p.combine != Combine::kNone) call.operand = call.args.kOperandSample;
  call.scratch = scratch_floats(program);
  return run_line_text(call);
}

std::string rows_run_line(bool transpose, const vir::Program& program) {
  constexpr int64_t kRows = 20;
  constexpr int64_t kColumns = 37;
  VirCall call;
  call.in = call.out = kRows * kColumns;
  call.scratch = scratch_floats(program);
  if (transpose) {
    call.args.kInSample = call.args.kOutSample = call.in;
    call.args.kInChannel = kColumns;
    call.args.kOutChannel = kRows;
    call.args.kSampleEnd = 1;
    call.args.kStepEnd = kRows;
    call.args.kBlockEnd = kColumns;
  } else {
    call.args.kSteps = call.args.kInSample = call.args.kOutSample = kColumns;
    call.args.kSampleEnd = kRows;
    call.args.kStepEnd = 1;
  }
  return run_line_text(call);
}

}  // namespace convsmith::cli
