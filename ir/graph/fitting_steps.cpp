#include "ir/graph/fitting_steps.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace convsmith::ir {
namespace {

// How far beyond a number that is long enough others are tried: strides that multiply to more are not met.
constexpr int64_t kReach = int64_t{1} << 15;

const GraphTensor& tensor_of(const Graph& graph, int id) {
  return graph.tensors[static_cast<size_t>(id)];
}

std::optional<int64_t> pinned(const Graph& graph, size_t input) {
  return input < graph.pinned_steps.size() ? graph.pinned_steps[input] : std::nullopt;
}

bool is_open(const Graph& graph, size_t input) {
  const int extent = tensor_of(graph, graph.inputs[input]).steps;
  return !pinned(graph, input) && graph.extents[static_cast<size_t>(extent)].kind != Extent::Kind::kFixed;
}

// The first operation that would make no step, if any.
const Op* find_empty(const Graph& graph, const std::vector<int64_t>& extents) {
  const auto makes_none = [&](const Op& op) {
    return extents[static_cast<size_t>(tensor_of(graph, op.out).steps)] < 1;
  };
  const auto op = std::find_if(graph.ops.begin(), graph.ops.end(), makes_none);
  return op == graph.ops.end() ? nullptr : &*op;
}

const SameSteps* find_unequal(const Graph& graph, const std::vector<int64_t>& extents) {
  const auto differ = [&](const SameSteps& pair) {
    return extents[static_cast<size_t>(pair.a)] != extents[static_cast<size_t>(pair.b)];
  };
  const auto pair = std::find_if(graph.same_steps.begin(), graph.same_steps.end(), differ);
  return pair == graph.same_steps.end() ? nullptr : &*pair;
}

// The first operator whose steps the batch does not fit, if any.
const BatchSteps* find_other_batch(const Graph& graph, const std::vector<int64_t>& extents, int64_t batch) {
  const auto differs = [&](const BatchSteps& met) {
    return batch != 1 && batch != extents[static_cast<size_t>(met.extent)];
  };
  const auto met = std::find_if(graph.batch_steps.begin(), graph.batch_steps.end(), differs);
  return met == graph.batch_steps.end() ? nullptr : &*met;
}

// Other numbers for some of the inputs.
class Search {
 public:
  Search(const Graph& graph, std::span<const int64_t> steps, std::vector<size_t> inputs, int64_t batch = 1)
      : graph_(graph), steps_(steps.begin(), steps.end()), inputs_(std::move(inputs)), batch_(batch) {}

  struct Nearest {
    std::optional<int64_t> below;
    std::optional<int64_t> above;
  };
  Nearest around(int64_t from) {
    Nearest nearest;
    const int64_t enough = least_that_is_enough();
    const int64_t above = std::max(from + 1, enough);
    nearest.above = first(above, std::min(above + kReach, kMaxSteps), 1);
    nearest.below = first(std::min(from - 1, kMaxSteps), std::max(enough, from - kReach) - 1, -1);
    return nearest;
  }

 private:
  std::span<const int64_t> with(int64_t n) {
    for (const size_t input : inputs_) steps_[input] = n;
    return steps_;
  }

  // More steps never make fewer.
  int64_t least_that_is_enough() {
    int64_t few = 0;
    int64_t many = kMaxSteps;
    while (many - few > 1) {
      const int64_t middle = few + (many - few) / 2;
      (find_empty(graph_, evaluate_extents(graph_, with(middle))) == nullptr ? many : few) = middle;
    }
    return many;
  }

  std::optional<int64_t> first(int64_t from, int64_t end, int64_t step) {
    for (int64_t n = from; n * step < end * step; n += step)
      if (fits(graph_, with(n), batch_)) return n;
    return std::nullopt;
  }

