// One call of a layer: the argument block, scratch, and the split over threads. Threads split samples,
// steps and filter blocks, never a sum.
#include <algorithm>
#include <cstdlib>

#include "codegen/control_word.hpp"
#include "frontend/keras/check_spec.hpp"
#include "runtime/call_arithmetic.hpp"
#include "runtime/host/thread_memory.hpp"
#include "runtime/host_machine.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith {

namespace {

void* thread_scratch(size_t bytes) {
  thread_local ThreadMemory scratch;
  return bytes == 0 ? nullptr : scratch.get(bytes);
}

struct Split {
  const CompiledKernel* compiled;
  KernelArgs args;
  Parts<int64_t> parts;
  std::byte* scratch;    // of the caller's, for all threads; null: thread_scratch
  int64_t control_word;  // of the thread that calls
};

void run_part(void* context, size_t index) {
  const Split& split = *static_cast<const Split*>(context);
  const Parts<int64_t>& parts = split.parts;
  const KernelArgs& all = split.args;
  KernelArgs args = all;
  Host host;
  const auto i = static_cast<int64_t>(index);
  const auto samples = share_of(host, all.kSampleEnd, parts.samples, i % parts.samples, 1);
  const auto steps = share_of(host, all.kStepEnd - all.kStepBegin, parts.steps,
                              i / parts.samples % parts.steps, split.compiled->tile_steps);
  const auto blocks = share_of(host, all.kBlockEnd, parts.blocks, i / parts.samples / parts.steps, 1);
  args.kSampleBegin = samples.begin;
  args.kSampleEnd = samples.end;
  args.kStepBegin = all.kStepBegin + steps.begin;
  args.kStepEnd = all.kStepBegin + steps.end;
  args.kBlockBegin = blocks.begin;
  args.kBlockEnd = blocks.end;
  const auto bytes = static_cast<size_t>(split.compiled->scratch_bytes);
  // One slice of the caller's scratch for each part.
  args.kScratch = static_cast<float*>(
      split.scratch != nullptr ? static_cast<void*>(split.scratch + index * ((bytes + 63) / 64 * 64))
                               : thread_scratch(bytes));
  if (bytes > 0 && args.kScratch == nullptr) std::abort();  // no memory for a few kilobytes of scratch
  const ScopedControlWord callers(split.control_word);
  split.compiled->kernel->run(args);
}

}  // namespace

const char* describe(RunStatus status) {
  switch (status) {
    case RunStatus::kOk:
      return "ok";
    case RunStatus::kNullPointer:
      return "An array is null or the weights are empty.";
    case RunStatus::kBadSize:
      return "batch and steps must be at least 0 and at most 2^40.";
    case RunStatus::kEmptyOutput:
      return "The input has too few steps for one output step.";
    case RunStatus::kWrongSteps:
      return "A layer inside fixes the number of steps, or those of several inputs, or the batch, must "
             "match.";
    case RunStatus::kNoMemory:
      return "There is not enough memory for what lies between the layers.";
    case RunStatus::kWrongWeights:
      return "The weights were packed for another layer or schedule.";
  }
  return "unknown status";
}

void fill_pitches(KernelArgs& args, const Problem& p, int64_t steps, int64_t out_steps) {
  const bool last = p.layout == Layout::kChannelsLast;
  const int64_t operand_steps = p.operand_has_steps ? out_steps : 1;
  args.kInSample = steps * (last ? p.in_pitch() : p.channels);
  args.kInChannel = steps;
  args.kOutSample = out_steps * (last ? p.out_pitch() : p.filters);
  args.kOutChannel = out_steps;
  const int64_t operand_channels = p.operand_has_channels ? p.filters : 1;
  args.kOperandSample = operand_steps * (last && p.operand_row != 0 ? p.operand_row : operand_channels);
  args.kOperandChannel = p.operand_has_channels ? operand_steps : 0;
}

void run_rows(const CompiledKernel& compiled, KernelArgs& args, const RunOptions& options) noexcept {
  Parts<int64_t> parts{1, 1, 1};
  if (options.parallel.run != nullptr) {
    Host host;
    parts = choose_parts(host, compiled, int64_t{options.parallel.threads}, args.kSampleEnd,
                         args.kStepEnd - args.kStepBegin, args.kSteps);
  }
  const int64_t count = parts.samples * parts.steps * parts.blocks;
  if (count == 1) {
    args.kScratch = static_cast<float*>(options.workspace != nullptr
                                            ? options.workspace
                                            : thread_scratch(static_cast<size_t>(compiled.scratch_bytes)));
    if (compiled.scratch_bytes > 0 && args.kScratch == nullptr) std::abort();  // as in run_part
    compiled.kernel->run(args);
    return;
  }
  Split split{&compiled, args, parts, static_cast<std::byte*>(options.workspace), control_word()};
  options.parallel.run(options.parallel.pool, run_part, &split, static_cast<size_t>(count));
}

RunStatus run_kernel(const CompiledKernel& compiled, const float* packed, const float* input, float* output,
                     int64_t batch, int64_t steps, const RunOptions& options, const float* operand) noexcept {
  if (batch < 0 || steps < 0 || batch > kMaxAxis || steps > kMaxAxis) return RunStatus::kBadSize;
  const Problem& p = compiled.problem;
  const int64_t out_steps = p.output_steps(steps);
  if (out_steps == 0 && steps > 0 && batch > 0) return RunStatus::kEmptyOutput;
  if (batch == 0 || out_steps == 0) return RunStatus::kOk;
  if (packed == nullptr || output == nullptr || (input == nullptr && steps > 0))
    return RunStatus::kNullPointer;
  KernelArgs args{};
  args.kIn = input;
  args.kWeights = packed;
  args.kOut = output;
  args.kOperand = operand;
  args.kSteps = steps;
  args.kPadLeft = p.left_padding(steps);
  args.kSampleEnd = batch;
  args.kStepEnd = out_steps;
  args.kBlockEnd = compiled.blocks.count;
  fill_pitches(args, p, steps, out_steps);
  const ScopedControlWord modes(options.denormals);
  run_rows(compiled, args, options);
  return RunStatus::kOk;
}

}  // namespace convsmith
