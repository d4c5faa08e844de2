#include "runtime/rolling_group.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

namespace convsmith {

namespace {

int64_t left_padding(const Problem& p) {
  return p.pad_same ? (p.span() - 1) / 2 : p.pad_left;
}

// Steps of the output less those of the input.
int64_t growth(const Problem& p) {
  return p.pad_same ? 0 : p.pad_left + p.pad_right - p.span() + 1;
}

// Whether it works step by step on rows of channels, and reads no step twice.
bool can_roll(const ir::Op& op) {
  const Problem& p = op.problem;
  return op.kind == ir::OpKind::kNest && !p.transposed && p.stride == 1 &&
         p.layout == Layout::kChannelsLast && !p.one_step && left_padding(p) >= 0 &&
         (p.pad_same || p.pad_right >= 0);
}

bool is_in(const std::vector<int>& list, const ir::Graph& graph, int root) {
  return std::any_of(list.begin(), list.end(), [&](int t) { return ir::root_of(graph, t) == root; });
}

// Whether nobody outside of the operations makes or reads the memory.
bool is_inside(const ir::Graph& graph, size_t first, size_t last, int root) {
  if (is_in(graph.inputs, graph, root) || is_in(graph.outputs, graph, root)) return false;
  for (size_t i = 0; i < graph.ops.size(); ++i) {
    if (i >= first && i <= last) continue;
    for (const int t : {graph.ops[i].in, graph.ops[i].operand, graph.ops[i].out}) {
      if (t >= 0 && ir::root_of(graph, t) == root) return false;
    }
  }
  return true;
}

// Whether one of the operations makes the memory.
bool is_made(const ir::Graph& graph, size_t first, size_t last, int root) {
  for (size_t i = first; i <= last; ++i) {
    if (ir::root_of(graph, graph.ops[i].out) == root) return true;
  }
  return false;
}

// Whether a view's steps are those of the memory it shows.
bool has_own_steps(const ir::Graph& graph, int tensor) {
  const ir::GraphTensor& t = graph.tensors[static_cast<size_t>(tensor)];
  const ir::GraphTensor& root = graph.tensors[static_cast<size_t>(ir::root_of(graph, tensor))];
  return t.steps == root.steps && root.layout == Layout::kChannelsLast;
}

}  // namespace

std::string why_not_rolling(const ir::Graph& graph, size_t first, size_t last) {
  const int from = graph.tensors[static_cast<size_t>(graph.ops[first].in)].steps;
  for (size_t i = first; i <= last; ++i) {
    const ir::Op& op = graph.ops[i];
    if (!can_roll(op))
      return fmt::format("pass {} is no pass of stride 1 over steps of channels, channels last", i + 1);
    const auto made_later = [&](int root) { return i < last && is_made(graph, i + 1, last, root); };
    for (const int t : {op.in, op.operand, op.out}) {
      if (t < 0) continue;
      const int root = ir::root_of(graph, t);
      const bool is_read = t != op.out;
      if (!has_own_steps(graph, t)) return fmt::format("pass {} sees a tensor in another shape", i + 1);
      if (is_read && !is_made(graph, first, last, root) && t == op.in &&
          graph.tensors[static_cast<size_t>(t)].steps != from)
        return fmt::format("pass {} reads a tensor of other steps than the group's input", i + 1);
      if (is_read && made_later(root) && !is_inside(graph, first, last, root))
        return fmt::format("pass {} reads what a later one replaces", i + 1);
    }
    if (op.operand >= 0 && !op.problem.operand_has_steps &&
        is_made(graph, first, last, ir::root_of(graph, op.operand)))
      return fmt::format("pass {} needs all of another one first", i + 1);
  }
  return {};
}

RollingGroup rolling_group(const ir::Graph& graph, size_t first, size_t last, int64_t chunk) {
  RollingGroup group{first, last, chunk, {}, {}};
  const size_t count = last - first + 1;
  std::vector<int64_t> extra(count);  // steps that come when the input has ended
  std::vector<int64_t> more(count);   // steps of the output less those of the group's input
  const auto latest = [&](int tensor, const std::vector<int64_t>& of, size_t before) {
    int64_t most = 0;
    for (size_t j = 0; tensor >= 0 && j < before; ++j) {
      if (ir::root_of(graph, graph.ops[first + j].out) == ir::root_of(graph, tensor))
        most = std::max(most, of[j]);
    }
    return most;
  };
  for (size_t j = 0; j < count; ++j) {
    const ir::Op& op = graph.ops[first + j];
    const Problem& p = op.problem;
    const int64_t ahead = p.span() - 1 - left_padding(p);
    const int64_t lag =
        std::max<int64_t>(0, std::max(latest(op.in, group.lag, j) + ahead, latest(op.operand, group.lag, j)));
    group.lag.push_back(lag);
    int64_t in_more = 0;
    for (size_t k = 0; k < j; ++k) {
      if (ir::root_of(graph, graph.ops[first + k].out) == ir::root_of(graph, op.in)) in_more = more[k];
    }
    more[j] = in_more + growth(p);
    extra[j] = std::max<int64_t>(0, more[j] + lag);
  }
  for (size_t j = 0; j < count; ++j) {
    const int root = ir::root_of(graph, graph.ops[first + j].out);
    if (!is_inside(graph, first, last, root) || rolling_buffer(graph, group, root) != nullptr) continue;
    RollingGroup::Buffer buffer;
    buffer.tensor = root;
    int64_t least_lag = std::numeric_limits<int64_t>::max();
    int64_t most_extra = 0;
    int64_t behind = 0;
    for (size_t k = 0; k < count; ++k) {
      const ir::Op& op = graph.ops[first + k];
      if (ir::root_of(graph, op.out) == root) {
        buffer.makers.push_back(first + k);
        least_lag = std::min(least_lag, group.lag[k]);
        most_extra = std::max(most_extra, extra[k]);
      }
      const bool reads = ir::root_of(graph, op.in) == root;
      const bool combines = op.operand >= 0 && ir::root_of(graph, op.operand) == root;
      if (!reads && !combines) continue;
      const int64_t before = reads ? left_padding(op.problem) : 0;
      buffer.readers.push_back({first + k, before});
      behind = std::max(behind, group.lag[k] + before);
    }
    buffer.keeps = behind > least_lag;
    buffer.rows = chunk + std::max<int64_t>(0, behind - least_lag) + most_extra;
    group.buffers.push_back(std::move(buffer));
  }
  return group;
}

std::vector<ir::OpRange> rolling_runs(const ir::Graph& graph, size_t least, int64_t most_work) {
  std::vector<ir::OpRange> runs;
  const auto is_light = [&](const ir::Op& op) {
    return op.problem.taps * op.problem.group_channels() <= most_work;
  };
  for (size_t first = 0; first + least <= graph.ops.size();) {
    size_t end = first;
    while (end < graph.ops.size() && is_light(graph.ops[end]) && why_not_rolling(graph, first, end).empty())
      ++end;
    if (end >= first + least) runs.push_back({first, end - 1});
    first = std::max(first + 1, end);
  }
  return runs;
}

std::vector<RollingGroup> choose_rolling(const ir::Graph& graph, int64_t cache_bytes) {
  constexpr size_t kLeast = 3;         // passes: two are a chain, or not worth it
  constexpr int64_t kWork = 64;        // products of an output up to which its tensors take the time
  constexpr int64_t kShortest = 1024;  // steps that are worth a call of a pass, on several threads, too
  constexpr int64_t kHalo = 4;         // steps of a chunk for each that is kept
  std::vector<RollingGroup> groups;
  for (const ir::OpRange& run : rolling_runs(graph, kLeast, kWork)) {
    int64_t widest = 1;
    for (size_t i = run.first; i <= run.last; ++i)
      widest = std::max({widest, graph.ops[i].problem.in_pitch(), graph.ops[i].problem.out_pitch()});
    // What a pass reads and writes, and as much again, has room.
    const int64_t chunk = cache_bytes / (4 * bytes_of(Element::kFloat32) * widest) / 64 * 64;
    if (chunk < kShortest) continue;
    RollingGroup group = rolling_group(graph, run.first, run.last, chunk);
    const bool halos_are_small =
        std::all_of(group.buffers.begin(), group.buffers.end(), [&](const RollingGroup::Buffer& buffer) {
          return kHalo * (buffer.rows - group.chunk) <= group.chunk;
        });
    if (halos_are_small && !group.buffers.empty()) groups.push_back(std::move(group));
  }
  return groups;
}

const RollingGroup::Buffer* rolling_buffer(const ir::Graph& graph, const RollingGroup& group, int tensor) {
  const int root = ir::root_of(graph, tensor);
  const auto found = std::find_if(group.buffers.begin(), group.buffers.end(),
                                  [&](const RollingGroup::Buffer& buffer) { return buffer.tensor == root; });
  return found == group.buffers.end() ? nullptr : &*found;
}

}  // namespace convsmith
