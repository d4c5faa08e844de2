#include "runtime/compiled_graph.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "codegen/control_word.hpp"
#include "codegen/programs/move_program.hpp"
#include "codegen/programs/row_programs.hpp"
#include "codegen/programs/transpose_program.hpp"
#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"
#include "ir/graph/plan_slots.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/disk_cache.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/rolling_group.hpp"

namespace convsmith {

namespace {

// Parts of a transposed problem: each is code and a copy of its share of the weights.
constexpr int64_t kMaxTransposedStride = 1024;

// Kernels for this process, each compiled once.
class CachedKernels final : public KernelMaker {
 public:
  CachedKernels(Backend backend, Isa isa, std::string_view schedule, KernelCache& cache, const Tuning* tuning)
      : backend_(backend), isa_(isa), schedule_(schedule), cache_(cache), tuning_(tuning) {
    const auto& memory = process_code_memory();
    memory_ = memory ? *memory : nullptr;
  }

  KernelResult nest(const Problem& problem) override {
    const bool is_open = schedule_.empty() && tuning_ != nullptr;
    const std::string* const tuned = is_open ? tuning_->find(problem, isa_) : nullptr;
    if (tuned == nullptr) return scheduled(problem, schedule_);
    auto kernel = scheduled(problem, *tuned);
    say_tuned(problem, *tuned, kernel ? nullptr : &kernel.error());
    return kernel ? kernel : scheduled(problem, {});
  }

  KernelResult program(const vir::Program& program) override {
    const auto name = [&] { return program.name; };
    return get(program.name, {}, name, [&]() -> KernelResult {
      auto code = make_kernel(program, backend_, target_for(isa_), memory_);
      if (!code) return tl::unexpected(code.error());
      auto compiled = std::make_shared<CompiledKernel>(kernel_without_code(program, target_for(isa_)));
      compiled->backend = backend_;
      compiled->kernel = std::move(*code);
      return compiled;
    });
  }

 private:
  KernelResult scheduled(const Problem& problem, std::string_view schedule) {
    return get(
        fmt::format("{} {}", ir::problem_text(problem), schedule), problem,
        [&] { return kernel_name(problem); },
        [&] { return compile_problem(problem, backend_, isa_, schedule, memory_); });
  }
  template <class Name, class Make>
  KernelResult get(const std::string& what, const Problem& problem, Name&& name, Make&& make) {
    const std::string key = fmt::format("{} {} {}", backend_name(backend_), isa_name(isa_), what);
    return cache_.get(key, [&] {
      const DiskCache* disk = backend_ == Backend::kInterp || memory_ == nullptr ? nullptr : cache_.disk();
      return disk == nullptr ? make() : disk->get({key, name(), problem, backend_, isa_}, *memory_, make);
    });
  }

