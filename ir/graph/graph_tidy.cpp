#include "ir/graph/graph_tidy.hpp"

#include <algorithm>
#include <set>

namespace convsmith::ir {
namespace {

constexpr int64_t kTypicalSteps = 1 << 14;
constexpr size_t kCandidates = 64;  // ready operations looked at, so that wide graphs stay linear

size_t index(int id) {
  return static_cast<size_t>(id);
}

void remove_dead_ops(Graph& graph) {
  std::vector<bool> is_needed(graph.tensors.size(), false);
  for (const int output : graph.outputs) is_needed[index(root_of(graph, output))] = true;
  std::vector<bool> is_dead(graph.ops.size(), false);
  for (size_t i = graph.ops.size(); i-- > 0;) {
    const Op& op = graph.ops[i];
    is_dead[i] = !is_needed[index(root_of(graph, op.out))];
    if (is_dead[i]) continue;
    is_needed[index(root_of(graph, op.in))] = true;
    if (op.operand >= 0) is_needed[index(root_of(graph, op.operand))] = true;
  }
  size_t i = 0;
  std::erase_if(graph.ops, [&](const Op&) { return is_dead[i++]; });
}

// Numbers what is used anew; -1 for the rest.
std::vector<int> number_used(const std::vector<bool>& used) {
  std::vector<int> numbers;
  int next = 0;
  for (const bool is_used : used) numbers.push_back(is_used ? next++ : -1);
  return numbers;
}

template <class T>
void keep_used(std::vector<T>& values, const std::vector<bool>& used) {
  size_t i = 0;
  std::erase_if(values, [&](const T&) { return !used[i++]; });
}

void remove_unused_tensors(Graph& graph) {
  std::vector<bool> used(graph.tensors.size(), false);
  const auto use = [&](int id) {
    for (; id >= 0 && !used[index(id)]; id = graph.tensors[index(id)].base) used[index(id)] = true;
  };
  for (const int id : graph.inputs) use(id);
  for (const int id : graph.outputs) use(id);
  for (const Op& op : graph.ops) {
    use(op.in);
    use(op.out);
    use(op.operand);
  }
  const std::vector<int> numbers = number_used(used);
  keep_used(graph.tensors, used);
  const auto renumber = [&](int& id) {
    if (id >= 0) id = numbers[index(id)];
  };
  for (int& id : graph.inputs) renumber(id);
  for (int& id : graph.outputs) renumber(id);
  for (GraphTensor& t : graph.tensors) renumber(t.base);
  for (Op& op : graph.ops) {
    renumber(op.in);
    renumber(op.out);
    renumber(op.operand);
  }
}

void remove_unused_arrays(Graph& graph) {
  std::vector<bool> used(graph.arrays.size(), false);
  std::vector<bool> used_norms(graph.batch_norms.size(), false);
  for (const Op& op : graph.ops) {
    for (const int id : {op.kernel, op.bias, op.operand_array}) {
      if (id >= 0) used[index(id)] = true;
    }
    if (op.batch_norm >= 0) used_norms[index(op.batch_norm)] = true;
  }
  const std::vector<int> numbers = number_used(used);
  const std::vector<int> norm_numbers = number_used(used_norms);
  keep_used(graph.arrays, used);
  keep_used(graph.batch_norms, used_norms);
  for (Op& op : graph.ops) {
    for (int* id : {&op.kernel, &op.bias, &op.operand_array}) {
      if (*id >= 0) *id = numbers[index(*id)];
    }
    if (op.batch_norm >= 0) op.batch_norm = norm_numbers[index(op.batch_norm)];
  }
}

// Chooses operations one by one.
class Scheduler {
 public:
  explicit Scheduler(const Graph& graph)
      : g_(graph),
        steps_(evaluate_extents(graph, std::vector<int64_t>(graph.inputs.size(), kTypicalSteps))),
        is_alive_(graph.tensors.size(), false),
        waiting_(graph.ops.size(), 0),
        reads_left_(graph.tensors.size(), 0) {
    std::vector<std::vector<int>> writers(graph.tensors.size());
    for (size_t i = 0; i < graph.ops.size(); ++i)
      writers[root(graph.ops[i].out)].push_back(static_cast<int>(i));
    for (size_t i = 0; i < graph.ops.size(); ++i) {
      for (const int id : {graph.ops[i].in, graph.ops[i].operand}) {
        if (id < 0) continue;
        ++reads_left_[root(id)];
        // Only those whose part of the memory is read; of a slice that is one writer.
        for (const int writer : writers[root(id)]) {
          if (!does_meet(graph.ops[index(writer)].out, id)) continue;
          successors_.resize(graph.ops.size());
          successors_[index(writer)].push_back(static_cast<int>(i));
          ++waiting_[i];
        }
      }
      if (waiting_[i] == 0) ready_.insert(static_cast<int>(i));
    }
    for (const int id : graph.outputs) ++reads_left_[root(id)];  // never freed
    successors_.resize(graph.ops.size());
  }

