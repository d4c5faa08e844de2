#include "ir/graph/graph_work.hpp"

#include <algorithm>

#include "convsmith/activation.hpp"
#include "frontend/base/ceil_div.hpp"
#include "ir/graph/fitting_steps.hpp"

namespace convsmith::ir {
namespace {

// Steps [begin, end) of a tensor.
struct Steps {
  int64_t begin = 0;
  int64_t end = 0;
  bool is_empty() const { return begin >= end; }
};

Steps hull(const Steps& a, const Steps& b) {
  if (a.is_empty()) return b;
  if (b.is_empty()) return a;
  return {std::min(a.begin, b.begin), std::max(a.end, b.end)};
}

// Follows the steps that are needed from an output to the inputs, backwards through all operations.
class Needs {
 public:
  Needs(const Graph& graph, const std::vector<int64_t>& extents) : g_(graph), extents_(extents) {}

  // By tensor: what `steps` of `output` need.
  const std::vector<Steps>& of(int output, const Steps& steps) {
    needed_.assign(g_.tensors.size(), {});
    need(output, steps);
    for (size_t i = g_.ops.size(); i-- > 0;) visit(g_.ops[i]);
    return needed_;
  }

  int64_t count(int tensor) const { return extents_[static_cast<size_t>(at(tensor).steps)]; }

 private:
  const GraphTensor& at(int tensor) const { return g_.tensors[static_cast<size_t>(tensor)]; }
  Steps all(int tensor) const { return {0, count(tensor)}; }

  // Needs are kept with the tensor whose memory it is.
  void need(int tensor, const Steps& steps) {
    const int root = root_of(g_, tensor);
    Steps& known = needed_[static_cast<size_t>(root)];
    known = hull(known, seen_as(tensor, root,
                                {std::max<int64_t>(steps.begin, 0), std::min(steps.end, count(tensor))}));
  }

  // What steps of one tensor are of another one in the same memory.
  Steps seen_as(int from, int to, const Steps& steps) const {
    const GraphTensor& a = at(from);
    const GraphTensor& b = at(to);
    if (steps.is_empty() || a.slice || b.slice || is_same_form(a, b)) return steps;
    const auto is_by_steps = [](const GraphTensor& t) {
      return t.layout == Layout::kChannelsLast || t.channels == 1;
    };
    if (!is_by_steps(a) || !is_by_steps(b)) return all(to);
    return {steps.begin * a.channels / b.channels, ceil_div(steps.end * a.channels, b.channels)};
  }

  void visit(const Op& op) {
    const int root = root_of(g_, op.out);
    const Steps& made = needed_[static_cast<size_t>(root)];
    if (made.is_empty()) return;
    const auto same_form = [&](int tensor) {
      return is_same_form(at(root_of(g_, tensor)), at(root)) && count(root_of(g_, tensor)) == count(root);
    };
    // Elementwise operations run over other views of what they change; steps stay what they are.
    if (is_elementwise(op) && same_form(op.in) && (op.operand < 0 || same_form(op.operand))) {
      const Steps steps = made;
      need(root_of(g_, op.in), steps);
      if (op.operand >= 0) need(root_of(g_, op.operand), steps);
      return;
    }
    const Steps out = seen_as(root, op.out, made);
    need(op.in, read_by(op, out));
    if (op.operand >= 0) need(op.operand, op.problem.operand_has_steps ? out : Steps{0, 1});
  }

  Steps read_by(const Op& op, const Steps& out) const {
    const GraphTensor& in = at(op.in);
    if (op.kind == OpKind::kRepeat) return all(op.in);
    if (op.kind == OpKind::kTranspose)
      return in.layout != at(op.out).layout ? out : all(op.in);  // else steps and channels change places
    if (op.kind != OpKind::kNest) return in.layout == Layout::kChannelsLast ? out : all(op.in);
    const Problem& p = op.problem;
    const int64_t pad = p.left_padding(count(op.in));
    const int64_t last = out.end - 1;
    if (!p.transposed) return {out.begin * p.stride - pad, last * p.stride - pad + p.span()};
    // Input step i and tap t meet in output step i * stride + t * dilation - pad. Negative numbers are cut
    // off later, so that rounding towards 0 does no harm.
    return {ceil_div(std::max<int64_t>(out.begin + p.pad_left - (p.span() - 1), 0), p.stride),
            (last + p.pad_left) / p.stride + 1};
  }

  const Graph& g_;
  const std::vector<int64_t>& extents_;
  std::vector<Steps> needed_;  // by root
};

}  // namespace

double multiply_adds(const Graph& graph, int64_t batch, std::span<const int64_t> steps) {
  const std::vector<int64_t> extents = evaluate_extents(graph, steps);
  double sum = 0;
  for (const Op& op : graph.ops) {
    const Problem& p = op.problem;
    const bool counts = op.kind == OpKind::kNest && p.has_weights() && !p.starts_from_bias;
    if (!counts) continue;
    const int tensor = p.transposed ? op.in : op.out;
    const int64_t n = extents[static_cast<size_t>(graph.tensors[static_cast<size_t>(tensor)].steps)];
    sum += static_cast<double>(n) * static_cast<double>(p.filters) *
           static_cast<double>(p.group_channels() * p.taps);
  }
  return sum * static_cast<double>(batch);
}

double multiply_adds_per_step(const Graph& graph) {
  const std::vector<int64_t> near = input_steps(graph, kLongInput);
  const std::vector<int64_t> far = input_steps(graph, 2 * kLongInput);
  const double least = near == far ? 0 : multiply_adds(graph, 1, near);
  const int64_t more = near == far ? far[0] : kLongInput;
  return (multiply_adds(graph, 1, far) - least) / static_cast<double>(more);
}

std::vector<std::optional<int64_t>> receptive_fields(const Graph& graph) {
  // Phases of transposed layers differ in what they see: as many outputs in the middle as have all phases.
  constexpr int64_t kOutputs = 1024;
  const std::vector<int64_t> extents = evaluate_extents(graph, input_steps(graph, kLongInput));
  Needs needs(graph, extents);
  std::vector<int64_t> most(graph.inputs.size(), 0);
  for (const int output : graph.outputs) {
    const int64_t first = std::max<int64_t>(0, (needs.count(output) - kOutputs) / 2);
    const int64_t end = std::min(needs.count(output), first + kOutputs);
    for (int64_t step = first; step < end; ++step) {
      const std::vector<Steps>& needed = needs.of(output, {step, step + 1});
      for (size_t i = 0; i < most.size(); ++i) {
        const Steps& seen = needed[static_cast<size_t>(root_of(graph, graph.inputs[i]))];
        most[i] = std::max(most[i], seen.is_empty() ? 0 : seen.end - seen.begin);
      }
    }
  }
  std::vector<std::optional<int64_t>> fields;
  for (size_t i = 0; i < most.size(); ++i) {
    const bool is_fixed = needs.count(graph.inputs[i]) < kLongInput;
    fields.push_back(is_fixed || most[i] < kLongInput / 2 ? std::optional(most[i]) : std::nullopt);
  }
  return fields;
}

}  // namespace convsmith::ir
