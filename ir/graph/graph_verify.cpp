// verify_graph: the invariants of ir/graph/graph.hpp, one function for tensors, one for operations, one for
// outputs.
#include <fmt/format.h>

#include <iterator>
#include <map>
#include <set>

#include "ir/graph/graph_builder.hpp"

namespace convsmith::ir {
namespace {

// Steps at which extents are compared: divisible by what networks halve and double by.
constexpr int64_t kSampleSteps = int64_t{5040} << 10;

class Verifier {
 public:
  explicit Verifier(const Graph& graph) : g_(graph) {}

  Result<void> run() {
    for (size_t i = 0; i < g_.extents.size(); ++i) {
      const bool has_from =
          g_.extents[i].kind == Extent::Kind::kWindow || g_.extents[i].kind == Extent::Kind::kScaled;
      if (has_from != (g_.extents[i].from >= 0) || g_.extents[i].from >= static_cast<int>(i))
        return fail("extent {} is not made from an earlier one", i);
    }
    steps_ = evaluate_extents(g_, std::vector<int64_t>(g_.inputs.size(), kSampleSteps));
    for (const SameSteps& pair : g_.same_steps) {
      if (steps(pair.a) != steps(pair.b)) comparable_ = false;
    }
    if (Result<void> done = check_tensors(); !done) return done;
    made_.resize(g_.tensors.size());
    for (const int input : g_.inputs) {
      if (Result<void> done = make(input); !done) return done;
    }
    for (const Op& op : g_.ops) {
      if (Result<void> done = check_op(op); !done) return done;
    }
    return check_outputs();
  }

 private:
  template <class... Args>
  static tl::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
    return make_error(ErrorCode::kInvalidData,
                      "Graph: " + fmt::format(format, std::forward<Args>(args)...) + ".");
  }
  const GraphTensor& t(int id) const { return g_.tensors[static_cast<size_t>(id)]; }
  int64_t steps(int extent) const { return steps_[static_cast<size_t>(extent)]; }
  bool is_tensor(int id) const { return id >= 0 && id < static_cast<int>(g_.tensors.size()); }
  bool are_same(int64_t a, int64_t b) const {
    return !comparable_ || a == b || a >= kMaxSteps || b >= kMaxSteps;
  }

  Result<void> check_tensors() const {
    for (size_t i = 0; i < g_.tensors.size(); ++i) {
      const GraphTensor& tensor = g_.tensors[i];
      if (tensor.steps < 0 || tensor.steps >= static_cast<int>(g_.extents.size()) || tensor.channels < 1)
        return fail("tensor {} has no sizes", i);
      if (tensor.base < 0) continue;
      if (!is_tensor(tensor.base)) return fail("tensor {} has no base", i);
      const GraphTensor& base = t(tensor.base);
      if (tensor.slice) {
        const bool fits = !base.slice && base.layout == Layout::kChannelsLast &&
                          tensor.layout == Layout::kChannelsLast && tensor.first_channel >= 0 &&
                          tensor.first_channel + tensor.channels <= base.channels &&
                          tensor.steps == base.steps;
        if (!fits) return fail("tensor {} is no slice of its base", i);
      } else if (base.base >= 0 ||
                 !are_same(steps(tensor.steps) * tensor.channels, steps(base.steps) * base.channels)) {
        return fail("tensor {} is no view of its base", i);
      }
    }
    return {};
  }

  // The channels of its root that a tensor shows, first and end.
  std::pair<int64_t, int64_t> range(int id) const {
    const GraphTensor& tensor = t(id);
    if (tensor.slice && t(tensor.base).base < 0)
      return {tensor.first_channel, tensor.first_channel + tensor.channels};
    return {0, t(root_of(g_, id)).channels};
  }

  bool is_made(int id) const {
    const std::map<int64_t, int64_t>& made = made_[static_cast<size_t>(root_of(g_, id))];
    auto [channel, end] = range(id);
    while (channel < end) {
      auto part = made.upper_bound(channel);
      if (part == made.begin() || (--part)->second <= channel) return false;
      channel = part->second;
    }
    return true;
  }

  Result<void> make(int id) {
    std::map<int64_t, int64_t>& made = made_[static_cast<size_t>(root_of(g_, id))];
    const auto [first, end] = range(id);
    const auto next = made.lower_bound(first);
    if ((next != made.end() && next->first < end) ||
        (next != made.begin() && std::prev(next)->second > first))
      return fail("'{}' is made twice", t(id).name);
    made.emplace(first, end);
    return {};
  }

  Result<void> check_op(const Op& op) {
    if (!is_tensor(op.in) || !is_tensor(op.out)) return fail("'{}' lacks a tensor", op.name);
    if (!is_made(op.in)) return fail("'{}' reads what is not made yet", op.name);
    const int root = root_of(g_, op.out);
    if (root_of(g_, op.in) == root || (op.operand >= 0 && root_of(g_, op.operand) == root))
      return fail("'{}' writes what it reads", op.name);
    if (op.kind == OpKind::kNest) {
      if (Result<void> done = check_problem(op); !done) return done;
    } else if (Result<void> done = check_rows(op); !done) {
      return done;
    }
    return make(op.out);
  }

