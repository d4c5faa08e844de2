#include "ir/graph/graph_interp.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "frontend/base/check.hpp"
#include "ir/nest/nest_interp.hpp"

namespace convsmith::ir {
namespace {

// One sample of a tensor as (steps, channels), whatever its memory looks like.
struct TensorAccess {
  float* data;  // of the sample's root
  int64_t steps;
  int64_t step_stride;
  int64_t channel_stride;
  float& at(int64_t step, int64_t channel) const {
    return data[step * step_stride + channel * channel_stride];
  }
};

float nan() {
  return std::numeric_limits<float>::quiet_NaN();
}

class GraphInterpreter {
 public:
  GraphInterpreter(const Graph& graph, std::span<const int64_t> input_steps,
                   const ScalarActivation& activation)
      : g_(graph),
        steps_(evaluate_extents(graph, input_steps)),
        act_(activation),
        memory_(graph.tensors.size()) {}

  std::vector<float>& memory(int id) { return memory_[static_cast<size_t>(root_of(g_, id))]; }
  size_t size_of(int id) const {
    const GraphTensor& t = tensor(id);
    return static_cast<size_t>(steps_[static_cast<size_t>(t.steps)] * t.channels);
  }

  // One operation on one sample, which does not look at others.
  void run(const Op& op) {
    if (memory(op.out).empty()) memory(op.out).assign(size_of(root_of(g_, op.out)), nan());
    if (op.kind == OpKind::kNest) {
      run_problem(op);
    } else if (op.kind == OpKind::kTranspose) {
      const TensorAccess in = access(op.in);
      const TensorAccess out = access(op.out);
      for (int64_t s = 0; s < in.steps; ++s) {
        for (int64_t c = 0; c < tensor(op.in).channels; ++c) out.at(s, c) = in.at(s, c);
      }
    } else {
      run_rows(op);
    }
  }

 private:
  const GraphTensor& tensor(int id) const { return g_.tensors[static_cast<size_t>(id)]; }
  const std::vector<float>& array(int id) const { return g_.arrays[static_cast<size_t>(id)].data; }

  TensorAccess access(int id) {
    const GraphTensor& t = tensor(id);
    const int64_t steps = steps_[static_cast<size_t>(t.steps)];
    float* data = memory(id).data();
    if (t.slice) return {data + t.first_channel, steps, tensor(t.base).channels, 1};
    if (t.layout == Layout::kChannelsLast) return {data, steps, t.channels, 1};
    return {data, steps, 1, steps};
  }

  // What `reduce` makes of the positions of one output.
  float reduce(const Op& op, const TensorAccess& in, int64_t pad, int64_t o, int64_t f) const {
    const Problem& p = op.problem;
    const int64_t group = f / p.group_filters();
    const bool adds = p.reduce == Reduce::kMultiplyAdd;
    float acc = p.reduce == Reduce::kMax ? -std::numeric_limits<float>::infinity() : 0.0F;
    if (p.starts_from_bias) acc = array(op.bias)[static_cast<size_t>(f)];
    int64_t count = 0;
    // Of all taps those that can lie inside, by ascending position.
    const int64_t taps = p.taps == kAllSteps ? std::min(p.taps, in.steps) : p.taps;
    for (int64_t k = 0; k < taps; ++k) {
      const int64_t t = p.transposed ? p.taps - 1 - k : k;
      int64_t position = o * p.stride + t * p.dilation - pad;
      if (p.transposed) {
        position = o + pad - t * p.dilation;
        if (position % p.stride != 0) continue;
        position /= p.stride;
      }
      if (position < 0 || position >= in.steps) continue;
      ++count;
      for (int64_t c = 0; c < p.group_channels(); ++c) {
        const float x = in.at(position, group * p.group_channels() + c);
        if (adds) {
          const int64_t index = p.transposed ? (t * p.filters + f) * p.group_channels() + c
                                             : (t * p.group_channels() + c) * p.filters + f;
          acc = std::fma(x, array(op.kernel)[static_cast<size_t>(index)], acc);
        } else if (p.reduce == Reduce::kMax) {
          acc = std::isnan(x) || std::isnan(acc) ? nan() : x > acc ? x : acc;
        } else {
          acc = p.reduce == Reduce::kMean ? acc + x : x;
        }
      }
    }
    return p.reduce == Reduce::kMean ? acc / static_cast<float>(count) : acc;
  }

  float operand(const Op& op, int64_t out_steps, int64_t o, int64_t f) {
    const Problem& p = op.problem;
    const int64_t s = p.operand_has_steps ? o : 0;
    const int64_t c = p.operand_has_channels ? f : 0;
    if (op.operand >= 0) return access(op.operand).at(s, c);
    const int64_t steps = p.operand_has_steps ? out_steps : 1;
    const int64_t channels = p.operand_has_channels ? p.filters : 1;
    const int64_t index = p.layout == Layout::kChannelsLast ? s * channels + c : c * steps + s;
    return array(op.operand_array)[static_cast<size_t>(index)];
  }

