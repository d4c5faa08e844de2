#include "runtime/layer.hpp"

#include <fmt/format.h>

#include "frontend/make_problem.hpp"

namespace convsmith {

Result<PackedWeights> CompiledLayer::pack(std::span<const float> kernel, std::span<const float> bias) const {
  const auto [taps, channels, filters] = kernel_shape();
  const auto wanted = static_cast<size_t>(taps * channels * filters);
  if (kernel.size() != wanted) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("kernel has {} values; shape ({}, {}, {}) needs {}.", kernel.size(), taps,
                                  channels, filters, wanted));
  }
  const size_t wanted_bias = has_bias() ? static_cast<size_t>(filters) : 0;
  if (bias.size() != wanted_bias) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("bias has {} values; this layer needs {}.", bias.size(), wanted_bias));
  }
  PackedWeights weights;
  weights.data_ = pack_weights(data_->kernel, kernel, bias);
  return weights;
}

RunStatus CompiledLayer::run(const PackedWeights& weights, const float* input, float* output, int64_t batch,
                             int64_t steps, const RunOptions& options) const noexcept {
  if (weights.data_ == nullptr) return RunStatus::kNullPointer;
  if (!(weights.data_->layout == data_->kernel->weights) ||
      weights.data_->kernel->problem.taps != data_->kernel->problem.taps) {
    return RunStatus::kWrongWeights;
  }
  return run_kernel(*data_->kernel, weights.data_->data, input, output, batch, steps, options);
}

int64_t CompiledLayer::output_steps(int64_t steps) const {
  return data_->kernel->problem.output_steps(steps);
}
int64_t CompiledLayer::channels() const {
  return data_->kernel->problem.channels;
}
int64_t CompiledLayer::filters() const {
  return data_->kernel->problem.filters;
}
std::array<int64_t, 3> CompiledLayer::kernel_shape() const {
  const Problem& p = data_->kernel->problem;
  return {p.taps, p.group_channels(), p.filters};
}
bool CompiledLayer::has_bias() const {
  return data_->kernel->problem.has_bias;
}
Result<Shape> CompiledLayer::output_shape(const Shape& input_shape) const {
  return convsmith::output_shape(data_->kernel->problem, input_shape);
}
size_t CompiledLayer::scratch_bytes(int threads) const {
  // A slice of whole cache lines for each thread.
  const auto one = static_cast<size_t>((data_->kernel->scratch_bytes + 63) / 64 * 64);
  return one * static_cast<size_t>(std::max(threads, 1));
}
const LayerSpec& CompiledLayer::spec() const {
  return data_->spec;
}
Backend CompiledLayer::backend() const {
  return data_->kernel->backend;
}
Isa CompiledLayer::isa() const {
  return data_->kernel->isa;
}
size_t CompiledLayer::code_bytes() const {
  return data_->kernel->kernel->code_bytes();
}

}  // namespace convsmith
