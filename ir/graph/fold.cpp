#include "ir/graph/fold.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"
#include "ir/graph/graph_tidy.hpp"

namespace convsmith::ir {
namespace {

size_t index(int id) {
  return static_cast<size_t>(id);
}

bool is_float(double value) {
  return std::isfinite(static_cast<float>(value));
}

class Folder {
 public:
  explicit Folder(Graph graph) : g_(std::move(graph)), is_gone_(g_.ops.size(), false) {
    writers_.resize(g_.tensors.size());
    readers_.resize(g_.tensors.size());
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      const Op& op = g_.ops[i];
      writers_[root(op.out)].push_back(static_cast<int>(i));
      readers_[root(op.in)].push_back(static_cast<int>(i));
      if (op.operand >= 0) readers_[root(op.operand)].push_back(static_cast<int>(i));
    }
    for (const int output : g_.outputs) readers_[root(output)].push_back(-1);
  }

  Graph run() {
    for (size_t i = 0; i < g_.ops.size(); ++i) {
      if (g_.ops[i].batch_norm >= 0) fold_one(static_cast<int>(i));
    }
    size_t i = 0;
    std::erase_if(g_.ops, [&](const Op&) { return is_gone_[i++]; });
    for (Op& op : g_.ops) op.batch_norm = -1;  // from here on, operations like others
    return tidy(std::move(g_));
  }

 private:
  // A contraction, and which channels of the batch normalization are its filters.
  struct Target {
    int op = -1;
    int64_t first = 0;
  };

  // New weights, and what was folded into them.
  struct Folded {
    int norm = -1;
    int64_t first = 0;
    bool is_behind = false;
    int kernel = -1;
    int bias = -1;
    bool is_same(const Folded& o) const {
      return norm == o.norm && first == o.first && is_behind == o.is_behind;
    }
  };

  // Two norms as one, for all calls of both layers.
  struct Joined {
    int norm = -1;
    int kernel = -1;
    int bias = -1;
  };

  size_t root(int id) const { return index(root_of(g_, id)); }
  Op& op(int id) { return g_.ops[index(id)]; }

  void fold_one(int norm) {
    std::vector<Target> targets;
    const std::string before = find_targets(norm, targets);
    const std::string name = op(norm).name;
    if (before.empty()) {
      std::string names;
      for (const Target& target : targets) names += (names.empty() ? "" : ", ") + op(target.op).name;
      for (const Target& target : targets) fold_before(target, op(norm));
      g_.decisions.push_back(fmt::format("{} is folded into {}.", name, names));
      remove_copy(norm);
      return;
    }
    int next = -1;
    const std::string behind = find_next(norm, next);
    if (behind.empty()) {
      g_.decisions.push_back(fmt::format("{} is folded into {}.", name, op(next).name));
      fold_behind(op(next), op(norm));
      op(next).name = name + " + " + op(next).name;
      op(next).in = op(norm).in;
      replace_reader(root(op(norm).in), norm, next);
      is_gone_[index(norm)] = true;
      return;
    }
    if (next >= 0 && op(next).batch_norm >= 0 && op(next).in == op(norm).out && may_join(norm, next)) {
      g_.decisions.push_back(fmt::format("{} is joined with {}.", name, op(next).name));
      join(norm, next);
      return;
    }
    g_.decisions.push_back(fmt::format("{} is a pass of its own: {}, and {}.", name, before, behind));
  }

  // Whether one norm in float32 can be both.
  bool may_join(int norm, int next) const {
    const BatchNorm& first = g_.batch_norms[index(g_.ops[index(norm)].batch_norm)];
    const BatchNorm& second = g_.batch_norms[index(g_.ops[index(next)].batch_norm)];
    for (size_t c = 0; c < first.scale.size(); ++c) {
      const double scale = first.scale[c] * second.scale[c];
      const double shift = first.offset(c) * second.scale[c] + second.offset(c);
      const bool vanishes = std::abs(scale) < FLT_MIN && first.scale[c] != 0 && second.scale[c] != 0;
      if (vanishes || !is_float(scale) || !is_float(shift)) return false;
    }
    return true;
  }

