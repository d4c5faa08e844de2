#include "ir/graph/graph.hpp"
#include "convsmith/activation.hpp"

namespace convsmith::ir {
namespace {

const GraphTensor& at(const Graph& graph, int tensor) {
  return graph.tensors[static_cast<size_t>(tensor)];
}

}  // namespace

int passes_over_memory(const Graph& graph) {
  return static_cast<int>(graph.ops.size());
}

int root_of(const Graph& graph, int tensor) {
  while (at(graph, tensor).base >= 0) tensor = at(graph, tensor).base;
  return tensor;
}

bool is_same_form(const GraphTensor& a, const GraphTensor& b) {
  return a.steps == b.steps && a.channels == b.channels && a.layout == b.layout;
}

int64_t row_of(const Graph& graph, int tensor) {
  const GraphTensor& t = at(graph, tensor);
  return t.slice ? at(graph, t.base).channels : 0;
}

void set_rows(Graph& graph) {
  for (Op& op : graph.ops) {
    if (op.kind != OpKind::kNest) continue;
    op.problem.in_row = row_of(graph, op.in);
    op.problem.out_row = row_of(graph, op.out);
    op.problem.operand_row = op.operand < 0 ? 0 : row_of(graph, op.operand);
  }
}

bool is_elementwise(const Op& op) {
  const Problem& p = op.problem;
  return op.kind == OpKind::kNest && p.reduce == Reduce::kCopy && !p.transposed && p.taps == 1 &&
         p.stride == 1 && !p.pad_same && p.pad_left == 0 && p.pad_right == 0;
}

}  // namespace convsmith::ir
