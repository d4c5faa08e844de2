#include "runtime/graph_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/target.hpp"
#include "frontend/base/ceil_div.hpp"
#include "ir/nest/schedule.hpp"
#include "runtime/rolling_group.hpp"

namespace convsmith {

namespace {

constexpr std::string_view kNoGroups = "no groups";
constexpr std::string_view kSamples = "samples within";

// Whether one operation writes the memory of the tensor, and one reads it.
bool is_own_slot(const CompiledGraph& out, int tensor) {
  const ir::Graph& graph = out.graph;
  const int root = ir::root_of(graph, tensor);
  const auto is_there = [&](int id) { return id >= 0 && ir::root_of(graph, id) == root; };
  const auto writes = [&](const ir::Op& op) { return is_there(op.out); };
  const auto reads = [&](const ir::Op& op) { return is_there(op.in) || is_there(op.operand); };
  return out.places[static_cast<size_t>(tensor)].kind == CompiledGraph::Place::Kind::kSlot &&
         std::count_if(graph.ops.begin(), graph.ops.end(), writes) == 1 &&
         std::count_if(graph.ops.begin(), graph.ops.end(), reads) == 1;
}

// Whether step by step one tensor is the memory of the other.
bool is_same_memory(const ir::Graph& graph, int a, int b) {
  const ir::GraphTensor& x = graph.tensors[static_cast<size_t>(a)];
  const ir::GraphTensor& y = graph.tensors[static_cast<size_t>(b)];
  return !x.slice && !y.slice && ir::root_of(graph, a) == ir::root_of(graph, b) && ir::is_same_form(x, y);
}

bool share_memory(const CompiledGraph& out, int tensor, int other) {
  if (tensor < 0) return false;
  const CompiledGraph::Place& a = out.places[static_cast<size_t>(tensor)];
  const CompiledGraph::Place& b = out.places[static_cast<size_t>(other)];
  return a.kind == b.kind && a.index == b.index;
}

// Whether operations i and i + 1 may run together.
bool may_chain(const CompiledGraph& out, size_t i) {
  const std::vector<ir::Op>& ops = out.graph.ops;
  if (i + 1 >= ops.size()) return false;
  const ir::Op& op = ops[i];
  const ir::Op& next = ops[i + 1];
  const bool goes_on =
      next.kind == ir::OpKind::kTranspose || (next.kind == ir::OpKind::kNest && is_stepwise(next.problem));
  if (op.kind != ir::OpKind::kNest || !goes_on || op.problem.layout != Layout::kChannelsLast ||
      !is_same_memory(out.graph, next.in, op.out) || share_memory(out, next.operand, op.out))
    return false;
  // What the second one writes may have taken the place of what the first one still reads.
  return is_own_slot(out, op.out) && !share_memory(out, op.in, next.out) &&
         !share_memory(out, op.operand, next.out);
}

// Output steps of one row of the operation that begins a chain.
int64_t row_steps_of(const CompiledGraph& out, size_t i) {
  return out.ops[i].parts[0].part.row_steps;
}

// Steps of a chunk of the chain that begins with operation i; 0 if there had better be none.
int64_t chunk_of(const CompiledGraph& out, size_t i) {
  if (!may_chain(out, i)) return 0;
  const Problem& p = out.graph.ops[i].problem;
  const int64_t cache = target_for(out.isa).l2_bytes;
  const int64_t row_steps = row_steps_of(out, i);
  // Each chunk reads all weights again, and rows of phases are few.
  const int64_t weights = 4 * p.taps * p.group_channels() * p.filters;
  if (p.transposed && weights > cache / 8) return 0;
  // A quarter of the second cache, or its half with the input; the first operation reads the end of a chunk's
  // input again for the next one.
  const int64_t read = p.transposed ? ceil_div(p.in_pitch(), row_steps) : p.stride * p.in_pitch();
  const int64_t fitting = std::min(cache / 4 / (4 * p.out_pitch()), cache / 2 / (4 * read));
  const int64_t again = p.transposed ? 8 * p.taps : 8 * p.taps / p.stride;
  return ceil_div(std::max({fitting / 64, again / 64, int64_t{1}}) * 64, row_steps) * row_steps;
}

// Whether the chain that begins with operation i may turn its input chunk by chunk.
bool may_turn_input(const CompiledGraph& out, size_t i) {
  if (i == 0) return false;
  const ir::Op& turn = out.graph.ops[i - 1];
  const ir::Op& op = out.graph.ops[i];
  return turn.kind == ir::OpKind::kTranspose && op.in == turn.out && op.operand != turn.out &&
         is_own_slot(out, turn.out) && !share_memory(out, turn.in, op.out) &&
         !share_memory(out, turn.in, out.graph.ops[i + 1].out);
}

// Input positions that the rows of a chunk look at.
int64_t inputs_of(const CompiledGraph& graph, size_t op, int64_t chunk) {
  const ChainReach reach = chain_reach(graph, op);
  return (chunk / row_steps_of(graph, op) - 1) * reach.stride + reach.before + reach.behind;
}

// Whether that is worth it: a little of the input is turned twice.
bool turns_input(const CompiledGraph& out, size_t i, int64_t chunk) {
  constexpr int64_t kOnce = 8;  // steps of a chunk for each that the next one needs again
  const ChainReach reach = chain_reach(out, i);
  return may_turn_input(out, i) && kOnce * (reach.before + reach.behind) <= inputs_of(out, i, chunk);
}

std::string print(const Group& group) {
  return fmt::format("group {}..{} chunk {}", group.first + 1, group.last + 1, ir::print_count(group.chunk));
}

tl::unexpected<Error> refuse(const Group& group, const std::string& why) {
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("Schedule of the graph, '{}': {}.", print(group), why));
}

std::string_view trimmed(std::string_view text) {
  const size_t begin = std::min(text.find_first_not_of(" \t\r\n"), text.size());
  const size_t end = text.find_last_not_of(" \t\r\n");
  return text.substr(begin, end == std::string_view::npos ? 0 : end + 1 - begin);
}

// Takes `word` off the front of `text`, and blanks behind it.
bool take(std::string_view& text, std::string_view word) {
  if (!text.starts_with(word)) return false;
  text = trimmed(text.substr(word.size()));
  return true;
}

// Takes a count of at least 1 off the front of `text`.
bool take_count(std::string_view& text, int64_t& count) {
  const std::string_view word = text.substr(0, text.find_first_of(" \t\r\n."));
  count = ir::parse_count(word).value_or(0);
  text = trimmed(text.substr(word.size()));
  return count > 0;
}

// Whether a group is an operation, perhaps a transpose before it, and one that reads it step by step; if not,
// its buffers roll.
bool is_chain(const ir::Graph& graph, const Group& group) {
  const size_t count = group.last - group.first + 1;
  const ir::Op& last = graph.ops[group.last];
  const bool follows = last.kind == ir::OpKind::kTranspose ||
                       (last.kind == ir::OpKind::kNest && is_stepwise(last.problem) &&
                        ir::root_of(graph, last.in) == ir::root_of(graph, graph.ops[group.last - 1].out));
  return follows && (count == 2 || (count == 3 && graph.ops[group.first].kind == ir::OpKind::kTranspose));
}

bool rolls(const CompiledGraph& graph, size_t op) {
  return std::any_of(graph.rolling.begin(), graph.rolling.end(),
                     [&](const RollingGroup& group) { return op >= group.first && op <= group.last; });
}

// Samples may not run apart where a pass looks at all of them.
bool may_split_samples(const CompiledGraph& graph) {
  const std::vector<ir::Op>& ops = graph.graph.ops;
  return graph.slots > 0 && graph.graph.batch_steps.empty() &&
         std::none_of(ops.begin(), ops.end(),
                      [](const ir::Op& op) { return op.kind == ir::OpKind::kRepeat; });
}

// "samples within 1M", all of it.
bool take_samples(std::string_view text, int64_t& bytes) {
  return take(text, "samples") && take(text, "within") && take_count(text, bytes) && text.empty();
}

// "group 3..4 chunk 512", all of it.
bool take_group(std::string_view text, Group& group) {
  int64_t first = 0;
  int64_t last = 0;
  const bool is_group = take(text, "group") && take_count(text, first) && take(text, "..") &&
                        take_count(text, last) && take(text, "chunk") && take_count(text, group.chunk);
  group.first = static_cast<size_t>(first - 1);
  group.last = static_cast<size_t>(last - 1);
  return is_group && text.empty();
}

}  // namespace

