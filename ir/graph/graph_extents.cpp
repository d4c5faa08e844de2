#include "ir/graph/graph_extents.hpp"

#include <algorithm>

namespace convsmith::ir {
namespace {

int64_t window_steps(const Problem& window, int64_t steps) {
  if (steps >= kMaxSteps) return kMaxSteps;
  if (window.transposed && steps > 1 && steps - 1 >= kMaxSteps / window.stride) return kMaxSteps;
  return std::clamp<int64_t>(window.output_steps(steps), 0, kMaxSteps);
}

int64_t times(int64_t a, int64_t b) {
  if (a <= 0 || b <= 0) return 0;
  return a >= kMaxSteps / b + (kMaxSteps % b != 0 ? 1 : 0) ? kMaxSteps : a * b;
}

// Turn this: taps that reach over `span` steps. Into this: one tap and less padding, which gives the same
// number of output steps.
Problem canonical_window(const Problem& p) {
  Problem window;
  window.stride = p.stride;
  window.transposed = p.transposed;
  window.pad_same = p.pad_same;
  if (!p.pad_same) window.pad_right = p.pad_left + p.pad_right - (p.span() - 1);
  return window;
}

}  // namespace

ExtentTable::ExtentTable(std::vector<Extent>& extents) : extents_(extents) {
  for (size_t i = 0; i < extents.size(); ++i) index_.emplace(key_of(extents[i]), static_cast<int>(i));
}

ExtentTable::Key ExtentTable::key_of(const Extent& extent) {
  const Problem& window = extent.window;
  return {
      static_cast<int64_t>(extent.kind), extent.value,           extent.from, window.stride, window.pad_right,
      window.transposed ? 1 : 0,         window.pad_same ? 1 : 0};
}

int ExtentTable::intern(const Extent& extent) {
  const auto [place, is_new] = index_.emplace(key_of(extent), static_cast<int>(extents_.size()));
  if (is_new) extents_.push_back(extent);
  return place->second;
}

int ExtentTable::fixed(int64_t steps) {
  return intern({.kind = Extent::Kind::kFixed, .value = steps});
}

int ExtentTable::input(int64_t number) {
  return intern({.kind = Extent::Kind::kInput, .value = number});
}

int ExtentTable::window(int from, const Problem& problem) {
  const Extent source = extents_[static_cast<size_t>(from)];
  if (source.kind == Extent::Kind::kFixed) return fixed(window_steps(problem, source.value));
  const bool over_all = !problem.transposed && problem.taps == kAllSteps && problem.stride == kAllSteps &&
                        problem.pad_right == kAllSteps - 1;
  if (over_all) return fixed(1);
  const Problem window = canonical_window(problem);
  if (window.stride == 1 && window.pad_right == 0) return from;
  if (window.transposed && window.pad_right == 1 - window.stride) return scaled(from, window.stride);
  if (window.pad_same && source.kind == Extent::Kind::kScaled && source.value % window.stride == 0)
    return scaled(source.from, source.value / window.stride);
  // Turn this: ceil(ceil(steps / a) / b). Into this: ceil(steps / (a * b)).
  if (window.pad_same && source.kind == Extent::Kind::kWindow && source.window.pad_same &&
      times(source.window.stride, window.stride) < kMaxSteps) {
    Problem both = window;
    both.stride *= source.window.stride;
    return intern({.kind = Extent::Kind::kWindow, .from = source.from, .window = both});
  }
  return intern({.kind = Extent::Kind::kWindow, .from = from, .window = window});
}

int ExtentTable::scaled(int from, int64_t factor) {
  const Extent source = extents_[static_cast<size_t>(from)];
  if (factor == 1) return from;
  if (source.kind == Extent::Kind::kFixed) return fixed(times(source.value, factor));
  if (source.kind == Extent::Kind::kScaled && times(source.value, factor) < kMaxSteps)
    return scaled(source.from, source.value * factor);
  return intern({.kind = Extent::Kind::kScaled, .value = factor, .from = from});
}

int64_t evaluate_extent(const Extent& extent, int64_t from, std::span<const int64_t> input_steps) {
  switch (extent.kind) {
    case Extent::Kind::kFixed:
      return extent.value;
    case Extent::Kind::kInput:
      return std::min(input_steps[static_cast<size_t>(extent.value)], kMaxSteps);
    case Extent::Kind::kWindow:
      return window_steps(extent.window, from);
    case Extent::Kind::kScaled:
      return times(from, extent.value);
  }
  return 0;
}

std::vector<int64_t> evaluate_extents(const Graph& graph, std::span<const int64_t> input_steps) {
  std::vector<int64_t> steps;
  steps.reserve(graph.extents.size());
  for (const Extent& extent : graph.extents) {
    const int64_t from = extent.from < 0 ? 0 : steps[static_cast<size_t>(extent.from)];
    steps.push_back(evaluate_extent(extent, from, input_steps));
  }
  return steps;
}

}  // namespace convsmith::ir
