// One call of a layer: the argument block, scratch, and the split over threads. Threads split samples,
// steps and filter blocks, never a sum.
#include <algorithm>
#include <cstdlib>

#include "frontend/check_spec.hpp"
#include "runtime/run_kernel.hpp"
#include "runtime/thread_memory.hpp"

namespace convsmith {

namespace {

// Fewer multiply-adds than this are not worth waking a thread for.
constexpr double kMinTaskWork = 2e5;

void* thread_scratch(size_t bytes) {
  thread_local ThreadMemory scratch;
  return bytes == 0 ? nullptr : scratch.get(bytes);
}

// A grid of parts over samples, steps and filter blocks.
struct Split {
  const CompiledKernel* compiled;
  KernelArgs args;
  int64_t parts[3];
  int64_t step_grain;
  std::byte* scratch;  // of the caller's, for all threads; null: thread_scratch
  unsigned control_word;
};

void begin_end(int64_t count, int64_t parts, int64_t index, int64_t grain, int64_t& begin, int64_t& end) {
  const int64_t grains = (count + grain - 1) / grain;
  begin = std::min(count, grains * index / parts * grain);
  end = std::min(count, grains * (index + 1) / parts * grain);
}

void run_part(void* context, size_t index) {
  const Split& split = *static_cast<const Split*>(context);
  KernelArgs args = split.args;
  const auto i = static_cast<int64_t>(index);
  begin_end(split.args.kSampleEnd, split.parts[0], i % split.parts[0], 1, args.kSampleBegin, args.kSampleEnd);
  begin_end(split.args.kStepEnd - split.args.kStepBegin, split.parts[1], i / split.parts[0] % split.parts[1],
            split.step_grain, args.kStepBegin, args.kStepEnd);
  args.kStepBegin += split.args.kStepBegin;
  args.kStepEnd += split.args.kStepBegin;
  begin_end(split.args.kBlockEnd, split.parts[2], i / split.parts[0] / split.parts[1], 1, args.kBlockBegin,
            args.kBlockEnd);
  const auto bytes = static_cast<size_t>(split.compiled->scratch_bytes);
  // One slice of the caller's scratch for each part.
  args.kScratch = static_cast<float*>(
      split.scratch != nullptr ? static_cast<void*>(split.scratch + index * ((bytes + 63) / 64 * 64))
                               : thread_scratch(bytes));
  if (bytes > 0 && args.kScratch == nullptr) std::abort();  // no memory for a few kilobytes of scratch
#if defined(__x86_64__)
  // The caller's rounding and denormal modes hold in every worker.
  const unsigned own = __builtin_ia32_stmxcsr();
  __builtin_ia32_ldmxcsr(split.control_word);
  split.compiled->kernel->run(args);
  __builtin_ia32_ldmxcsr(own);
#else
  split.compiled->kernel->run(args);
#endif
}

// As many parts as threads, cut first where cutting is cheapest.
void choose_parts(const CompiledKernel& compiled, const KernelArgs& args, int threads, int64_t* parts) {
  const Problem& p = compiled.problem;
  const int64_t batch = args.kSampleEnd;
  const int64_t out_steps = args.kStepEnd - args.kStepBegin;
  const int64_t taps =
      std::min(p.taps, std::max<int64_t>(args.kSteps, 1));  // pooling over all steps has any number
  const double work = static_cast<double>(batch) * static_cast<double>(out_steps) *
                      static_cast<double>(p.filters) * static_cast<double>(p.group_channels() * taps);
  auto want = static_cast<int64_t>(std::min(static_cast<double>(threads), work / kMinTaskWork + 1.0));
  const auto take = [&](int64_t available) {
    const int64_t taken = std::clamp<int64_t>(want, 1, std::max<int64_t>(1, available));
    want /= taken;  // rounded down: never more parts than threads, so that scratch has a slice for each
    return taken;
  };
  parts[0] = batch >= want ? take(batch) : 1;
  parts[1] = take(out_steps / compiled.tile_steps);
  parts[2] = take(compiled.blocks.count);
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
      return "A layer inside fixes the number of steps, or several inputs must have matching ones.";
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

void run_rows(const CompiledKernel& compiled, KernelArgs args, const RunOptions& options) noexcept {
  int64_t parts[3] = {1, 1, 1};
  if (options.parallel.run != nullptr) {
    choose_parts(compiled, args, options.parallel.threads, parts);
  }
  const int64_t count = parts[0] * parts[1] * parts[2];
  if (args.kBlockEnd == 0) args.kBlockEnd = compiled.blocks.count;
  if (count == 1) {
    args.kScratch = static_cast<float*>(options.workspace != nullptr
                                            ? options.workspace
                                            : thread_scratch(static_cast<size_t>(compiled.scratch_bytes)));
    if (compiled.scratch_bytes > 0 && args.kScratch == nullptr) std::abort();  // as in run_part
    compiled.kernel->run(args);
    return;
  }
  Split split{&compiled,
              args,
              {parts[0], parts[1], parts[2]},
              compiled.tile_steps,
              static_cast<std::byte*>(options.workspace),
              0};
#if defined(__x86_64__)
  split.control_word = __builtin_ia32_stmxcsr();
#endif
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
  fill_pitches(args, p, steps, out_steps);
  run_rows(compiled, args, options);
  return RunStatus::kOk;
}

}  // namespace convsmith
