#include "runtime/why_refused.hpp"

#include <fmt/format.h>

#include "frontend/keras/check_spec.hpp"

namespace convsmith {
namespace {

// The least number of input steps that makes an output step; more never make fewer.
int64_t least_steps(const CompiledLayer& layer) {
  int64_t few = 0;
  int64_t many = kMaxAxis;
  while (many - few > 1) {
    const int64_t middle = few + (many - few) / 2;
    (layer.output_steps(middle) > 0 ? many : few) = middle;
  }
  return many;
}

}  // namespace

std::string why_refused(const CompiledLayer& layer, RunStatus status, int64_t steps) {
  if (status != RunStatus::kEmptyOutput) return describe(status);
  return fmt::format("{} needs at least {} input steps for one output step, and has {}.",
                     to_call_text(layer.spec()), least_steps(layer), steps);
}

std::string why_refused(const CompiledModel& model, RunStatus status, int64_t batch,
                        std::span<const int64_t> steps) {
  if (status != RunStatus::kEmptyOutput && status != RunStatus::kWrongSteps) return describe(status);
  const Result<void> taken = model.check(batch, steps);
  return taken ? describe(status) : taken.error().message;
}

}  // namespace convsmith
