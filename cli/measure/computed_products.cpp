#include "cli/measure/computed_products.hpp"

#include <algorithm>

namespace convsmith::cli {

namespace {

int64_t floor_div(int64_t a, int64_t n) {
  return a / n - (a % n < 0 ? 1 : 0);
}
int64_t ceil_div(int64_t a, int64_t n) {
  return -floor_div(-a, n);
}

// How many of the numbers i of [begin, end) have 0 <= i * stride + shift < size.
int64_t count_inside(int64_t begin, int64_t end, int64_t stride, int64_t shift, int64_t size) {
  const int64_t first = std::max(begin, ceil_div(-shift, stride));
  const int64_t last = std::min(end, ceil_div(size - shift, stride));
  return std::max<int64_t>(last - first, 0);
}

}  // namespace

double computed_products(const Problem& p, int64_t steps, int64_t begin, int64_t end) {
  if (!p.has_weights()) return 0;
  int64_t pairs = 0;  // of an output step and a tap
  for (int64_t tap = 0; tap < p.taps; ++tap) {
    const int64_t apart = tap * p.dilation;
    // Of a transposed problem input step i meets output step i * stride + apart - crop.
    pairs += p.transposed ? count_inside(0, steps, p.stride, apart - p.pad_left - begin, end - begin)
                          : count_inside(begin, end, p.stride, apart - p.left_padding(steps), steps);
  }
  return static_cast<double>(pairs) * static_cast<double>(p.group_channels()) *
         static_cast<double>(p.filters);
}

double computed_products(const ir::Graph& graph, int64_t batch, std::span<const int64_t> steps) {
  const std::vector<int64_t> extents = ir::evaluate_extents(graph, steps);
  const auto steps_of = [&](int tensor) {
    return extents[static_cast<size_t>(graph.tensors[static_cast<size_t>(tensor)].steps)];
  };
  double sum = 0;
  for (const ir::Op& op : graph.ops) {
    if (op.kind == ir::OpKind::kNest && !op.problem.starts_from_bias)
      sum += computed_products(op.problem, steps_of(op.in), 0, steps_of(op.out));
  }
  return sum * static_cast<double>(batch);
}

}  // namespace convsmith::cli
