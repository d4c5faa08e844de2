// One call of a compiled graph: sizes, memory, then pass by pass.
#include <algorithm>
#include <array>

#include "frontend/check_spec.hpp"
#include "ir/graph_extents.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/thread_memory.hpp"

namespace convsmith {

namespace {

constexpr int64_t kLine = 64;

int64_t round_up(int64_t bytes) {
  return (bytes + kLine - 1) / kLine * kLine;
}

// Numbers of one call, in memory that the caller provides: extents, then where each slot begins.
struct Sizes {
  int64_t* extents;
  int64_t* slots;
  int64_t bytes;  // of all slots
};

// So many numbers have room on the stack; more, and what lies in slots, have their place in the workspace.
constexpr int64_t kFewNumbers = 16;

int64_t numbers_of(const CompiledGraph& graph) {
  return static_cast<int64_t>(graph.graph.extents.size()) + graph.slots;
}

int64_t memory_of_table(const CompiledGraph& graph) {
  const int64_t numbers = numbers_of(graph);
  return numbers <= kFewNumbers ? 0 : round_up(static_cast<int64_t>(sizeof(int64_t)) * numbers);
}

int64_t steps_of(const CompiledGraph& graph, const Sizes& sizes, int tensor) {
  return sizes.extents[graph.graph.tensors[static_cast<size_t>(tensor)].steps];
}

// The chunk of the chain whose middle the tensor is, or 0.
int64_t chunk_behind(const CompiledGraph& graph, int tensor) {
  for (size_t i = 0; i < graph.chunks.size(); ++i) {
    if (graph.chunks[i] > 0 && graph.graph.ops[i].out == tensor) return graph.chunks[i];
  }
  return 0;
}

// Numbers stay below 2^62: steps at most 2^40 by kMaxSteps, channels and batch by saturation in double.
Sizes size_up(const CompiledGraph& graph, int64_t batch, std::span<const int64_t> steps, int64_t* table) {
  Sizes sizes{table, table + graph.graph.extents.size(), 0};
  for (size_t i = 0; i < graph.graph.extents.size(); ++i) {
    const ir::Extent& extent = graph.graph.extents[i];
    const int64_t from = extent.from >= 0 ? sizes.extents[extent.from] : 0;
    sizes.extents[i] = ir::evaluate_extent(extent, from, steps);
  }
  std::fill_n(sizes.slots, graph.slots, 0);
  for (const int t : graph.slot_tensors) {
    const int64_t chunk = chunk_behind(graph, t);
    const bool in_chunks = chunk > 0 && steps_of(graph, sizes, t) > chunk;
    const double rows = in_chunks
                            ? static_cast<double>(chunk)
                            : static_cast<double>(batch) * static_cast<double>(steps_of(graph, sizes, t));
    const double floats = rows * static_cast<double>(graph.graph.tensors[static_cast<size_t>(t)].channels);
    int64_t& slot = sizes.slots[graph.places[static_cast<size_t>(t)].index];
    slot = std::max(slot, round_up(static_cast<int64_t>(std::min(4.0 * floats, 0x1p60))));
  }
  for (int s = 0; s < graph.slots; ++s) {
    const int64_t size = sizes.slots[s];
    sizes.slots[s] = sizes.bytes;
    sizes.bytes = std::min(sizes.bytes + size, int64_t{1} << 61);
  }
  return sizes;
}

// One call, with all its memory at hand.
class Call {
 public:
  Call(const CompiledGraph& graph, const PackedGraph& weights, std::span<const float* const> inputs,
       std::span<float* const> outputs, int64_t batch, const Sizes& sizes, std::byte* slots,
       const RunOptions& options)
      : graph_(graph),
        weights_(weights),
        inputs_(inputs),
        outputs_(outputs),
        batch_(batch),
        sizes_(sizes),
        slots_(slots),
        options_(options) {}

