#include "ir/graph/fuse.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "convsmith/activation.hpp"
#include "ir/graph/graph_extents.hpp"
#include "ir/graph/graph_tidy.hpp"

namespace convsmith::ir {
namespace {

size_t index(int id) {
  return static_cast<size_t>(id);
}

bool is_linear(const Activation& activation) {
  return activation == Activation{};
}

// What is left of a copy: y = after(combine(activation(x), operand)).
struct Epilogue {
  Activation activation;
  Combine combine;
  Activation after;
};

// Whether the epilogue can follow what the problem does already.
bool can_take(const Problem& p, const Epilogue& e) {
  if (e.combine != Combine::kNone)
    return p.combine == Combine::kNone && (is_linear(p.activation) || is_linear(e.activation));
  if (is_linear(e.activation)) return true;
  return p.combine == Combine::kNone ? is_linear(p.activation) : is_linear(p.after);
}

void take(Problem& p, const Epilogue& e) {
  if (e.combine != Combine::kNone) {
    if (!is_linear(e.activation)) p.activation = e.activation;
    p.combine = e.combine;
    p.after = e.after;
  } else if (!is_linear(e.activation)) {
    (p.combine == Combine::kNone ? p.activation : p.after) = e.activation;
  }
}

// combine(y, operand) == exchanged(operand, y), bit for bit. Maximum and minimum are not: they tell zeros
// apart.
std::optional<Combine> exchanged(Combine combine) {
  switch (combine) {
    case Combine::kAdd:
    case Combine::kMultiply:
      return combine;
    case Combine::kSubtract:
      return Combine::kSubtractFrom;
    case Combine::kSubtractFrom:
      return Combine::kSubtract;
    default:
      return {};
  }
}

// One walk over the operations. A copy that fits into the operation before it disappears; that operation then
// stands in its place, where the operand is made already.
class Fuser {
 public:
  explicit Fuser(Graph graph) : g_(std::move(graph)), is_gone_(g_.ops.size(), false) {
    writers_.resize(g_.tensors.size());
    readers_.resize(g_.tensors.size());
    views_.resize(g_.tensors.size());
    slices_.resize(g_.tensors.size());
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      const Op& op = g_.ops[i];
      writers_[root(op.out)].push_back(static_cast<int>(i));
      readers_[root(op.in)].push_back(static_cast<int>(i));
      if (op.operand >= 0) readers_[root(op.operand)].push_back(static_cast<int>(i));
    }
    for (const int output : g_.outputs) readers_[root(output)].push_back(-1);
    for (size_t i = 0; i < g_.tensors.size(); ++i) {
      const GraphTensor& t = g_.tensors[i];
      if (t.base >= 0) (t.slice ? slices_ : views_)[index(t.base)].push_back(static_cast<int>(i));
    }
  }

  Graph run() {
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      if (is_elementwise(g_.ops[i])) fuse_copy(static_cast<int>(i));
    }
    size_t i = 0;
    std::erase_if(g_.ops, [&](const Op&) { return is_gone_[i++]; });
    return std::move(g_);
  }

 private:
  size_t root(int id) const { return index(root_of(g_, id)); }
  GraphTensor& tensor(int id) { return g_.tensors[index(id)]; }
  Op& op(int id) { return g_.ops[index(id)]; }
  bool is_same_memory(int a, int b) const {
    const GraphTensor& x = g_.tensors[index(a)];
    const GraphTensor& y = g_.tensors[index(b)];
    if (!is_same_form(x, y) || x.slice != y.slice) return false;
    return x.slice ? x.base == y.base && x.first_channel == y.first_channel : root(a) == root(b);
  }

  void fuse_copy(int copy) {
    if (into_writer(copy) || into_slice(copy) || into_parts(copy)) return;
    g_.decisions.push_back(fmt::format("{} is a pass of its own.", op(copy).name));
  }

  // The operation that alone writes the tensor, where `copy` alone reads it; -1: there is none.
  int sole_writer(int copy, int id) {
    const size_t memory = root(id);
    if (readers_[memory].size() != 1 || readers_[memory][0] != copy || writers_[memory].size() != 1)
      return -1;
    const int writer = writers_[memory][0];
    return op(writer).kind == OpKind::kNest && !tensor(id).slice && !tensor(op(writer).out).slice ? writer
                                                                                                  : -1;
  }