std::string print(const GraphSchedule& schedule) {
  std::string text;
  if (schedule.samples_within > 0)
    text = fmt::format("{} {}; ", kSamples, ir::print_count(schedule.samples_within));
  if (schedule.groups.empty()) return text + std::string(kNoGroups);
  for (size_t i = 0; i < schedule.groups.size(); ++i)
    text += (i == 0 ? "" : "; ") + print(schedule.groups[i]);
  return text;
}

bool is_graph_schedule(std::string_view text) {
  text = text.substr(std::min(text.find_first_not_of("; \t\r\n"), text.size()));
  const size_t word = text.find_first_of(" \t\r\n");
  return trimmed(text) == kNoGroups || (text.starts_with("group") && word == 5) ||
         (text.starts_with("samples") && word == 7);
}

Result<void> check_graph_schedule(std::string_view text) {
  if (text.empty() || is_graph_schedule(text)) return {};
  return make_error(
      ErrorCode::kInvalidSpec,
      "The schedule of a model says which samples and passes run together, as in 'samples within "
      "1M; group 3..4 chunk 512' or 'no groups'; `explain --stage graph` shows the chosen one.");
}

Result<GraphSchedule> parse_graph_schedule(std::string_view text) {
  GraphSchedule schedule;
  bool none = false;
  text = trimmed(text);
  while (!text.empty()) {
    const std::string_view part = trimmed(text.substr(0, text.find(';')));
    text.remove_prefix(std::min(text.find(';'), text.size() - 1) + 1);
    if (part.empty()) continue;
    std::string whole(part.substr(0, 60));
    std::replace_if(
        whole.begin(), whole.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    const auto refuse = [&](std::string_view why) {
      return make_error(ErrorCode::kInvalidSpec, fmt::format("Schedule of the graph, '{}': {}.", whole, why));
    };
    Group group{};
    int64_t bytes = 0;
    if (part == kNoGroups) {
      none = true;
    } else if (part.starts_with("samples")) {
      if (!take_samples(part, bytes))
        return refuse("expected 'samples within BYTES', of at least 1, as in 1M");
      if (schedule.samples_within > 0) return refuse("the samples stand there twice");
      schedule.samples_within = bytes;
    } else if (!take_group(part, group)) {
      return refuse(
          "expected 'samples within BYTES', 'no groups' or 'group FIRST..LAST chunk STEPS' with passes and "
          "steps from 1 on");
    } else if (group.last <= group.first) {
      return refuse("the last pass of a group comes behind its first one");
    } else {
      schedule.groups.push_back(group);
    }
    if (none && !schedule.groups.empty()) return refuse("'no groups' stands beside a group");
  }
  return schedule;
}

void choose_graph_schedule(CompiledGraph& graph) {
  const int64_t cache = target_for(graph.isa).l2_bytes;
  graph.rolling = choose_rolling(graph.graph, cache / 2);
  place_tensors(graph);
  // Weights want their room in the second cache, too.
  graph.samples_within = may_split_samples(graph) ? cache / 2 : 0;
  graph.chunks.assign(graph.ops.size(), 0);
  graph.turns_input.assign(graph.ops.size(), false);
  for (size_t i = 0; i + 1 < graph.ops.size(); ++i) {
    const int64_t chunk = rolls(graph, i) || rolls(graph, i + 1) ? 0 : chunk_of(graph, i);
    if (chunk == 0) continue;
    graph.chunks[i] = chunk;
    graph.turns_input[i] = i > 0 && !rolls(graph, i - 1) && turns_input(graph, i, chunk);
    ++i;
  }
}

GraphSchedule schedule_of(const CompiledGraph& graph) {
  GraphSchedule schedule{graph.samples_within, {}};
  for (size_t i = 0; i < graph.chunks.size(); ++i) {
    if (graph.chunks[i] > 0)
      schedule.groups.push_back({graph.turns_input[i] ? i - 1 : i, i + 1, graph.chunks[i]});
  }
  for (const RollingGroup& group : graph.rolling)
    schedule.groups.push_back({group.first, group.last, group.chunk});
  std::sort(schedule.groups.begin(), schedule.groups.end(),
            [](const Group& a, const Group& b) { return a.first < b.first; });
  return schedule;
}

Result<void> apply_schedule(CompiledGraph& graph, const GraphSchedule& schedule) {
  if (schedule.samples_within > 0 && !may_split_samples(graph)) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("Schedule of the graph, '{} {}': one of its passes looks at all samples, or "
                    "nothing lies between passes.",
                    kSamples, schedule.samples_within));
  }
  graph.samples_within = schedule.samples_within;
  graph.rolling.clear();
  for (const Group& group : schedule.groups) {
    if (group.last >= graph.ops.size() || is_chain(graph.graph, group)) continue;
    const std::string why = why_not_rolling(graph.graph, group.first, group.last);
    if (!why.empty()) return refuse(group, why);
    graph.rolling.push_back(rolling_group(graph.graph, group.first, group.last, group.chunk));
  }
  place_tensors(graph);
  graph.chunks.assign(graph.ops.size(), 0);
  graph.turns_input.assign(graph.ops.size(), false);
  size_t next = 0;
  for (const Group& group : schedule.groups) {
    if (group.last >= graph.ops.size())
      return refuse(group, fmt::format("the graph has {} passes", graph.ops.size()));
    if (group.first < next) return refuse(group, "groups are in order and have no pass in common");
    next = group.last + 1;
    if (!is_chain(graph.graph, group)) continue;
    const size_t i = group.last - 1;
    if (!may_chain(graph, i))
      return refuse(
          group, fmt::format("pass {} does not read step by step what pass {} makes for it alone, channels "
                             "last, in memory of its own",
                             i + 2, i + 1));
    if (i > group.first && !may_turn_input(graph, i))
      return refuse(group, fmt::format("pass {} is no transpose that only pass {} reads", i, i + 1));
    if (group.chunk % row_steps_of(graph, i) != 0)
      return refuse(group, fmt::format("a chunk must be a multiple of {} steps", row_steps_of(graph, i)));
    graph.chunks[i] = group.chunk;
    graph.turns_input[i] = i > group.first;
  }
  return {};
}