  void run() const {
    for (size_t i = 0; i < graph_.ops.size(); ++i) {
      const ir::Op& op = graph_.graph.ops[i];
      if (graph_.chunks[i] > 0 && steps_of(graph_, sizes_, op.out) > graph_.chunks[i]) {
        run_chain(i);
        ++i;
      } else if (op.kind == ir::OpKind::kNest) {
        run_nest(i, op);
      } else if (op.kind == ir::OpKind::kTranspose) {
        run_transpose(i, op);
      } else {
        run_rows_of(i, op);
      }
    }
  }

 private:
  // `floats` may point before the tensor, where only later rows are touched.
  float* address(int tensor, int64_t floats = 0) const {
    const CompiledGraph::Place& place = graph_.places[static_cast<size_t>(tensor)];
    const auto index = static_cast<size_t>(place.index);
    using Kind = CompiledGraph::Place::Kind;
    auto base = reinterpret_cast<uintptr_t>(slots_);
    if (place.kind == Kind::kSlot) base += static_cast<uintptr_t>(sizes_.slots[index]);
    if (place.kind == Kind::kInput) base = reinterpret_cast<uintptr_t>(inputs_[index]);
    if (place.kind == Kind::kOutput) base = reinterpret_cast<uintptr_t>(outputs_[index]);
    return reinterpret_cast<float*>(base + static_cast<uintptr_t>(4 * (place.offset + floats)));
  }

  // The arguments of one part of an operation, but for the rows.
  KernelArgs part_args(size_t i, size_t j) const {
    const ir::Op& op = graph_.graph.ops[i];
    const ir::Part& part = graph_.ops[i].parts[j].part;
    const Problem& p = op.problem;
    KernelArgs args{};
    args.kIn = address(op.in);
    args.kSteps = steps_of(graph_, sizes_, op.in);
    args.kSampleEnd = batch_;
    fill_pitches(args, p, args.kSteps, steps_of(graph_, sizes_, op.out));
    if (op.operand_array >= 0) args.kOperandSample = 0;
    const PackedData* packed = weights_.parts[i][j].get();
    args.kWeights = packed != nullptr ? packed->data : nullptr;
    args.kPadLeft = part.problem.left_padding(args.kSteps);
    const int64_t behind = part.first - part.crop;  // steps from the output's first to the part's row 0
    args.kOut = address(op.out, behind * p.out_pitch());
    if (op.operand >= 0) args.kOperand = address(op.operand, behind * p.operand_pitch());
    if (op.operand_array >= 0) args.kOperand = operand_array(op.operand_array, behind * p.operand_pitch());
    return args;
  }

  void run_nest(size_t i, const ir::Op& op) const {
    for (size_t j = 0; j < graph_.ops[i].parts.size(); ++j) {
      const CompiledPart& compiled = graph_.ops[i].parts[j];
      KernelArgs args = part_args(i, j);
      int64_t out_steps = steps_of(graph_, sizes_, op.out);
      if (samples_are_steps(op)) {
        args.kSteps *= batch_;
        out_steps *= batch_;
        args.kSampleEnd = 1;
      }
      for (const ir::RowRange& rows : ir::part_rows(compiled.part, out_steps)) {
        if (rows.begin >= rows.end) continue;
        args.kStepBegin = rows.begin;
        args.kStepEnd = rows.end;
        run_rows(*compiled.kernel, args, options_);
      }
    }
  }

  // Where steps do not look at each other, those of all samples are one long run: Dense on a batch of single
  // rows fills whole tiles.
  bool samples_are_steps(const ir::Op& op) const {
    const Problem& p = op.problem;
    const bool operand_follows = p.combine == Combine::kNone || (op.operand >= 0 && p.operand_has_steps);
    return batch_ > 1 && is_stepwise(p) && operand_follows &&
           steps_of(graph_, sizes_, op.out) <= kMaxAxis / batch_;
  }

