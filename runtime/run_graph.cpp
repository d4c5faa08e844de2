// One call of a compiled graph on the host: GraphCall with numbers, and the memory it needs.
#include <algorithm>
#include <array>
#include <cstring>

#include "codegen/control_word.hpp"
#include "frontend/base/ceil_div.hpp"
#include "runtime/graph_call.hpp"
#include "runtime/host/thread_memory.hpp"
#include "runtime/host_machine.hpp"

namespace convsmith {

namespace {

// So many numbers have room on the stack; more, and what lies in slots, have their place in the workspace.
constexpr int64_t kFewNumbers = 16;

int64_t numbers_of(const CompiledGraph& graph) {
  return static_cast<int64_t>(graph.graph.extents.size()) + graph.slots;
}

int64_t memory_of_table(const CompiledGraph& graph) {
  const int64_t numbers = numbers_of(graph);
  return numbers <= kFewNumbers ? 0 : round_up(static_cast<int64_t>(sizeof(int64_t)) * numbers, kSlotLine);
}

// One call, with all its memory at hand.
class HostCall : public Host {
 public:
  HostCall(const PackedGraph& weights, std::span<const float* const> inputs, std::span<float* const> outputs,
           std::byte* slots, const RunOptions& options)
      : weights_(weights), inputs_(inputs), outputs_(outputs), slots_(slots), options_(options) {}

  Ptr input(int i) const { return reinterpret_cast<Ptr>(inputs_[static_cast<size_t>(i)]); }
  Ptr output(int i) const { return reinterpret_cast<Ptr>(outputs_[static_cast<size_t>(i)]); }
  Ptr slot(int64_t offset) const { return reinterpret_cast<Ptr>(slots_) + bits(offset); }
  Ptr weights(size_t op, size_t part, int64_t k) const {
    return reinterpret_cast<Ptr>(weights_.parts[op][part + static_cast<size_t>(k)]->data);
  }
  Ptr operand_array(int array) const {
    return reinterpret_cast<Ptr>(weights_.arrays[static_cast<size_t>(array)].data());
  }
  void begin(const CompiledKernel& kernel) {
    args_ = {};
    args_.kBlockEnd = kernel.blocks.count;
  }
  void set(vir::Arg arg, uint64_t value) {
    std::memcpy(reinterpret_cast<std::byte*>(&args_) + 8 * static_cast<size_t>(arg), &value, 8);
  }
  void set(vir::Arg arg, int64_t value) { set(arg, bits(value)); }
  void call(const CompiledKernel& kernel, int64_t, int64_t, int64_t) { run_rows(kernel, args_, options_); }

 private:
  const PackedGraph& weights_;
  std::span<const float* const> inputs_;
  std::span<float* const> outputs_;
  std::byte* slots_;
  const RunOptions& options_;
  KernelArgs args_{};
};

using Sizes = CallSizes<int64_t>;

auto each(std::span<const int64_t> steps) {
  return [steps](int i) { return steps[static_cast<size_t>(i)]; };
}

Sizes size_up(const CompiledGraph& graph, int64_t batch, std::span<const int64_t> steps, int64_t* table) {
  Sizes sizes{table, table + graph.graph.extents.size()};
  Host host;
  GraphCall<Host> call(host, graph, sizes);
  call.find_extents(each(steps));
  call.find_slots(batch);
  return sizes;
}

int64_t steps_of(const CompiledGraph& graph, const Sizes& sizes, int tensor) {
  return sizes.extents[graph.graph.tensors[static_cast<size_t>(tensor)].steps];
}

bool all_given(const auto& pointers, const std::vector<int>& tensors, const CompiledGraph& graph,
               const Sizes& sizes) {
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (pointers[i] == nullptr && steps_of(graph, sizes, tensors[i]) > 0) return false;
  }
  return true;
}

}  // namespace

size_t workspace_bytes(const CompiledGraph& graph, int64_t batch, std::span<const int64_t> steps,
                       int threads) {
  if (batch < 0 || steps.size() != graph.graph.inputs.size()) return 0;
  std::vector<int64_t> table(static_cast<size_t>(numbers_of(graph)));
  const Sizes sizes = size_up(graph, batch, steps, table.data());
  return static_cast<size_t>(memory_of_table(graph) + sizes.bytes +
                             round_up(graph.scratch_bytes, kSlotLine) * std::max(threads, 1));
}

RunStatus run_graph(const CompiledGraph& graph, const PackedGraph& weights,
                    std::span<const float* const> inputs, std::span<float* const> outputs, int64_t batch,
                    std::span<const int64_t> steps, const RunOptions& options) noexcept {
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
  Sizes sizes = size_up(graph, batch, steps, static_cast<int64_t*>(numbers));
  Host host;
  GraphCall<Host> checked(host, graph, sizes);
  const auto status = static_cast<RunStatus>(checked.status(batch, each(steps)));
  if (status != RunStatus::kOk || batch == 0 || checked.output_steps() == 0) return status;
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
  const ScopedControlWord modes(options.denormals);
  HostCall call(weights, inputs, outputs, slots, inner);
  GraphCall<HostCall>(call, graph, sizes).run(batch);
  return RunStatus::kOk;
}

}  // namespace convsmith
