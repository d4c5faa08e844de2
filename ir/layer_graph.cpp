#include "ir/layer_graph.hpp"

namespace convsmith::ir {

namespace {

class Builder {
 public:
  Builder() {
    graph_.extents.push_back({.kind = Extent::Kind::kInput, .value = 0});
    graph_.pinned_steps.resize(1);
  }

  int tensor(int steps, int64_t channels, Layout layout) {
    graph_.tensors.push_back({.name = "", .steps = steps, .channels = channels, .layout = layout});
    return static_cast<int>(graph_.tensors.size()) - 1;
  }

  int slice(int base, int64_t first, int64_t channels) {
    const int view = tensor(at(base).steps, channels, at(base).layout);
    graph_.tensors.back().base = base;
    graph_.tensors.back().slice = true;
    graph_.tensors.back().first_channel = first;
    return view;
  }

  const GraphTensor& at(int tensor) const { return graph_.tensors[static_cast<size_t>(tensor)]; }

  int array(const char* name, std::vector<int64_t> shape) {
    graph_.arrays.push_back({name, std::move(shape), {}});
    return static_cast<int>(graph_.arrays.size()) - 1;
  }

  int nest(int in, const Problem& p, int kernel = -1, int bias = -1, int operand = -1) {
    int steps = at(in).steps;
    const bool keeps_steps = p.reduce == Reduce::kCopy;
    if (!keeps_steps) {
      graph_.extents.push_back({.kind = Extent::Kind::kWindow, .from = steps, .window = p});
      steps = static_cast<int>(graph_.extents.size()) - 1;
    }
    const int out = tensor(steps, p.filters, p.layout);
    graph_.ops.push_back(
        {.problem = p, .in = in, .out = out, .operand = operand, .kernel = kernel, .bias = bias});
    return out;
  }

  int transposed(int in) {
    const Layout other =
        at(in).layout == Layout::kChannelsLast ? Layout::kChannelsFirst : Layout::kChannelsLast;
    return unary(OpKind::kTranspose, in, other);
  }

  int unary(OpKind kind, int in, Layout layout) {
    const int out = tensor(at(in).steps, at(in).channels, layout);
    graph_.ops.push_back({.kind = kind, .in = in, .out = out});
    return out;
  }

  // One problem with its weights. Phases of a transposed problem want channels last.
  int problem(int in, Problem p) {
    const int64_t a = p.transposed ? p.filters : p.group_channels();
    const int64_t b = p.transposed ? p.channels : p.filters;
    const int kernel = array("kernel", {p.taps, a, b});
    const int bias = p.has_bias ? array("bias", {p.filters}) : -1;
    const bool turns = p.transposed && p.layout == Layout::kChannelsFirst;
    if (!turns) return nest(in, p, kernel, bias);
    p.layout = Layout::kChannelsLast;
    return transposed(nest(transposed(in), p, kernel, bias));
  }

  // a * sigmoid(b) of the two halves of the channels.
  int glu(int in) {
    const int64_t half = at(in).channels / 2;
    Problem gate{.channels = half,
                 .filters = half,
                 .groups = half,
                 .reduce = Reduce::kCopy,
                 .has_bias = false,
                 .activation = {ActivationKind::kSigmoid, {}},
                 .in_row = at(in).channels};
    const int gates = nest(slice(in, half, half), gate);
    gate.activation = {};
    gate.combine = Combine::kMultiply;
    return nest(slice(in, 0, half), gate, -1, -1, gates);
  }

  Graph take(int in, int out) {
    graph_.inputs = {in};
    graph_.outputs = {out};
    return std::move(graph_);
  }

 private:
  Graph graph_;
};

OpKind row_kind(ActivationKind kind) {
  switch (kind) {
    case ActivationKind::kSoftmax:
      return OpKind::kSoftmax;
    case ActivationKind::kLogSoftmax:
      return OpKind::kLogSoftmax;
    default:
      return OpKind::kSparsemax;
  }
}

}  // namespace

Result<Graph> layer_graph(const LayerProblem& layer) {
  Builder b;
  const Problem& first = layer.chain.front();
  const int in = b.tensor(0, first.channels, first.layout);
  int out = in;
  for (const Problem& p : layer.chain) out = b.problem(out, p);
  if (layer.row && layer.row->kind != ActivationKind::kGlu) {
    out = b.unary(row_kind(layer.row->kind), out, b.at(out).layout);
  } else if (layer.row) {
    if (first.layout == Layout::kChannelsFirst) {
      return make_error(
          ErrorCode::kUnsupported,
          "`activation` 'glu' is not supported with data_format='channels_first', where it would "
          "halve the steps.");
    }
    out = b.glu(out);
  }
  return b.take(in, out);
}

}  // namespace convsmith::ir