  // Turn this: z = (y - mean2) * k2 + shift2 of y = (x - mean1) * k1 + shift1. Into this: one norm of x.
  void join(int norm, int next) {
    Op& target = op(next);
    const auto [place, is_new] = joined_.try_emplace({op(norm).batch_norm, target.batch_norm});
    Joined& made = place->second;
    if (is_new) {
      BatchNorm sum = g_.batch_norms[index(op(norm).batch_norm)];
      const BatchNorm& second = g_.batch_norms[index(target.batch_norm)];
      std::vector<float> scale, shift;
      for (size_t c = 0; c < sum.scale.size(); ++c) {
        sum.scale[c] *= second.scale[c];
        sum.shift[c] = (sum.shift[c] - second.mean[c]) * second.scale[c] + second.shift[c];
        scale.push_back(static_cast<float>(sum.scale[c]));
        shift.push_back(static_cast<float>(sum.offset(c)));
      }
      const auto channels = static_cast<int64_t>(scale.size());
      made.kernel = add_array(target.name + " joined", {1, 1, channels}, std::move(scale));
      made.bias = add_array(target.name + " joined shift", {channels}, std::move(shift));
      g_.batch_norms.push_back(std::move(sum));
      made.norm = static_cast<int>(g_.batch_norms.size()) - 1;
    }
    target.kernel = made.kernel;
    target.bias = made.bias;
    target.batch_norm = made.norm;
    target.name = op(norm).name + " + " + target.name;
    target.in = op(norm).in;
    replace_reader(root(target.in), norm, next);
    is_gone_[index(norm)] = true;
  }

  // The norm's work is done: its readers read what it read.
  void remove_copy(int norm) {
    const int from = op(norm).in;
    const int to = op(norm).out;
    is_gone_[index(norm)] = true;
    const std::vector<int> writers = writers_[root(from)];
    // Those who wrote `from`, or slices of it, write `to`.
    for (const int writer : writers) {
      GraphTensor& out = g_.tensors[index(op(writer).out)];
      if (out.slice) {
        out.base = to;
      } else {
        op(writer).out = to;
      }
    }
    writers_[index(to)] = writers;
  }

  void replace_reader(size_t tensor, int old_op, int new_op) {
    for (int& reader : readers_[tensor]) {
      if (reader == old_op) reader = new_op;
    }
  }

  // Why the contraction cannot take the norm; empty: it can.
  std::string why_not(const Target& where, int norm) {
    const Op& target = op(where.op);
    const Problem& p = target.problem;
    if (target.kind != OpKind::kNest || p.reduce != Reduce::kMultiplyAdd)
      return fmt::format("{} before it has no weights", target.name);
    if (p.activation != Activation{} || p.combine != Combine::kNone)
      return fmt::format("{} before it has an activation", target.name);
    if (!is_new_kernel_allowed(target, {op(norm).batch_norm, where.first, false}))
      return fmt::format("{} before it has weights that others share", target.name);
    if (leaves_range(before(where, op(norm)), target.kernel, op(norm).batch_norm))
      return fmt::format("{} before it would have weights beyond the range of float32", target.name);
    return {};
  }

  std::string find_targets(int norm, std::vector<Target>& targets) {
    const Op& bn = op(norm);
    const size_t from = root(bn.in);
    if (readers_[from].size() > 1) return "its input has other readers";
    if (writers_[from].empty()) return "its input is the model's";
    std::set<int> kernels;
    const bool has_parts = writers_[from].size() > 1;
    for (const int writer : writers_[from]) {
      int made_by = writer;
      Target target{writer, 0};
      if (g_.tensors[index(op(writer).out)].slice) {
        target.first = g_.tensors[index(op(writer).out)].first_channel;
        // A part of a Concatenate: a copy of what the contraction made.
        if (is_elementwise(op(writer))) {
          const size_t part = root(op(writer).in);
          const Op& copy = op(writer);
          if (copy.problem.activation != Activation{} || copy.problem.combine != Combine::kNone ||
              readers_[part].size() > 1 || writers_[part].size() != 1 ||
              !is_same_form(g_.tensors[index(copy.in)], g_.tensors[index(op(writers_[part][0]).out)]))
            return fmt::format("a part of {} is no convolution of its own", copy.name);
          made_by = writers_[part][0];
        }
        if (!is_same_form(g_.tensors[index(bn.in)], g_.tensors[from]))
          return "it has another axis than the channels before it";
      } else if (has_parts || !is_same_form(g_.tensors[index(bn.in)], g_.tensors[index(op(writer).out)])) {
        return "it has another axis than the channels before it";
      }
      target.op = made_by;
      if (std::string why = why_not(target, norm); !why.empty()) return why;
      if (!kernels.insert(op(made_by).kernel).second) return "its parts share their weights";
      targets.push_back(target);
    }
    return {};
  }

