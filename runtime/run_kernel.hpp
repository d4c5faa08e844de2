// Runs a compiled kernel on arrays: packing, argument block, scratch, threads. Behind the public classes;
// compare and verify on the command line call it directly.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "convsmith/convsmith.hpp"
#include "runtime/compile.hpp"

namespace convsmith {

struct PackedData {
  std::shared_ptr<const CompiledKernel> kernel;  // the one it was packed for
  ir::PackLayout layout;
  std::vector<float> storage;  // unaligned; `data` points at a 64-byte boundary inside
  const float* data = nullptr;
};

// `kernel` and `bias` have the sizes of the problem.
std::shared_ptr<const PackedData> pack_weights(std::shared_ptr<const CompiledKernel> compiled,
                                               std::span<const float> kernel, std::span<const float> bias);

// A whole output with the padding of the kernel's problem. `operand` has the output's shape.
RunStatus run_kernel(const CompiledKernel& compiled, const float* packed, const float* input, float* output,
                     int64_t batch, int64_t steps, const RunOptions& options,
                     const float* operand = nullptr) noexcept;

// Sets the distances between samples and channels of tensors with `steps` and `out_steps` steps.
void fill_pitches(KernelArgs& args, const Problem& problem, int64_t steps, int64_t out_steps);

// Runs the rows [kStepBegin, kStepEnd) and blocks below kBlockEnd of all samples, split over threads, all in
// the caller's control word: of the options, `denormals` is seen to by who calls. Sets scratch.
void run_rows(const CompiledKernel& compiled, KernelArgs& args, const RunOptions& options) noexcept;

}  // namespace convsmith
