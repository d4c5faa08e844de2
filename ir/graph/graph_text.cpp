// print: a graph for people.
#include <fmt/format.h>

#include <iterator>

#include "frontend/keras/activations.hpp"
#include "ir/graph/extent_formulas.hpp"
#include "ir/graph/graph.hpp"

namespace convsmith::ir {
namespace {

// "s1" for the steps of the second of several inputs, "e5" for a formula too long to be read.
std::vector<std::string> extent_texts(const Graph& graph) {
  std::vector<std::string> texts = extent_formulas(graph, [&](int64_t input) {
    return graph.inputs.size() == 1 ? std::string("steps") : fmt::format("s{}", input);
  });
  for (size_t i = 0; i < texts.size(); ++i) {
    if (texts[i].empty()) texts[i] = fmt::format("e{}", i);
  }
  return texts;
}

std::string activation_name(const Activation& activation) {
  return activation_text(activation, Dialect::kKeras3);
}

constexpr const char* kReduceNames[] = {"conv", "max", "mean", "copy"};
constexpr const char* kCombineNames[] = {"", "+", "-", "subtracted from", "*", "/", "max", "min", "prelu"};
constexpr const char* kOpNames[] = {"nest", "softmax", "log_softmax", "sparsemax", "transpose", "repeat"};

class Printer {
 public:
  explicit Printer(const Graph& graph) : g_(graph), steps_(extent_texts(graph)) {}

  std::string run() {
    add("graph {}\n", g_.name);
    for (size_t i = 0; i < g_.inputs.size(); ++i) {
      add("  input {}", tensor(g_.inputs[i]));
      if (g_.pinned_steps[i]) add(", exactly {} steps", *g_.pinned_steps[i]);
      add("\n");
    }
    for (const SameSteps& pair : g_.same_steps) {
      add("  {} needs {} == {}\n", pair.name, steps_[static_cast<size_t>(pair.a)],
          steps_[static_cast<size_t>(pair.b)]);
    }
    for (const BatchSteps& met : g_.batch_steps)
      add("  {} needs batch == {} or 1\n", met.name, steps_[static_cast<size_t>(met.extent)]);
    for (const Op& op : g_.ops) {
      add("  {} = {}", tensor(op.out), what(op));
      add("  # {}\n", op.name);
    }
    for (const int output : g_.outputs) add("  output {}\n", tensor(output));
    return std::move(out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  // "t3[steps, 16]", "t3[16, steps]" for channels first, "t7:4[steps, 8]" for channels 4 to 11 of t7.
  std::string tensor(int id) const {
    const GraphTensor& t = g_.tensors[static_cast<size_t>(id)];
    const std::string& steps = steps_[static_cast<size_t>(t.steps)];
    std::string name = fmt::format("t{}", root_of(g_, id));
    if (t.slice) name += fmt::format(":{}", t.first_channel);
    if (t.layout == Layout::kChannelsLast) return fmt::format("{}[{}, {}]", name, steps, t.channels);
    return fmt::format("{}[{}, {}]", name, t.channels, steps);
  }

  std::string what(const Op& op) const {
    if (op.kind != OpKind::kNest)
      return fmt::format("{}({})", kOpNames[static_cast<size_t>(op.kind)], tensor(op.in));
    const Problem& p = op.problem;
    std::string text = p.transposed ? "transposed " : "";
    text += fmt::format("{}({}", kReduceNames[static_cast<size_t>(p.reduce)], tensor(op.in));
    const auto list = [&](const char* name, int64_t value, int64_t usual) {
      if (value != usual) text += fmt::format(", {} {}", name, value);
    };
    if (p.taps == kAllSteps) {
      text += ", all steps";
    } else {
      list("taps", p.taps, 1);
      list("stride", p.stride, 1);
      list("dilation", p.dilation, 1);
      if (p.pad_same) text += ", pad same";
      if (p.pad_left != 0 || p.pad_right != 0) text += fmt::format(", pad {} {}", p.pad_left, p.pad_right);
    }
    if (p.has_weights()) list("groups", p.groups, 1);
    if (p.has_bias) text += ", bias";
    text += ")";
    if (p.activation != Activation{}) text += " " + activation_name(p.activation);
    if (p.combine != Combine::kNone) {
      text += fmt::format(
          " {} {}", kCombineNames[static_cast<size_t>(p.combine)],
          op.operand >= 0 ? tensor(op.operand) : g_.arrays[static_cast<size_t>(op.operand_array)].name);
    }
    if (p.after != Activation{}) text += " " + activation_name(p.after);
    return text;
  }

  const Graph& g_;
  std::vector<std::string> steps_;
  std::string out_;
};

}  // namespace

std::string print(const Graph& graph) {
  return Printer(graph).run();
}

}  // namespace convsmith::ir