  // Turn this: t = conv(x); y = relu(t + z). Into this: y = relu(conv(x) + z).
  bool into_writer(int copy) {
    const Op& c = op(copy);
    const Epilogue epilogue{c.problem.activation, c.problem.combine, c.problem.after};
    int by_in = sole_writer(copy, c.in);
    if (by_in >= 0) {
      const bool is_same = is_same_memory(op(by_in).out, c.in);
      // Through a view, values do not know their place: an activation does not ask for it.
      const bool fits =
          is_same || (c.problem.combine == Combine::kNone && !tensor(c.out).slice && tensor(c.out).base < 0);
      if (!fits || !can_take(op(by_in).problem, epilogue)) by_in = -1;
    }
    int by_operand = -1;
    Epilogue turned = epilogue;
    if (const std::optional<Combine> combine = exchanged(epilogue.combine);
        combine && c.operand >= 0 && is_linear(epilogue.activation) &&
        is_same_form(tensor(c.operand), tensor(c.out))) {
      turned.combine = *combine;
      by_operand = sole_writer(copy, c.operand);
      if (by_operand >= 0 &&
          (!is_same_memory(op(by_operand).out, c.operand) || !can_take(op(by_operand).problem, turned)))
        by_operand = -1;
    }
    for (int* writer : {&by_in, &by_operand}) {
      if (*writer >= 0 && does_read(*writer, root(c.out))) *writer = -1;
    }
    if (by_in < 0 && by_operand < 0) return false;
    if (by_operand > by_in) {
      replace(copy, by_operand, turned, c.in);
    } else {
      replace(copy, by_in, epilogue, c.operand);
    }
    return true;
  }

  // An operation never reads the memory that it writes, not even other channels of it.
  bool does_read(int id, size_t memory) const {
    const Op& reader = g_.ops[index(id)];
    return root(reader.in) == memory || (reader.operand >= 0 && root(reader.operand) == memory);
  }

  // The writer takes over the epilogue and the place of the copy.
  void replace(int copy, int writer, const Epilogue& epilogue, int operand) {
    Op merged = op(writer);
    const Op& c = op(copy);
    g_.decisions.push_back(fmt::format("{} is done by {}.", c.name, merged.name));
    take(merged.problem, epilogue);
    if (c.problem.combine != Combine::kNone) {
      merged.operand = operand;
      merged.operand_array = c.operand_array;
      merged.problem.operand_has_steps = c.problem.operand_has_steps;
      merged.problem.operand_has_channels = c.problem.operand_has_channels;
    }
    if (is_same_form(tensor(merged.out), tensor(c.out))) {
      merged.out = c.out;
    } else {
      tensor(merged.out).base = c.out;
      views_[index(c.out)].push_back(merged.out);
    }
    merged.name += " + " + c.name;
    rename(merged.in, writer, copy);
    if (op(writer).operand >= 0) rename(op(writer).operand, writer, copy);
    is_gone_[index(writer)] = true;
    op(copy) = std::move(merged);
  }

  void rename(int id, int old_reader, int new_reader) {
    std::vector<int>& readers = readers_[root(id)];
    std::replace(readers.begin(), readers.end(), old_reader, new_reader);
  }

  bool is_used_by_rows(const std::vector<int>& ops) {
    return std::all_of(ops.begin(), ops.end(), [&](int id) {
      return id >= 0 && op(id).kind == OpKind::kNest && op(id).problem.layout == Layout::kChannelsLast;
    });
  }

  // Turn this: t = conv(x); part of c = t. Into this: t is part of c, for all who write and read it.
  bool into_slice(int copy) {
    const Op& c = op(copy);
    const GraphTensor slice = tensor(c.out);
    if (!slice.slice || c.problem.combine != Combine::kNone || !is_linear(c.problem.activation)) return false;
    const size_t from = root(c.in);
    const bool is_whole =
        is_same_form(g_.tensors[from], slice) && views_[from].empty() && index(c.in) == from;
    if (!is_whole || writers_[from].empty()) return false;
    if (!is_used_by_rows(writers_[from]) || !is_used_by_rows(readers_[from])) return false;
    const size_t whole = index(slice.base);
    for (const int writer : writers_[from]) {
      if (does_read(writer, whole)) return false;
    }
    // Readers that write there, too.
    for (const int reader : readers_[from]) {
      if (reader != copy && root(op(reader).out) == whole) return false;
    }
    g_.decisions.push_back(fmt::format("{} is done by {}.", c.name, op(writers_[from][0]).name));
    is_gone_[index(copy)] = true;
    move_into(static_cast<int>(from), slice.base, slice.first_channel);
    replace_user(writers_[whole], copy, writers_[from]);
    std::erase(readers_[from], copy);
    readers_[whole].insert(readers_[whole].end(), readers_[from].begin(), readers_[from].end());
    return true;
  }