Result<std::shared_ptr<const CompiledGraph>> with_schedule(const CompiledGraph& graph,
                                                           const GraphSchedule& schedule) {
  auto out = std::make_shared<CompiledGraph>(graph);
  if (auto applied = apply_schedule(*out, schedule); !applied) return tl::unexpected(applied.error());
  return out;
}

ChainReach chain_reach(const CompiledGraph& graph, size_t op) {
  const Problem& p = graph.graph.ops[op].problem;
  if (!p.transposed) return {p.stride, 0, p.span()};
  ChainReach reach{1, 0, 1};
  for (const CompiledPart& compiled : graph.ops[op].parts) {
    const ir::Part& part = compiled.part;
    if (part.taps.front() < 0) continue;  // phases that no tap meets look at nothing
    reach.before = std::max(reach.before, part.problem.pad_left);
    reach.behind = std::max(reach.behind, part.problem.span() - part.problem.pad_left);
  }
  return reach;
}

int64_t chain_inputs(const CompiledGraph& graph, size_t op) {
  return inputs_of(graph, op, graph.chunks[op]);
}

bool is_stepwise(const Problem& p) {
  return p.taps == 1 && p.stride == 1 && !p.transposed && p.layout == Layout::kChannelsLast &&
         p.pad_left == 0 && p.pad_right == 0;
}

}  // namespace convsmith