  std::vector<int> run() {
    std::vector<int> order;
    while (!ready_.empty()) {
      int best = -1;
      int64_t best_growth = 0;
      size_t seen = 0;
      for (const int op : ready_) {
        if (seen++ == kCandidates) break;
        const int64_t change = growth(g_.ops[index(op)]);
        if (best < 0 || change < best_growth) {
          best = op;
          best_growth = change;
        }
      }
      ready_.erase(best);
      order.push_back(best);
      finish(g_.ops[index(best)]);
      for (const int next : successors_[index(best)]) {
        if (--waiting_[index(next)] == 0) ready_.insert(next);
      }
    }
    return order;
  }

 private:
  size_t root(int id) const { return index(root_of(g_, id)); }

  bool does_meet(int a, int b) const {
    const GraphTensor& x = g_.tensors[index(a)];
    const GraphTensor& y = g_.tensors[index(b)];
    if (!x.slice || !y.slice || x.base != y.base) return true;
    return x.first_channel < y.first_channel + y.channels && y.first_channel < x.first_channel + x.channels;
  }

  int64_t size(size_t tensor) const {
    const GraphTensor& t = g_.tensors[tensor];
    return std::min(steps_[index(t.steps)], int64_t{1} << 30) * std::min(t.channels, int64_t{1} << 30);
  }

  // By how much memory in use grows: what begins to live, without what ends.
  int64_t growth(const Op& op) const {
    const size_t out = root(op.out);
    int64_t change = is_alive_[out] ? 0 : size(out);
    const size_t in = root(op.in);
    const size_t operand = op.operand < 0 ? in : root(op.operand);
    const int reads_of_in = operand == in && op.operand >= 0 ? 2 : 1;
    if (reads_left_[in] == reads_of_in) change -= size(in);
    if (operand != in && reads_left_[operand] == 1) change -= size(operand);
    return change;
  }

  void finish(const Op& op) {
    is_alive_[root(op.out)] = true;
    --reads_left_[root(op.in)];
    if (op.operand >= 0) --reads_left_[root(op.operand)];
  }

  const Graph& g_;
  std::vector<int64_t> steps_;
  std::vector<bool> is_alive_;
  std::vector<int> waiting_;
  std::vector<int> reads_left_;  // by root
  std::vector<std::vector<int>> successors_;
  std::set<int> ready_;
};

}  // namespace

Graph tidy(Graph graph) {
  remove_dead_ops(graph);
  remove_unused_tensors(graph);
  remove_unused_arrays(graph);
  return graph;
}

Graph order_ops(Graph graph) {
  std::vector<Op> ops;
  ops.reserve(graph.ops.size());
  for (const int op : Scheduler(graph).run()) ops.push_back(graph.ops[static_cast<size_t>(op)]);
  graph.ops = std::move(ops);
  return graph;
}

}  // namespace convsmith::ir