  void run_problem(const Op& op) {
    const Problem& p = op.problem;
    const TensorAccess in = access(op.in);
    const TensorAccess out = access(op.out);
    const int64_t pad = p.left_padding(in.steps);
    for (int64_t o = 0; o < out.steps; ++o) {
      for (int64_t f = 0; f < p.filters; ++f) {
        float y = reduce(op, in, pad, o, f);
        if (p.has_bias && !p.starts_from_bias) y += array(op.bias)[static_cast<size_t>(f)];
        y = act_(p.activation, y);
        if (p.combine != Combine::kNone)
          y = act_(p.after, combine(p.combine, y, operand(op, out.steps, o, f)));
        out.at(o, f) = y;
      }
    }
  }

  void run_rows(const Op& op) {
    const TensorAccess in = access(op.in);
    const TensorAccess out = access(op.out);
    const bool last = tensor(op.in).layout == Layout::kChannelsLast;
    const int64_t rows = last ? in.steps : tensor(op.in).channels;
    const int64_t width = last ? tensor(op.in).channels : in.steps;
    for (int64_t r = 0; r < rows; ++r) {
      std::vector<float> row;
      for (int64_t i = 0; i < width; ++i) row.push_back(last ? in.at(r, i) : in.at(i, r));
      make_row(op.kind, row);
      for (int64_t i = 0; i < width; ++i) (last ? out.at(r, i) : out.at(i, r)) = row[static_cast<size_t>(i)];
    }
  }

  static void make_row(OpKind kind, std::vector<float>& row) {
    if (row.empty()) return;
    if (kind == OpKind::kSparsemax) return make_sparsemax(row);
    const float largest = *std::max_element(row.begin(), row.end());
    float sum = 0.0F;
    for (const float x : row) sum += std::exp(x - largest);
    for (float& x : row)
      x = kind == OpKind::kSoftmax ? std::exp(x - largest) / sum : x - largest - std::log(sum);
  }

  // Keras's own formula: the threshold takes the sum of the running sums.
  static void make_sparsemax(std::vector<float>& row) {
    std::vector<float> sorted = row;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    float running = 0.0F;
    float support = 0.0F;
    float sum = 0.0F;
    for (size_t j = 0; j < sorted.size(); ++j) {
      running += sorted[j];
      if (sorted[j] - (running - 1.0F) / static_cast<float>(j + 1) <= 0.0F) continue;
      support += 1.0F;
      sum += running;
    }
    const float tau = (sum - 1.0F) / support;
    for (float& x : row) x = std::max(x - tau, 0.0F);
  }

  const Graph& g_;
  std::vector<int64_t> steps_;
  const ScalarActivation& act_;
  std::vector<std::vector<float>> memory_;  // by root
};

// The samples of `in` one behind the other, again and again until those of `out` are full.
void repeat(const Op& op, std::vector<GraphInterpreter>& samples) {
  std::vector<float> all;
  for (GraphInterpreter& sample : samples)
    all.insert(all.end(), sample.memory(op.in).begin(), sample.memory(op.in).end());
  size_t next = 0;
  for (GraphInterpreter& sample : samples) {
    sample.memory(op.out).clear();
    for (size_t i = sample.size_of(op.out); i > 0; --i)
      sample.memory(op.out).push_back(all[next++ % all.size()]);
  }
}

}  // namespace

std::vector<std::vector<float>> interpret(const Graph& graph, std::span<const std::vector<float>> inputs,
                                          int64_t samples, std::span<const int64_t> steps,
                                          const ScalarActivation& activation) {
  std::vector<GraphInterpreter> all;
  for (int64_t n = 0; n < samples; ++n) {
    GraphInterpreter& interpreter = all.emplace_back(graph, steps, activation);
    for (size_t i = 0; i < inputs.size(); ++i) {
      const size_t size = interpreter.size_of(graph.inputs[i]);
      CONVSMITH_CHECK(inputs[i].size() == size * static_cast<size_t>(samples), "an input has its size");
      const auto begin = inputs[i].begin() + static_cast<std::ptrdiff_t>(size) * n;
      interpreter.memory(graph.inputs[i]).assign(begin, begin + static_cast<std::ptrdiff_t>(size));
    }
  }
  for (const Op& op : graph.ops) {
    if (op.kind == OpKind::kRepeat) repeat(op, all);
    for (GraphInterpreter& sample : all) {
      if (op.kind != OpKind::kRepeat) sample.run(op);
    }
  }
  std::vector<std::vector<float>> outputs(graph.outputs.size());
  for (GraphInterpreter& sample : all) {
    for (size_t i = 0; i < outputs.size(); ++i) {
      const std::vector<float>& made = sample.memory(graph.outputs[i]);
      outputs[i].insert(outputs[i].end(), made.begin(), made.end());
    }
  }
  return outputs;
}

}  // namespace convsmith::ir