  Backend backend_;
  Isa isa_;
  std::string_view schedule_;
  KernelCache& cache_;
  const Tuning* tuning_;
  CodeMemory* memory_ = nullptr;
};

ActivationKind row_activation(ir::OpKind kind) {
  switch (kind) {
    case ir::OpKind::kSoftmax:
      return ActivationKind::kSoftmax;
    case ir::OpKind::kLogSoftmax:
      return ActivationKind::kLogSoftmax;
    default:
      return ActivationKind::kSparsemax;
  }
}

Result<CompiledOp> compile_op(const ir::Op& op, Isa isa, KernelMaker& kernels) {
  CompiledOp compiled;
  if (!ir::has_problem(op.kind)) {
    const Target& target = target_for(isa);
    auto kernel =
        kernels.program(op.kind == ir::OpKind::kTranspose ? transpose_program(target)
                                                          : row_program(row_activation(op.kind), target));
    if (!kernel) return tl::unexpected(kernel.error());
    compiled.parts.push_back({ir::Part{.taps = {}}, std::move(*kernel)});
    return compiled;
  }
  if (op.problem.transposed && op.problem.stride > kMaxTransposedStride) {
    const bool repeats = !op.problem.has_weights();  // of UpSampling1D
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("{}: {} up to {}, got {}.{}", op.name,
                    repeats ? "`size` of UpSampling1D may be" : "a transposed layer may have `strides`",
                    kMaxTransposedStride, op.problem.stride,
                    repeats ? " Several in a row repeat by the product of their sizes." : ""));
  }
  for (ir::Part& part : ir::split_parts(op.problem)) {
    const Problem problem = part.problem.without_padding();
    const CompiledPart* const before = compiled.parts.empty() ? nullptr : &compiled.parts.back();
    // Of hundreds of phases most are one problem, whose kernel need not be looked up each time.
    const bool is_same = before != nullptr && before->part.problem.without_padding() == problem;
    KernelResult kernel = is_same ? KernelResult(before->kernel) : kernels.nest(problem);
    if (!kernel) return tl::unexpected(kernel.error());
    compiled.parts.push_back({std::move(part), std::move(*kernel)});
  }
  return compiled;
}

// While a group runs, again and again, nothing may take the place of what it reads from outside, of what it
// makes for others, and of what stays for the next chunk.
std::vector<ir::Kept> kept_tensors(const CompiledGraph& out) {
  std::vector<ir::Kept> kept;
  for (const RollingGroup& group : out.rolling) {
    for (size_t i = group.first; i <= group.last; ++i) {
      const ir::Op& op = out.graph.ops[i];
      for (const int t : {op.in, op.operand, op.out}) {
        const RollingGroup::Buffer* buffer = t < 0 ? nullptr : rolling_buffer(out.graph, group, t);
        if (t >= 0 && (buffer == nullptr || buffer->keeps))
          kept.push_back({ir::root_of(out.graph, t), {group.first, group.last}});
      }
    }
  }
  return kept;
}

std::shared_ptr<const PackedData> pack_part(const ir::Op& op, const CompiledPart& part,
                                            std::span<const std::span<const float>> arrays) {
  const Problem& p = part.part.problem;
  if (op.kind != ir::OpKind::kNest || part.kernel->weights.floats() == 0) return nullptr;
  std::span<const float> kernel;
  std::vector<float> own;
  if (op.kernel >= 0) kernel = arrays[static_cast<size_t>(op.kernel)];
  if (op.problem.transposed && p.has_weights()) {
    own = ir::part_kernel(op.problem, part.part, kernel.data());
    kernel = own;
  }
  std::vector<float> bias;
  for (int64_t j = 0; p.has_bias && j < part.part.phases; ++j) {
    const std::span<const float> once = arrays[static_cast<size_t>(op.bias)];
    bias.insert(bias.end(), once.begin(), once.end());
  }
  return pack_weights(part.kernel, kernel, bias);
}

}  // namespace

void place_tensors(CompiledGraph& out) {
  const ir::Graph& graph = out.graph;
  const ir::Plan plan = ir::plan_slots(graph, kept_tensors(out));
  out.slots = plan.slots;
  out.slot_tensors.clear();
  out.places.clear();
  // Inputs and outputs may be views: what counts is whose memory they show.
  const auto number_in = [&](const std::vector<int>& list, int root) {
    const auto shows = [&](int tensor) { return ir::root_of(graph, tensor) == root; };
    return static_cast<int>(std::find_if(list.begin(), list.end(), shows) - list.begin());
  };
  for (int t = 0; t < static_cast<int>(graph.tensors.size()); ++t) {
    CompiledGraph::Place place;
    int root = t;
    for (; graph.tensors[static_cast<size_t>(root)].base >= 0;
         root = graph.tensors[static_cast<size_t>(root)].base)
      place.offset += graph.tensors[static_cast<size_t>(root)].first_channel;
    using Kind = CompiledGraph::Place::Kind;
    if (const int i = number_in(graph.inputs, root); i < static_cast<int>(graph.inputs.size())) {
      place.kind = Kind::kInput;
      place.index = i;
    } else if (const int o = number_in(graph.outputs, root); o < static_cast<int>(graph.outputs.size())) {
      place.kind = Kind::kOutput;
      place.index = o;
    } else {
      place.kind = Kind::kSlot;
      place.index = plan.slot_of_tensor[static_cast<size_t>(root)];
      if (root == t && place.index >= 0) out.slot_tensors.push_back(t);
    }
    out.places.push_back(place);
  }
}