  Result<void> check_rows(const Op& op) const {
    const GraphTensor& in = t(op.in);
    const GraphTensor& out = t(op.out);
    if (in.slice || out.slice) return fail("'{}' cannot read or write slices", op.name);
    if (op.kind == OpKind::kRepeat) {
      const bool copies = op.problem == copy_problem(1, Layout::kChannelsLast);
      return copies ? Result<void>{} : fail("'{}' does more than repeat", op.name);
    }
    const bool turns = op.kind == OpKind::kTranspose;
    if (in.steps != out.steps || in.channels != out.channels || (in.layout != out.layout) != turns)
      return fail("'{}' has tensors of other sizes", op.name);
    return {};
  }

  Result<void> check_problem(const Op& op) const {
    const Problem& p = op.problem;
    const GraphTensor& in = t(op.in);
    const GraphTensor& out = t(op.out);
    if (in.channels != p.channels || out.channels != p.filters || in.layout != p.layout ||
        out.layout != p.layout)
      return fail("'{}' has tensors of other sizes than its problem", op.name);
    if (p.channels % p.groups != 0 || p.filters % p.groups != 0)
      return fail("'{}' has groups that divide nothing", op.name);
    if (!p.has_weights() && (p.groups != p.channels || p.groups != p.filters || p.has_bias))
      return fail("'{}' has weights or sums over channels", op.name);
    const int64_t in_steps = steps(in.steps);
    if (in_steps < kAllSteps && !are_same(p.output_steps(in_steps), steps(out.steps)))
      return fail("'{}' makes another number of steps than its tensor has", op.name);
    if (row_of(g_, op.in) != p.in_row || row_of(g_, op.out) != p.out_row)
      return fail("'{}' has the wrong rows", op.name);
    if (Result<void> done = check_arrays(op); !done) return done;
    return check_operand(op);
  }

  Result<void> check_array(const Op& op, int array, bool wanted, const std::vector<int64_t>& shape) const {
    if (!wanted) return array < 0 ? Result<void>{} : fail("'{}' has an array that it does not use", op.name);
    if (array < 0 || array >= static_cast<int>(g_.arrays.size())) return fail("'{}' lacks an array", op.name);
    if (g_.arrays[static_cast<size_t>(array)].shape != shape)
      return fail("'{}' has an array of another shape", op.name);
    return {};
  }

  Result<void> check_arrays(const Op& op) const {
    const Problem& p = op.problem;
    std::vector<int64_t> kernel{p.taps, p.group_channels(), p.filters};
    if (p.transposed) kernel = {p.taps, p.filters, p.group_channels()};
    if (Result<void> done = check_array(op, op.kernel, p.has_weights(), kernel); !done) return done;
    return check_array(op, op.bias, p.has_bias, {p.filters});
  }

  Result<void> check_operand(const Op& op) const {
    const Problem& p = op.problem;
    const bool has_tensor = op.operand >= 0;
    const bool has_array = op.operand_array >= 0;
    if (has_tensor && has_array) return fail("'{}' has two operands", op.name);
    if ((p.combine != Combine::kNone) != (has_tensor || has_array))
      return fail("'{}' combines with nothing, or has an operand for nothing", op.name);
    if (p.combine == Combine::kNone && p.after != Activation{})
      return fail("'{}' has two activations in a row", op.name);
    const GraphTensor& out = t(op.out);
    const int64_t wanted_steps = p.operand_has_steps ? steps(out.steps) : 1;
    const int64_t wanted_channels = p.operand_has_channels ? out.channels : 1;
    if (has_array) {
      int64_t size = 1;
      for (const int64_t axis : g_.arrays[static_cast<size_t>(op.operand_array)].shape) size *= axis;
      if (!are_same(size, wanted_steps * wanted_channels))
        return fail("'{}' has an operand of another size", op.name);
    }
    if (!has_tensor) return {};
    if (!is_tensor(op.operand) || !is_made(op.operand)) return fail("'{}' reads what is not made", op.name);
    const GraphTensor& operand = t(op.operand);
    if (operand.layout != p.layout || operand.channels != wanted_channels ||
        !are_same(steps(operand.steps), wanted_steps) || p.operand_row != row_of(g_, op.operand))
      return fail("'{}' has an operand of another size", op.name);
    return {};
  }

  Result<void> check_outputs() const {
    std::set<int> taken(g_.inputs.begin(), g_.inputs.end());
    for (const int output : g_.outputs) {
      if (!is_tensor(output) || !is_made(output)) return fail("an output is not made");
      if (t(output).slice || t(root_of(g_, output)).slice) return fail("an output is a slice");
      if (!taken.insert(root_of(g_, output)).second) return fail("an output shares its memory");
    }
    return {};
  }

  const Graph& g_;
  std::vector<int64_t> steps_;
  bool comparable_ = true;                        // the sample fulfills same_steps
  std::vector<std::map<int64_t, int64_t>> made_;  // by root: first and end of the channels made so far
};

}  // namespace

Result<void> verify_graph(const Graph& graph) {
  return Verifier(graph).run();
}

}  // namespace convsmith::ir