  std::string find_next(int norm, int& next) {
    const Op& bn = op(norm);
    const size_t out = root(bn.out);
    if (readers_[out].size() != 1 || readers_[out][0] < 0) return "no single layer behind it reads it";
    next = readers_[out][0];
    const Op& target = op(next);
    const Problem& p = target.problem;
    if (target.kind != OpKind::kNest || p.reduce != Reduce::kMultiplyAdd || target.in != bn.out ||
        target.batch_norm >= 0)
      return fmt::format("{} behind it has no weights to take it", target.name);
    if (p.transposed) return fmt::format("{} behind it is transposed", target.name);
    const bool pads = p.pad_same ? p.taps > 1 : p.pad_left != 0 || p.pad_right != 0;
    if (pads && has_shift(g_.batch_norms[index(bn.batch_norm)]))
      return fmt::format("{} behind it pads its input", target.name);
    if (!is_new_kernel_allowed(target, {bn.batch_norm, 0, true}))
      return fmt::format("{} behind it has weights that others share", target.name);
    if (leaves_range(behind(target, bn), target.kernel, bn.batch_norm))
      return fmt::format("{} behind it would have weights beyond the range of float32", target.name);
    return {};
  }

  // Zeros of the padding stay zeros under a scale alone.
  static bool has_shift(const BatchNorm& norm) {
    for (size_t c = 0; c < norm.scale.size(); ++c) {
      if (norm.offset(c) != 0) return true;
    }
    return false;
  }

  // Weights that several calls share are folded once, into new ones that all calls of both layers share, and
  // weights take at most two batch normalizations: so a graph has at most three times the weights of its
  // model.
  bool is_new_kernel_allowed(const Op& target, const Folded& wanted) const {
    const auto known = folded_.find(target.kernel);
    if (known != folded_.end()) return known->second.is_same(wanted);
    const auto generation = generations_.find(target.kernel);
    return generation == generations_.end() || generation->second < 2;
  }

  int add_array(const std::string& name, std::vector<int64_t> shape, std::vector<float> data) {
    g_.arrays.push_back({name, std::move(shape), std::move(data)});
    return static_cast<int>(g_.arrays.size()) - 1;
  }

  void use(Op& target, const Folded& made) {
    target.kernel = made.kernel;
    target.bias = made.bias;
    target.problem.has_bias = true;
  }

  struct Weights {
    std::vector<float> kernel;
    std::vector<float> bias;
  };

  // Whether a weight would be no number, or all of them would vanish.
  bool leaves_range(const Weights& folded, int kernel, int norm) const {
    const auto is_finite = [](float value) { return std::isfinite(value); };
    const auto is_normal = [](float value) { return std::isnormal(value); };
    const auto is_there = [](double value) { return value != 0; };
    return !std::ranges::all_of(folded.kernel, is_finite) || !std::ranges::all_of(folded.bias, is_finite) ||
           (std::ranges::none_of(folded.kernel, is_normal) &&
            std::ranges::any_of(g_.arrays[index(kernel)].data, is_normal) &&
            std::ranges::any_of(g_.batch_norms[index(norm)].scale, is_there));
  }