  // A tensor that was memory of its own becomes channels of another, and its slices with it.
  void move_into(int from, int base, int64_t first_channel) {
    tensor(from).base = base;
    tensor(from).slice = true;
    tensor(from).first_channel = first_channel;
    slices_[index(base)].push_back(from);
    for (const int id : slices_[index(from)]) {
      tensor(id).base = base;
      tensor(id).first_channel += first_channel;
      slices_[index(base)].push_back(id);
    }
  }

  static void replace_user(std::vector<int>& users, int old_user, const std::vector<int>& new_users) {
    std::erase(users, old_user);
    users.insert(users.end(), new_users.begin(), new_users.end());
  }

  // Turn this: a, b are parts of c; y = relu(c). Into this: relu(a), relu(b) are parts of y.
  bool into_parts(int copy) {
    const Op& c = op(copy);
    const size_t from = root(c.in);
    if (c.problem.combine != Combine::kNone || index(c.in) != from || !views_[from].empty()) return false;
    if (readers_[from].size() != 1 || writers_[from].size() < 2) return false;
    const Epilogue epilogue{c.problem.activation, Combine::kNone, {}};
    for (const int writer : writers_[from]) {
      const bool fits = op(writer).kind == OpKind::kNest && tensor(op(writer).out).slice &&
                        !does_read(writer, root(c.out)) && can_take(op(writer).problem, epilogue);
      if (!fits) return false;
    }
    std::string names;
    for (const int writer : writers_[from]) {
      names += (names.empty() ? "" : ", ") + op(writer).name;
      take(op(writer).problem, epilogue);
      op(writer).name += " + " + c.name;
    }
    g_.decisions.push_back(fmt::format("{} is done by {}.", c.name, names));
    is_gone_[index(copy)] = true;
    const GraphTensor out = tensor(c.out);
    const size_t to = root(c.out);
    for (const int id : slices_[from]) {
      tensor(id).base = out.slice ? out.base : c.out;
      tensor(id).first_channel += out.slice ? out.first_channel : 0;
      slices_[to].push_back(id);
    }
    replace_user(writers_[to], copy, writers_[from]);
    return true;
  }

  Graph g_;
  std::vector<bool> is_gone_;
  std::vector<std::vector<int>> writers_;  // by root: operations
  std::vector<std::vector<int>> readers_;  // by root: operations, -1 for an output
  std::vector<std::vector<int>> views_;    // by tensor: views of it that are no slices
  std::vector<std::vector<int>> slices_;   // by tensor
};

bool is_dense(const Graph& graph, int id) {
  return !graph.tensors[index(id)].slice;
}

// Whether all values are treated alike, wherever they stand.
bool can_flatten(const Graph& graph, const Op& op) {
  const Problem& p = op.problem;
  if (!is_elementwise(op) || p.channels == 1) return false;
  if (!is_dense(graph, op.in) || !is_dense(graph, op.out)) return false;
  const bool is_single = !p.operand_has_steps && !p.operand_has_channels;
  if (op.operand_array >= 0) return is_single;
  if (op.operand < 0) return true;
  return p.operand_has_steps && p.operand_has_channels && is_dense(graph, op.operand);
}

}  // namespace

Graph fuse(Graph graph) {
  graph = order_ops(tidy(Fuser(tidy(std::move(graph))).run()));
  set_rows(graph);
  return graph;
}

Graph flatten_elementwise(Graph graph) {
  ExtentTable extents(graph.extents);
  const auto flat_view = [&](int id) {
    GraphTensor view = graph.tensors[index(id)];
    view.base = root_of(graph, id);
    view.steps = extents.scaled(view.steps, view.channels);
    view.channels = 1;
    view.layout = Layout::kChannelsLast;
    graph.tensors.push_back(std::move(view));
    return static_cast<int>(graph.tensors.size()) - 1;
  };
  for (Op& op : graph.ops) {
    if (!can_flatten(graph, op)) continue;
    op.in = flat_view(op.in);
    op.out = flat_view(op.out);
    if (op.operand >= 0) op.operand = flat_view(op.operand);
    op.problem.channels = op.problem.filters = op.problem.groups = 1;
    op.problem.layout = Layout::kChannelsLast;
  }
  set_rows(graph);
  return graph;
}

}  // namespace convsmith::ir