  // Operations i and i + 1, a chunk of steps of one sample after the other. What lies between is one chunk.
  void run_chain(size_t i) const {
    const ir::Op& op = graph_.graph.ops[i];
    const int64_t steps = steps_of(graph_, sizes_, op.out);
    const int64_t pitch = op.problem.out_pitch();
    const KernelArgs whole[] = {part_args(i, 0), part_args(i + 1, 0)};
    for (int64_t n = 0; n < batch_; ++n) {
      for (int64_t begin = 0; begin < steps; begin += graph_.chunks[i]) {
        KernelArgs first = sample_of(whole[0], n);
        KernelArgs second = sample_of(whole[1], n);
        first.kOut = address(op.out, -begin * pitch);
        second.kIn = first.kOut;
        for (KernelArgs* args : {&first, &second}) {
          args->kStepBegin = begin;
          args->kStepEnd = std::min(begin + graph_.chunks[i], steps);
        }
        run_rows(*graph_.ops[i].parts[0].kernel, first, options_);
        run_rows(*graph_.ops[i + 1].parts[0].kernel, second, options_);
      }
    }
  }

  static KernelArgs sample_of(KernelArgs args, int64_t n) {
    args.kIn += n * args.kInSample;
    args.kOut += n * args.kOutSample;
    if (args.kOperand != nullptr) args.kOperand += n * args.kOperandSample;
    args.kSampleEnd = 1;
    return args;
  }

  const float* operand_array(int array, int64_t floats) const {
    const auto base = reinterpret_cast<uintptr_t>(weights_.arrays[static_cast<size_t>(array)].data());
    return reinterpret_cast<const float*>(base + static_cast<uintptr_t>(4 * floats));
  }

  // Softmax and the like: rows along the last axis in memory.
  void run_rows_of(size_t i, const ir::Op& op) const {
    const ir::GraphTensor& in = graph_.graph.tensors[static_cast<size_t>(op.in)];
    const int64_t steps = steps_of(graph_, sizes_, op.in);
    const bool last = in.layout == Layout::kChannelsLast;
    KernelArgs args{};
    args.kIn = address(op.in);
    args.kOut = address(op.out);
    args.kSteps = last ? in.channels : steps;
    args.kInSample = args.kSteps;
    args.kOutSample = args.kSteps;
    args.kSampleEnd = batch_ * (last ? steps : in.channels);
    args.kStepEnd = 1;
    run_rows(*graph_.ops[i].parts[0].kernel, args, options_);
  }

  void run_transpose(size_t i, const ir::Op& op) const {
    const ir::GraphTensor& in = graph_.graph.tensors[static_cast<size_t>(op.in)];
    const int64_t steps = steps_of(graph_, sizes_, op.in);
    const bool last = in.layout == Layout::kChannelsLast;
    const int64_t rows = last ? steps : in.channels;
    const int64_t columns = last ? in.channels : steps;
    KernelArgs args{};
    args.kIn = address(op.in);
    args.kOut = address(op.out);
    args.kInSample = rows * columns;
    args.kOutSample = rows * columns;
    args.kInChannel = columns;
    args.kOutChannel = rows;
    args.kSampleEnd = batch_;
    args.kStepEnd = rows;
    args.kBlockEnd = columns;
    run_rows(*graph_.ops[i].parts[0].kernel, args, options_);
  }

  const CompiledGraph& graph_;
  const PackedGraph& weights_;
  std::span<const float* const> inputs_;
  std::span<float* const> outputs_;
  int64_t batch_;
  const Sizes& sizes_;
  std::byte* slots_;
  const RunOptions& options_;
};

bool all_given(const auto& pointers, const std::vector<int>& tensors, const CompiledGraph& graph,
               const Sizes& sizes) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (pointers[i] == nullptr && steps_of(graph, sizes, tensors[i]) > 0) return false;
  }
  return true;
}

bool is_empty(const CompiledGraph& graph, const Sizes& sizes) {
  return std::all_of(graph.graph.outputs.begin(), graph.graph.outputs.end(),
                     [&](int t) { return steps_of(graph, sizes, t) == 0; });
}