  // Turn this: y = (W x + b - mean) * k + shift. Into this: y = (W k) x + ((b - mean) * k + shift).
  Weights before(const Target& where, const Op& norm_op) const {
    const Op& target = g_.ops[index(where.op)];
    const BatchNorm& norm = g_.batch_norms[index(norm_op.batch_norm)];
    const Problem& p = target.problem;
    const Array& kernel = g_.arrays[index(target.kernel)];
    Weights folded{std::vector<float>(kernel.data.size()),
                   std::vector<float>(static_cast<size_t>(p.filters))};
    const auto inner = static_cast<size_t>(p.transposed ? p.group_channels() : 1);
    const auto first = static_cast<size_t>(where.first);
    for (size_t i = 0; i < kernel.data.size(); ++i) {
      const size_t f = i / inner % static_cast<size_t>(p.filters);
      folded.kernel[i] = static_cast<float>(static_cast<double>(kernel.data[i]) * norm.scale[first + f]);
    }
    for (size_t f = 0; f < folded.bias.size(); ++f) {
      const double b = p.has_bias ? static_cast<double>(g_.arrays[index(target.bias)].data[f]) : 0.0;
      folded.bias[f] =
          static_cast<float>((b - norm.mean[first + f]) * norm.scale[first + f] + norm.shift[first + f]);
    }
    return folded;
  }

  void fold_before(const Target& where, const Op& norm_op) {
    Op& target = op(where.op);
    target.name += " + " + norm_op.name;
    const Folded made{norm_op.batch_norm, where.first, false};
    if (const Folded* known = find_folded(target, made)) return use(target, *known);
    finish(target, made, before(where, norm_op));
  }

  // Turn this: y = W ((x - mean) * k + shift) + b. Into this: y = (W k) x + (b + W (shift - mean * k)).
  Weights behind(const Op& target, const Op& norm_op) const {
    const BatchNorm& norm = g_.batch_norms[index(norm_op.batch_norm)];
    const Problem& p = target.problem;
    const Array& kernel = g_.arrays[index(target.kernel)];
    std::vector<float> weights(kernel.data.size());
    std::vector<double> sums(static_cast<size_t>(p.filters), 0.0);
    if (p.has_bias) {
      const std::vector<float>& bias = g_.arrays[index(target.bias)].data;
      sums.assign(bias.begin(), bias.end());
    }
    for (size_t i = 0; i < weights.size(); ++i) {
      const auto row = static_cast<int64_t>(i);
      const int64_t f = row % p.filters;
      const int64_t c = f / p.group_filters() * p.group_channels() + row / p.filters % p.group_channels();
      const auto w = static_cast<double>(kernel.data[i]);
      const size_t at = static_cast<size_t>(c);
      weights[i] = static_cast<float>(w * norm.scale[at]);
      sums[static_cast<size_t>(f)] += w * norm.offset(at);
    }
    return {std::move(weights), {sums.begin(), sums.end()}};
  }

  void fold_behind(Op& target, const Op& norm_op) {
    const Folded made{norm_op.batch_norm, 0, true};
    if (const Folded* known = find_folded(target, made)) return use(target, *known);
    finish(target, made, behind(target, norm_op));
  }

  const Folded* find_folded(const Op& target, const Folded& wanted) const {
    const auto known = folded_.find(target.kernel);
    return known != folded_.end() && known->second.is_same(wanted) ? &known->second : nullptr;
  }

  void finish(Op& target, Folded made, Weights folded) {
    const std::string name = g_.arrays[index(target.kernel)].name;
    const std::vector<int64_t> shape = g_.arrays[index(target.kernel)].shape;
    made.kernel = add_array(name + " folded", shape, std::move(folded.kernel));
    made.bias = add_array(name + " folded bias", {target.problem.filters}, std::move(folded.bias));
    folded_.emplace(target.kernel, made);
    generations_[made.kernel] = generations_[target.kernel] + 1;
    use(target, made);
  }

  Graph g_;
  std::vector<bool> is_gone_;
  std::vector<std::vector<int>> writers_;  // by root: operations
  std::vector<std::vector<int>> readers_;  // by root: operations, -1 for an output
  std::map<std::pair<int, int>, Joined> joined_;
  std::map<int, Folded> folded_;    // by the kernel as it was
  std::map<int, int> generations_;  // by kernel: how many batch normalizations it has taken
};

}  // namespace

Graph fold(Graph graph) {
  graph = Folder(tidy(std::move(graph))).run();
  set_rows(graph);
  return graph;
}

}  // namespace convsmith::ir
