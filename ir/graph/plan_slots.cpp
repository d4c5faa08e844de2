#include "ir/graph/plan_slots.hpp"

#include <algorithm>

namespace convsmith::ir {

Plan plan_slots(const Graph& graph, std::span<const Kept> kept) {
  const size_t count = graph.tensors.size();
  Plan plan;
  plan.slot_of_tensor.assign(count, -1);
  std::vector<size_t> root(count);
  for (size_t i = 0; i < count; ++i) root[i] = static_cast<size_t>(root_of(graph, static_cast<int>(i)));
  std::vector<bool> is_outside(count, false);
  for (const int id : graph.inputs) is_outside[root[static_cast<size_t>(id)]] = true;
  for (const int id : graph.outputs) is_outside[root[static_cast<size_t>(id)]] = true;

  // Of each root the last operation that uses it. One that nobody reads lives until it is written.
  std::vector<std::vector<size_t>> ends(graph.ops.size());
  std::vector<size_t> last(count, 0);
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    for (const int id : {graph.ops[i].in, graph.ops[i].operand, graph.ops[i].out}) {
      if (id >= 0) last[root[static_cast<size_t>(id)]] = i;
    }
  }
  for (const Kept& tensor : kept) {
    size_t& end = last[static_cast<size_t>(tensor.tensor)];
    end = std::max(end, tensor.during.last);
  }
  for (size_t i = 0; i < count; ++i) {
    if (root[i] == i && !is_outside[i] && !graph.ops.empty()) ends[last[i]].push_back(i);
  }
  // A slot that holds tensors of as many channels is the best to reuse: it is likely to have the same size.
  struct Free {
    int slot;
    int64_t channels;
    int steps;
  };
  std::vector<Free> free;
  const auto begin = [&](size_t tensor) {
    if (is_outside[tensor] || plan.slot_of_tensor[tensor] >= 0) return;
    const GraphTensor& t = graph.tensors[tensor];
    auto best = std::find_if(free.begin(), free.end(),
                             [&](const Free& f) { return f.channels == t.channels && f.steps == t.steps; });
    if (best == free.end() && !free.empty()) best = free.end() - 1;
    if (best == free.end()) {
      plan.slot_of_tensor[tensor] = plan.slots++;
    } else {
      plan.slot_of_tensor[tensor] = best->slot;
      free.erase(best);
    }
  };
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    for (const Kept& tensor : kept) {
      if (tensor.during.first == i) begin(static_cast<size_t>(tensor.tensor));
    }
    begin(root[static_cast<size_t>(graph.ops[i].out)]);
    for (const size_t ended : ends[i]) {
      const GraphTensor& e = graph.tensors[ended];
      if (plan.slot_of_tensor[ended] >= 0) free.push_back({plan.slot_of_tensor[ended], e.channels, e.steps});
    }
  }
  for (size_t i = 0; i < count; ++i) plan.slot_of_tensor[i] = plan.slot_of_tensor[root[i]];
  return plan;
}

}  // namespace convsmith::ir
