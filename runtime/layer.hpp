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

struct LayerData {
  LayerSpec spec;
  std::shared_ptr<const CompiledKernel> kernel;
};

// `kernel` and `bias` have the sizes of the problem.
std::shared_ptr<const PackedData> pack_weights(std::shared_ptr<const CompiledKernel> compiled,
                                               std::span<const float> kernel, std::span<const float> bias);

RunStatus run_kernel(const CompiledKernel& compiled, const float* packed, const float* input, float* output,
                     int64_t batch, int64_t steps, const RunOptions& options) noexcept;

}  // namespace convsmith
