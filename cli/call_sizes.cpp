#include "cli/call_sizes.hpp"

#include <fmt/format.h>

#include <vector>

#include "cli/common_options.hpp"
#include "ir/graph/fitting_steps.hpp"

namespace convsmith::cli {

Result<int64_t> choose_steps(const ir::Graph& graph, std::optional<int64_t> asked, int64_t usual,
                             int64_t batch) {
  const int64_t wanted = asked.value_or(usual);
  const std::vector<int64_t> taken = ir::input_steps(graph, wanted);
  if (asked) {
    const bool is_fixed = taken.front() != wanted;
    const std::string why =
        ir::why_not(graph, is_fixed ? std::vector<int64_t>(taken.size(), wanted) : taken, batch);
    if (why.empty() && !is_fixed) return wanted;
    if (why.empty()) {
      return make_error(ErrorCode::kInvalidSpec,
                        fmt::format("--steps is {}, and the model takes {} only.", wanted, taken.front()));
    }
    return make_error(ErrorCode::kInvalidSpec, fmt::format("--steps is {}. {}", wanted, why));
  }
  const std::optional<int64_t> nearest = ir::nearest_fit(graph, taken.front(), batch);
  if (!nearest) return make_error(ErrorCode::kInvalidSpec, ir::why_not(graph, taken, batch));
  if (*nearest != taken.front())
    print_note(fmt::format("The usual {} steps do not fit: {} are taken.", taken.front(), *nearest));
  return *nearest;
}

double call_bytes(const ir::Graph& graph, int64_t batch, std::span<const int64_t> steps) {
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, steps);
  double floats = 0;
  const auto count = [&](int id, double times) {
    const ir::GraphTensor& tensor = graph.tensors[static_cast<size_t>(id)];
    floats += times * static_cast<double>(batch) *
              static_cast<double>(extents[static_cast<size_t>(tensor.steps)]) *
              static_cast<double>(tensor.channels);
  };
  for (int id = 0; id < static_cast<int>(graph.tensors.size()); ++id) {
    if (graph.tensors[static_cast<size_t>(id)].base < 0) count(id, 1);
  }
  for (const int id : graph.inputs) count(id, 1);
  for (const int id : graph.outputs) count(id, 2);
  for (const ir::Array& array : graph.arrays) {
    double size = 2;
    for (const int64_t axis : array.shape) size *= static_cast<double>(axis);
    floats += size;
  }
  return sizeof(float) * floats;
}

}  // namespace convsmith::cli
