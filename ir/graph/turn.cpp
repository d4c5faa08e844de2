#include "ir/graph/turn.hpp"

#include "ir/graph/graph_tidy.hpp"

namespace convsmith::ir {

namespace {

// Filters of a group that fill a vector on every target.
constexpr int64_t kFillingFilters = 16;
// Products for each float that is turned, from which on turning pays: measured on bench/shapes.csv. With
// a stride lanes over steps have to copy their input apart.
constexpr int64_t kPays = 90;
constexpr int64_t kPaysStrided = 50;
// Taps of a depthwise layer that pay for turning.
constexpr int64_t kLongWindow = 16;

size_t index(int id) {
  return static_cast<size_t>(id);
}

class Turner {
 public:
  explicit Turner(Graph graph)
      : g_(std::move(graph)), turned_(g_.tensors.size(), -1), same_(g_.tensors.size()) {
    for (size_t t = 0; t < same_.size(); ++t) same_[t] = static_cast<int>(t);
  }

  Graph run() {
    std::vector<Op> ops;
    ops.swap(g_.ops);
    for (Op& op : ops) {
      op.in = same_[index(op.in)];
      if (op.operand >= 0) op.operand = same_[index(op.operand)];
      if (turns(op)) {
        turn(std::move(op));
      } else {
        if (op.kind == OpKind::kTranspose) note_transpose(op);
        g_.ops.push_back(std::move(op));
      }
    }
    set_rows(g_);
    return tidy(std::move(g_));
  }

 private:
  bool turns(const Op& op) const {
    const Problem& p = op.problem;
    if (op.kind != OpKind::kNest || p.layout != Layout::kChannelsFirst) return false;
    // An array would have to be turned, too.
    if (op.operand_array >= 0 && p.operand_has_steps && p.operand_has_channels) return false;
    return p.has_weights() ? prefers_channels_last(p) : turned_[index(op.in)] >= 0;
  }

  // Who reads the result of a transpose may read the tensor that it came from in the first place.
  void note_transpose(const Op& op) {
    if (turned_[index(op.in)] >= 0) {
      same_[index(op.out)] = turned_[index(op.in)];
    } else {
      pair(op.in, op.out);
    }
  }

  void turn(Op op) {
    const int out = op.out;
    op.in = other_way(op.in, op.name);
    if (op.operand >= 0) op.operand = other_way(op.operand, op.name);
    op.out = add_turned(out);
    op.problem.layout = Layout::kChannelsLast;
    g_.ops.push_back(op);
    if (!is_view(op.out))
      g_.ops.push_back({.name = op.name, .kind = OpKind::kTranspose, .in = op.out, .out = out});
  }

  // The values of `tensor` channels last.
  int other_way(int tensor, const std::string& name) {
    if (turned_[index(tensor)] >= 0) return turned_[index(tensor)];
    const int made = add_turned(tensor);
    if (!is_view(made))
      g_.ops.push_back({.name = name, .kind = OpKind::kTranspose, .in = tensor, .out = made});
    return made;
  }

  // A tensor for the values of `tensor` channels last: of a single step or channel the same memory.
  int add_turned(int tensor) {
    GraphTensor made = g_.tensors[index(tensor)];
    const Extent& steps = g_.extents[index(made.steps)];
    const bool same_memory = made.channels == 1 || (steps.kind == Extent::Kind::kFixed && steps.value == 1);
    made.base = same_memory ? root_of(g_, tensor) : -1;
    made.layout = Layout::kChannelsLast;
    const int id = static_cast<int>(g_.tensors.size());
    g_.tensors.push_back(std::move(made));
    same_.push_back(id);
    pair(tensor, id);
    return id;
  }

  void pair(int a, int b) {
    turned_.resize(g_.tensors.size(), -1);
    turned_[index(a)] = b;
    turned_[index(b)] = a;
  }

  bool is_view(int tensor) const { return g_.tensors[index(tensor)].base >= 0; }

  Graph g_;
  std::vector<int> turned_;  // by tensor: one with the same values in the other layout
  std::vector<int> same_;    // by tensor: the one to read in its place
};

}  // namespace

bool prefers_channels_last(const Problem& p) {
  // Floats that are turned for one output step; of a single channel none is.
  const int64_t moved = (p.channels > 1 ? p.channels * p.stride : 0) + (p.filters > 1 ? p.filters : 0);
  if (p.transposed) return true;  // its phases want rows of filters
  if (p.is_channelwise() && p.groups > 1) return p.taps >= kLongWindow;
  // Nothing is to be turned, and lanes over steps would copy the input apart.
  if (p.stride > 1 && moved == 0) return true;
  if (p.group_filters() < kFillingFilters) return false;
  return p.taps * p.group_channels() * p.filters >= (p.stride > 1 ? kPaysStrided : kPays) * moved;
}

Graph turn(Graph graph) {
  return Turner(std::move(graph)).run();
}

}  // namespace convsmith::ir