RunStatus check_sizes(const CompiledGraph& graph, const Sizes& sizes, int64_t batch,
                      std::span<const int64_t> steps) {
  const ir::Graph& g = graph.graph;
  for (size_t i = 0; i < g.inputs.size(); ++i) {
    if (i < g.pinned_steps.size() && g.pinned_steps[i] && steps[i] != *g.pinned_steps[i])
      return RunStatus::kWrongSteps;
  }
  for (const ir::SameSteps& pair : g.same_steps) {
    if (sizes.extents[pair.a] != sizes.extents[pair.b]) return RunStatus::kWrongSteps;
  }
  const auto is_too_long = [&](const ir::Op& op) {
    return op.problem.taps == ir::kAllSteps && steps_of(graph, sizes, op.in) > ir::kAllSteps;
  };
  if (std::any_of(g.ops.begin(), g.ops.end(), is_too_long)) return RunStatus::kBadSize;
  const bool has_input = std::all_of(steps.begin(), steps.end(), [](int64_t n) { return n > 0; });
  const bool all_made = std::all_of(g.ops.begin(), g.ops.end(),
                                    [&](const ir::Op& op) { return steps_of(graph, sizes, op.out) > 0; });
  if (has_input && batch > 0 && !all_made) return RunStatus::kEmptyOutput;
  return sizes.bytes < int64_t{1} << 60 ? RunStatus::kOk : RunStatus::kBadSize;
}

}  // namespace

size_t workspace_bytes(const CompiledGraph& graph, int64_t batch, std::span<const int64_t> steps,
                       int threads) {
  if (batch < 0 || steps.size() != graph.graph.inputs.size()) return 0;
  std::vector<int64_t> table(static_cast<size_t>(numbers_of(graph)));
  const Sizes sizes = size_up(graph, batch, steps, table.data());
  return static_cast<size_t>(memory_of_table(graph) + sizes.bytes +
                             round_up(graph.scratch_bytes) * std::max(threads, 1));
}

RunStatus run_graph(const CompiledGraph& graph, const PackedGraph& weights,
                    std::span<const float* const> inputs, std::span<float* const> outputs, int64_t batch,
                    std::span<const int64_t> steps, const RunOptions& options) noexcept {
  const auto is_bad = [](int64_t size) { return size < 0 || size > kMaxAxis; };
  if (is_bad(batch) || std::any_of(steps.begin(), steps.end(), is_bad)) return RunStatus::kBadSize;
  std::array<int64_t, kFewNumbers> few;
  thread_local ThreadMemory thread_table;
  thread_local ThreadMemory thread_slots;
  BorrowedMemory table_memory(thread_table);
  BorrowedMemory slot_memory(thread_slots);
  const bool own_memory = options.workspace == nullptr;
  const int64_t table = memory_of_table(graph);
  void* numbers = few.data();
  if (table > 0) numbers = own_memory ? table_memory.get(static_cast<size_t>(table)) : options.workspace;
  if (numbers == nullptr) return RunStatus::kNoMemory;
  const Sizes sizes = size_up(graph, batch, steps, static_cast<int64_t*>(numbers));
  if (const RunStatus status = check_sizes(graph, sizes, batch, steps); status != RunStatus::kOk)
    return status;
  if (batch == 0 || is_empty(graph, sizes)) return RunStatus::kOk;
  if (!all_given(inputs, graph.graph.inputs, graph, sizes) ||
      !all_given(outputs, graph.graph.outputs, graph, sizes))
    return RunStatus::kNullPointer;
  RunOptions inner = options;
  std::byte* slots = nullptr;
  if (own_memory) {
    slots = static_cast<std::byte*>(slot_memory.get(static_cast<size_t>(sizes.bytes)));
    if (slots == nullptr && sizes.bytes > 0) return RunStatus::kNoMemory;
  } else {
    slots = static_cast<std::byte*>(options.workspace) + table;
    inner.workspace = slots + sizes.bytes;
  }
  Call(graph, weights, inputs, outputs, batch, sizes, slots, inner).run();
  return RunStatus::kOk;
}

}  // namespace convsmith