  const Graph& graph_;
  std::vector<int64_t> steps_;
  std::vector<size_t> inputs_;
  int64_t batch_;
};

std::vector<size_t> open_inputs(const Graph& graph) {
  std::vector<size_t> inputs;
  for (size_t i = 0; i < graph.inputs.size(); ++i)
    if (is_open(graph, i)) inputs.push_back(i);
  return inputs;
}

std::string both(const Search::Nearest& nearest) {
  if (nearest.below && nearest.above)
    return fmt::format("the nearest that fit are {} and {}", *nearest.below, *nearest.above);
  const std::optional<int64_t>& one = nearest.below ? nearest.below : nearest.above;
  return one ? fmt::format("the nearest that fits is {}", *one) : "none that fits was found";
}

// What would fit, of all open inputs together or, where they differ, of one beside the others.
std::string way_out(const Graph& graph, std::span<const int64_t> steps) {
  const std::vector<size_t> open = open_inputs(graph);
  if (open.empty()) return "no other number is possible";
  const bool alike =
      std::all_of(open.begin(), open.end(), [&](size_t i) { return steps[i] == steps[open[0]]; });
  if (alike) return both(Search(graph, steps, open).around(steps[open[0]]));
  for (size_t k = open.size(); k-- > 0;) {
    const Search::Nearest nearest = Search(graph, steps, {open[k]}).around(steps[open[k]]);
    if (!nearest.below && !nearest.above) continue;
    return fmt::format("of input '{}' beside the others {}", tensor_of(graph, graph.inputs[open[k]]).name,
                       both(nearest));
  }
  return "no number for one of them fits the others";
}

// "with 1000 input steps", or what each input has.
std::string given(const Graph& graph, std::span<const int64_t> steps) {
  if (steps.size() == 1) return fmt::format("of {} input steps", steps[0]);
  std::string list;
  for (size_t i = 0; i < steps.size(); ++i)
    list += fmt::format("{}{} ('{}')", i == 0 ? "" : ", ", steps[i], tensor_of(graph, graph.inputs[i]).name);
  return fmt::format("of the input steps {}", list);
}

std::string why_too_short(const Graph& graph, const Op& op, std::span<const int64_t> steps,
                          const std::vector<int64_t>& extents) {
  const int64_t there = extents[static_cast<size_t>(tensor_of(graph, op.in).steps)];
  const std::string reach =
      op.problem.transposed ? "crops all that it makes" : fmt::format("looks at {} steps", op.problem.span());
  return fmt::format("Layer '{}' {}, and {} arrive there, {}; {}.", op.name, reach, there,
                     given(graph, steps), way_out(graph, steps));
}

// numpy would stretch an axis of 1 along the batch axis that it meets: then the result has a second one.
std::string why_other_batch(const Graph& graph, const BatchSteps& met, std::span<const int64_t> steps,
                            const std::vector<int64_t>& extents, int64_t batch) {
  const int64_t length = extents[static_cast<size_t>(met.extent)];
  const int64_t largest = nearest_batch(graph, steps, batch);
  return fmt::format(
      "Layer '{}' lines axes up from the right, as numpy does, so that the batch axis of one tensor, {}, "
      "meets an axis of {} of the other, {}{}; {}, and any would if the model gave both as many axes "
      "(keepdims=True).",
      met.name, batch, length, given(graph, steps),
      length == 1 ? ", and would make it as long as the batch, which is not computed" : "",
      largest == 1 ? "the only batch that fits is 1"
                   : fmt::format("the batches that fit are 1 and {}", largest));
}

}  // namespace

bool fits(const Graph& graph, std::span<const int64_t> steps, int64_t batch) {
  for (size_t i = 0; i < steps.size(); ++i)
    if (pinned(graph, i).value_or(steps[i]) != steps[i]) return false;
  const std::vector<int64_t> extents = evaluate_extents(graph, steps);
  if (find_unequal(graph, extents) != nullptr || find_other_batch(graph, extents, batch) != nullptr)
    return false;
  const bool any = std::all_of(steps.begin(), steps.end(), [](int64_t n) { return n > 0; });
  return !any || find_empty(graph, extents) == nullptr;
}

std::string why_not(const Graph& graph, std::span<const int64_t> steps, int64_t batch) {
  if (fits(graph, steps, batch)) return {};
  for (size_t i = 0; i < steps.size(); ++i) {
    const int64_t only = pinned(graph, i).value_or(steps[i]);
    if (only == steps[i]) continue;
    return fmt::format("Layer '{}' fixes the number of steps: input '{}' must have {}, and has {}.",
                       graph.pinned_by[i], tensor_of(graph, graph.inputs[i]).name, only, steps[i]);
  }
  const std::vector<int64_t> extents = evaluate_extents(graph, steps);
  if (const SameSteps* const pair = find_unequal(graph, extents); pair != nullptr) {
    return fmt::format(
        "Layer '{}' combines tensors that must have as many steps, and {} they have {} and {}; {}.",
        pair->name, given(graph, steps), extents[static_cast<size_t>(pair->a)],
        extents[static_cast<size_t>(pair->b)], way_out(graph, steps));
  }
  if (!fits(graph, steps)) return why_too_short(graph, *find_empty(graph, extents), steps, extents);
  return why_other_batch(graph, *find_other_batch(graph, extents, batch), steps, extents, batch);
}

int64_t nearest_batch(const Graph& graph, std::span<const int64_t> steps, int64_t batch) {
  const std::vector<int64_t> extents = evaluate_extents(graph, steps);
  if (find_other_batch(graph, extents, batch) == nullptr) return batch;
  const int64_t met = extents[static_cast<size_t>(graph.batch_steps[0].extent)];
  return met > 0 && find_other_batch(graph, extents, met) == nullptr ? met : 1;
}

std::vector<int64_t> input_steps(const Graph& graph, int64_t steps) {
  for (const std::optional<int64_t>& only : graph.pinned_steps) steps = only.value_or(steps);
  std::vector<int64_t> result;
  for (size_t i = 0; i < graph.inputs.size(); ++i) {
    const Extent& own = graph.extents[static_cast<size_t>(tensor_of(graph, graph.inputs[i]).steps)];
    const int64_t open = own.kind == Extent::Kind::kFixed ? own.value : steps;
    result.push_back(pinned(graph, i).value_or(open));
  }
  return result;
}

std::optional<int64_t> nearest_fit(const Graph& graph, int64_t steps, int64_t batch) {
  const std::vector<int64_t> all = input_steps(graph, steps);
  if (fits(graph, all, batch)) return steps;
  const Search::Nearest nearest = Search(graph, all, open_inputs(graph), batch).around(steps);
  if (!nearest.below) return nearest.above;
  if (!nearest.above) return nearest.below;
  return steps - *nearest.below <= *nearest.above - steps ? nearest.below : nearest.above;
}

}  // namespace convsmith::ir