Result<std::shared_ptr<const CompiledGraph>> compile_graph(ir::Graph graph, Backend backend, Isa isa,
                                                           KernelMaker& kernels) {
  const ScopedControlWord modes(kUsualModes);
  auto out = std::make_shared<CompiledGraph>();
  out->backend = backend;
  out->isa = isa;
  for (const ir::Op& op : graph.ops) {
    auto compiled = compile_op(op, isa, kernels);
    if (!compiled) return tl::unexpected(compiled.error());
    for (const CompiledPart& part : compiled->parts) {
      out->scratch_bytes = std::max(out->scratch_bytes, part.kernel->scratch_bytes);
      if (part.kernel->kernel != nullptr) out->code_bytes += part.kernel->kernel->code_bytes();
    }
    out->ops.push_back(std::move(*compiled));
  }
  out->graph = std::move(graph);
  if (!rolling_runs(out->graph, 2, std::numeric_limits<int64_t>::max()).empty()) {
    KernelResult move = kernels.program(move_program(target_for(isa)));
    if (!move) return tl::unexpected(move.error());
    out->move = std::move(*move);
  }
  choose_graph_schedule(*out);
  return out;
}

Result<std::shared_ptr<const CompiledGraph>> compile_graph(ir::Graph graph, Backend backend, Isa isa,
                                                           std::string_view schedule, KernelCache& kernels,
                                                           const Tuning* tuning) {
  if (is_graph_schedule(schedule)) {
    const auto parsed = parse_graph_schedule(schedule);
    if (!parsed) return tl::unexpected(parsed.error());
    auto compiled = compile_graph(std::move(graph), backend, isa, {}, kernels, tuning);
    return compiled ? with_schedule(**compiled, *parsed) : compiled;
  }
  CachedKernels maker(backend, isa, schedule, kernels, tuning);
  auto compiled = compile_graph(std::move(graph), backend, isa, maker);
  if (!compiled || schedule.empty()) return compiled;
  size_t nests = 0;
  for (const CompiledOp& op : (*compiled)->ops) nests += op.parts.size();
  if (nests != 1) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("A schedule is for one loop nest; this layer is compiled as {}.", nests));
  }
  return compiled;
}

std::shared_ptr<const PackedGraph> pack_graph(std::shared_ptr<const CompiledGraph> graph,
                                              std::span<const std::span<const float>> arrays) {
  auto packed = std::make_shared<PackedGraph>();
  packed->arrays.resize(graph->graph.arrays.size());
  for (size_t i = 0; i < graph->ops.size(); ++i) {
    const ir::Op& op = graph->graph.ops[i];
    packed->parts.emplace_back();
    for (const CompiledPart& part : graph->ops[i].parts)
      packed->parts.back().push_back(pack_part(op, part, arrays));
    if (op.operand_array < 0) continue;
    const std::span<const float> array = arrays[static_cast<size_t>(op.operand_array)];
    packed->arrays[static_cast<size_t>(op.operand_array)].assign(array.begin(), array.end());
  }
  packed->graph = std::move(graph);
  return packed;
}

size_t parts_alike(const std::vector<CompiledPart>& parts, size_t j) {
  const auto is_next = [&](size_t k) {
    const ir::Part& a = parts[j].part;
    const ir::Part& b = parts[k].part;
    return parts[j].kernel == parts[k].kernel && a.problem == b.problem && a.merged_phases > 0 &&
           a.merged_phases == b.merged_phases && a.merged_first == b.merged_first &&
           b.first == a.first + static_cast<int64_t>(k - j);
  };
  size_t end = j + 1;
  while (end < parts.size() && is_next(end)) ++end;
  return end - j;
}

bool have_same_layout(const CompiledGraph& one, const CompiledGraph& other) {
  const auto fits = [](const CompiledPart& a, const CompiledPart& b) {
    return a.kernel->weights == b.kernel->weights && a.part.problem.taps == b.part.problem.taps &&
           a.part.taps == b.part.taps;
  };
  return std::equal(one.ops.begin(), one.ops.end(), other.ops.begin(), other.ops.end(),
                    [&](const CompiledOp& a, const CompiledOp& b) {
                      return std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(), fits);
                    });
}

bool weights_fit(const CompiledGraph& graph, const PackedGraph& weights) {
  if (weights.graph.get() == &graph) return true;
  const auto same_shape = [](const ir::Array& a, const ir::Array& b) { return a.shape == b.shape; };
  const std::vector<ir::Array>& arrays = weights.graph->graph.arrays;
  return std::equal(graph.graph.arrays.begin(), graph.graph.arrays.end(), arrays.begin(), arrays.end(),
                    same_shape) &&
         have_same_layout(graph, *weights.graph);
}

}  // namespace convsmith
