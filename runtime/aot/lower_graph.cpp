#include "runtime/aot/lower_graph.hpp"

#include <algorithm>
#include <array>

#include "codegen/target.hpp"
#include "codegen/vir/verify.hpp"
#include "frontend/base/ceil_div.hpp"
#include "frontend/base/check.hpp"
#include "runtime/aot/vir_machine.hpp"
#include "runtime/graph_call.hpp"

namespace convsmith {

namespace {

using vir::Arg;
using Int = VirMachine::Int;

constexpr std::string_view kCall = "call";

bool has_one_input_and_output(const CompiledGraph& graph) {
  return graph.graph.inputs.size() == 1 && graph.graph.outputs.size() == 1;
}

std::array<bool, vir::kArgs> arguments_read(const vir::Program& program) {
  std::array<bool, vir::kArgs> read{};
  for (const vir::Inst& inst : program.body) {
    if (inst.op == vir::Opcode::kArgPtr || inst.op == vir::Opcode::kArgInt)
      read[static_cast<size_t>(inst.imm)] = true;
  }
  return read;
}

std::string part_name(const CompiledKernel& kernel) {
  return kernel.program->name + ".part";
}

std::string shared_name(const CompiledKernel& kernel) {
  return kernel.program->name + ".shared";
}

// The inputs' numbers of steps: the argument itself, or for several inputs from the array in `operand`.
auto steps_of_inputs(vir::Builder& b, const CompiledGraph& graph) {
  return [&b, one = has_one_input_and_output(graph)](int i) {
    return Int(one ? b.arg_int(Arg::kSteps) : b.load_int(b.arg_ptr(Arg::kOperand), int64_t{8} * i));
  };
}

// GraphCall's machine: a pass becomes a call of its kernel, or a fork where threads share it.
class VirCall : public VirMachine {
 public:
  VirCall(vir::Builder& builder, const CompiledGraph& graph, const WeightPlan& plan,
          const CallSizes<Int>& sizes)
      : VirMachine(builder), one_(has_one_input_and_output(graph)), plan_(plan), sizes_(sizes) {}

  Ptr input(int i) { return one_ ? b_.arg_ptr(Arg::kIn) : b_.load_ptr(b_.arg_ptr(Arg::kIn), int64_t{8} * i); }
  Ptr output(int i) {
    return one_ ? b_.arg_ptr(Arg::kOut) : b_.load_ptr(b_.arg_ptr(Arg::kOut), int64_t{8} * i);
  }
  Ptr slot(const Int& bytes) { return behind(b_.arg_ptr(Arg::kScratch), bytes); }
  // Parts that are alike stand one after the other.
  Ptr weights(size_t op, size_t part, const Int& k) {
    const std::vector<int64_t>& parts = plan_.parts[op];
    const Ptr first = b_.paddc(b_.arg_ptr(Arg::kWeights), 4 * parts[part]);
    return k.is_known() ? first : moved(first, mulc(k, parts[part + 1] - parts[part]));
  }
  Ptr operand_array(int array) {
    return b_.paddc(b_.arg_ptr(Arg::kWeights), 4 * plan_.arrays[static_cast<size_t>(array)]);
  }

  void begin(const CompiledKernel& kernel) {
    reads_ = arguments_read(*kernel.program);
    steps_ = number(0);
    block_end_ = number(kernel.blocks.count);
  }
  template <class Value>
  void set(Arg arg, const Value& value) {
    if constexpr (std::is_same_v<Value, Int>) {
      if (arg == Arg::kSteps) steps_ = value;
      if (arg == Arg::kBlockEnd) block_end_ = value;
    }
    if (reads_[static_cast<size_t>(arg)]) pass(arg, value);
  }
  void call(const CompiledKernel& kernel, const Int& samples, const Int& begin, const Int& end) {
    set(Arg::kBlockBegin, number(0));
    set(Arg::kBlockEnd, block_end_);
    if (kernel.scratch_bytes > 0) set(Arg::kScratch, slot(sizes_.bytes));
    if (kernel.problem.one_step) {
      b_.call(kernel.program->name);
      return;
    }
    const Int threads = argument(Arg::kThreads);
    if_less(threads, number(2), [&] { b_.call(kernel.program->name); });
    if_less(number(1), threads, [&] {
      // What the parts need even where the kernel does not.
      pass(Arg::kThreads, threads);
      pass(Arg::kSteps, steps_);
      pass(Arg::kSampleEnd, samples);
      pass(Arg::kStepBegin, begin);
      pass(Arg::kStepEnd, end);
      pass(Arg::kBlockEnd, block_end_);
      pass(Arg::kParallel, b_.arg_ptr(Arg::kParallel));
      b_.call(shared_name(kernel));
    });
  }

 private:
  Ptr behind(Ptr p, const Int& bytes) {
    if (bytes.is_known()) return bytes.number() == 0 ? p : b_.paddc(p, bytes.number());
    return b_.padd(p, bytes.reg());
  }

  bool one_;
  const WeightPlan& plan_;
  const CallSizes<Int>& sizes_;
  std::array<bool, vir::kArgs> reads_{};
  Int steps_;
  Int block_end_;
};

// Extents and slots of a graph, as many as it has.
struct Table {
  explicit Table(const CompiledGraph& graph)
      : extents(graph.graph.extents.size()), slots(static_cast<size_t>(graph.slots)) {}
  CallSizes<Int> sizes() { return {extents.data(), slots.data(), Int(0)}; }
  std::vector<Int> extents;
  std::vector<Int> slots;
};

void pass_on(vir::Builder& b, VirMachine& z, const CompiledKernel& kernel) {
  const std::array<bool, vir::kArgs> reads = arguments_read(*kernel.program);
  for (int a = 0; a < vir::kArgs; ++a) {
    const auto arg = static_cast<Arg>(a);
    if (!reads[static_cast<size_t>(a)]) continue;
    if (vir::is_pointer(arg)) {
      z.pass(arg, b.arg_ptr(arg));
    } else {
      z.pass(arg, z.argument(arg));
    }
  }
}

// A pass that threads may share: in parts where there is work enough.
vir::Program lower_shared(const CompiledKernel& kernel, int lanes) {
  vir::Builder b(shared_name(kernel), lanes);
  VirMachine z(b);
  pass_on(b, z, kernel);
  const Int samples = z.argument(Arg::kSampleEnd);
  const Int begin = z.argument(Arg::kStepBegin);
  const Int end = z.argument(Arg::kStepEnd);
  const Int threads = z.argument(Arg::kThreads);
  const Int rows = z.sub(end, begin);
  const Parts<Int> parts = choose_parts(z, kernel, threads, samples, rows, z.argument(Arg::kSteps));
  const Int count = z.mul(z.mul(parts.samples, parts.steps), parts.blocks);
  z.if_less(count, VirMachine::number(2), [&] { b.call(kernel.program->name); });
  z.if_less(VirMachine::number(1), count, [&] {
    z.pass(Arg::kSampleParts, parts.samples);
    z.pass(Arg::kStepParts, parts.steps);
    z.pass(Arg::kBlockParts, parts.blocks);
    z.pass(Arg::kModes, Int(b.modes()));
    z.pass(Arg::kSampleEnd, samples);
    z.pass(Arg::kStepBegin, begin);
    z.pass(Arg::kStepEnd, end);
    z.pass(Arg::kBlockEnd, z.argument(Arg::kBlockEnd));
    b.fork(z.reg(count), part_name(kernel));
  });
  return b.take();
}

// The share of one thread in a pass, in the modes of the thread that calls.
vir::Program lower_part(const CompiledKernel& kernel, int lanes) {
  vir::Builder b(part_name(kernel), lanes);
  VirMachine z(b);
  const std::array<bool, vir::kArgs> reads = arguments_read(*kernel.program);
  pass_on(b, z, kernel);
  const Int index(b.part());
  const Int sample_parts = z.argument(Arg::kSampleParts);
  const Int step_parts = z.argument(Arg::kStepParts);
  const Int of_step = z.div(index, sample_parts);
  const Int of_block = z.div(of_step, step_parts);
  const auto rest = [&](const Int& i, const Int& quotient, const Int& n) {
    return z.sub(i, z.mul(quotient, n));
  };
  const auto pass = [&](Arg begin, Arg end, const Share<Int>& share) {
    if (reads[static_cast<size_t>(begin)]) z.pass(begin, share.begin);
    if (reads[static_cast<size_t>(end)]) z.pass(end, share.end);
  };
  const Int sample = rest(index, of_step, sample_parts);
  pass(Arg::kSampleBegin, Arg::kSampleEnd, share_of(z, z.argument(Arg::kSampleEnd), sample_parts, sample, 1));
  const Int step_begin = z.argument(Arg::kStepBegin);
  const Int rows = z.sub(z.argument(Arg::kStepEnd), step_begin);
  const Int step = rest(of_step, of_block, step_parts);
  const Share<Int> steps = share_of(z, rows, step_parts, step, kernel.tile_steps);
  const Int first = z.add(steps.begin, step_begin);
  pass(Arg::kStepBegin, Arg::kStepEnd, {first, z.add(steps.end, step_begin)});
  const Int block_parts = z.argument(Arg::kBlockParts);
  pass(Arg::kBlockBegin, Arg::kBlockEnd, share_of(z, z.argument(Arg::kBlockEnd), block_parts, of_block, 1));
  if (kernel.scratch_bytes > 0) {
    const vir::I slice = b.imulc(index.reg(), round_up(kernel.scratch_bytes, kSlotLine));
    z.pass(Arg::kScratch, b.padd(b.arg_ptr(Arg::kScratch), slice));
  }
  const Int own(b.modes());
  b.set_modes(b.arg_int(Arg::kModes));
  b.call(kernel.program->name);
  b.set_modes(own.reg());
  return b.take();
}

vir::Program lower_call(const CompiledGraph& graph, const WeightPlan& plan, int lanes) {
  vir::Builder b(std::string(kCall), lanes);
  Table table(graph);
  CallSizes<Int> sizes = table.sizes();
  VirCall z(b, graph, plan, sizes);
  GraphCall<VirCall> call(z, graph, sizes);
  const auto steps = steps_of_inputs(b, graph);
  const Int batch = z.argument(Arg::kSampleEnd);
  call.find_extents(steps);
  call.find_slots(batch);
  const Int status = call.status(batch, steps);
  const auto zero = VirMachine::number(0);
  const auto one = VirMachine::number(1);
  const auto refuse_null = [&](vir::P p, const Int& needed) {
    z.if_less(zero, needed, [&] {
      z.if_null(p, [&] { z.assign(status, Int(static_cast<int64_t>(RunStatus::kNullPointer))); });
    });
  };
  z.if_less(status, one, [&] {
    z.if_less(zero, batch, [&] {
      z.if_less(zero, call.output_steps(), [&] {
        const ir::Graph& g = graph.graph;
        for (size_t i = 0; i < g.inputs.size(); ++i)
          refuse_null(z.input(static_cast<int>(i)), call.steps_of(g.inputs[i]));
        for (size_t i = 0; i < g.outputs.size(); ++i)
          refuse_null(z.output(static_cast<int>(i)), call.steps_of(g.outputs[i]));
        refuse_null(b.arg_ptr(Arg::kWeights), VirMachine::number(plan.floats));
        const Int workspace = z.addc(sizes.bytes, graph.scratch_bytes);
        refuse_null(b.arg_ptr(Arg::kScratch), workspace);
        z.if_less(status, one, [&] { call.run(batch); });
      });
    });
  });
  b.result(status.reg());
  return b.take();
}

// The C function around "call".
vir::Program lower_run(const CompiledGraph& graph, int lanes, bool embedded, bool parallel, bool flush) {
  vir::Builder b(std::string(parallel ? "run_parallel" : "run") + (flush ? "_flush" : ""), lanes);
  VirMachine z(b);
  const bool one = has_one_input_and_output(graph);
  std::vector<Arg> params;
  if (!embedded) params.push_back(Arg::kWeights);
  params.insert(params.end(),
                {Arg::kIn, Arg::kOut, Arg::kSampleEnd, one ? Arg::kSteps : Arg::kOperand, Arg::kScratch});
  for (const Arg arg : params) {
    if (vir::is_pointer(arg)) {
      z.pass(arg, b.arg_ptr(arg));
    } else {
      z.pass(arg, z.argument(arg));
    }
  }
  if (embedded) z.pass(Arg::kWeights, b.data(kWeightsData));
  const Int threads = z.variable(VirMachine::number(1));
  if (parallel) {
    params.push_back(Arg::kParallel);
    const vir::P pool = b.arg_ptr(Arg::kParallel);
    z.pass(Arg::kParallel, pool);
    const Int given = z.variable(VirMachine::number(1));
    z.if_null(pool, [&] { z.assign(given, VirMachine::number(0)); });
    z.if_less(VirMachine::number(0), given, [&] { z.assign(threads, Int(b.load_int(pool, 16))); });
  }
  z.pass(Arg::kThreads, threads);
  const Int status = z.variable(Int(static_cast<int64_t>(RunStatus::kNullPointer)));
  // Several inputs and outputs come in arrays, which must be there.
  const Int all_there = z.variable(VirMachine::number(1));
  for (const Arg arg : params) {
    if (!one && (arg == Arg::kIn || arg == Arg::kOut || arg == Arg::kOperand))
      z.if_null(b.arg_ptr(arg), [&] { z.assign(all_there, VirMachine::number(0)); });
  }
  const auto call = [&] {
    z.if_less(VirMachine::number(0), all_there, [&] { z.assign(status, Int(b.call(kCall))); });
  };
  if (flush) {
    const vir::I own = b.modes();
    b.set_modes(b.flushing(own));
    call();
    b.set_modes(own);
  } else {
    call();
  }
  b.set_params(std::move(params));
  b.result(status.reg());
  return b.take();
}

// Runs `then` where the sizes are legal; the result is -1 otherwise.
template <class Then>
vir::Program lower_size(std::string_view name, std::vector<Arg> params, int lanes, const CompiledGraph& graph,
                        Then&& then) {
  vir::Builder b(std::string(name), lanes);
  Table table(graph);
  CallSizes<Int> sizes = table.sizes();
  VirMachine z(b);
  const bool one = has_one_input_and_output(graph);
  params.push_back(one ? Arg::kSteps : Arg::kOperand);
  std::rotate(params.begin(), params.end() - 1, params.end());
  const Int result = z.variable(VirMachine::number(-1));
  const auto steps = steps_of_inputs(b, graph);
  const auto find = [&] {
    Int least = VirMachine::number(0);
    Int most = VirMachine::number(0);
    const auto meet = [&](const Int& size) {
      least = z.min(least, size);
      most = z.max(most, size);
    };
    for (size_t i = 0; i < graph.graph.inputs.size(); ++i) meet(steps(static_cast<int>(i)));
    for (const Arg arg : params) {
      if (!vir::is_pointer(arg) && arg != Arg::kSteps) meet(z.argument(arg));
    }
    z.if_less(VirMachine::number(-1), least, [&] {
      z.if_less(most, VirMachine::number(kMaxAxis + 1), [&] {
        GraphCall<VirMachine> call(z, graph, sizes);
        call.find_extents(steps);
        then(b, z, call, sizes, result);
      });
    });
  };
  if (one) {
    find();
  } else {
    const Int given = z.variable(VirMachine::number(1));
    z.if_null(b.arg_ptr(Arg::kOperand), [&] { z.assign(given, VirMachine::number(0)); });
    z.if_less(VirMachine::number(0), given, find);
  }
  b.set_params(std::move(params));
  b.result(result.reg());
  return b.take();
}

// As the header has it; lower_size puts the steps there.
void put_batch_first(vir::Program& program) {
  std::swap(program.params[0], program.params[1]);
}

// A size of one of several tensors, which the last parameter numbers.
template <class Size>
vir::Program lower_tensor_size(std::string_view name, std::vector<Arg> params,
                               const std::vector<int>& tensors, int lanes, const CompiledGraph& graph,
                               Size&& size_of) {
  const bool one = has_one_input_and_output(graph);
  if (!one) params.push_back(Arg::kBlockBegin);
  return lower_size(
      name, params, lanes, graph,
      [&](vir::Builder&, VirMachine& z, GraphCall<VirMachine>& call, CallSizes<Int>&, const Int& result) {
        for (size_t i = 0; i < tensors.size(); ++i) {
          const auto take = [&] { z.assign(result, size_of(z, call, tensors[i])); };
          if (one) return take();
          const Int which = z.argument(Arg::kBlockBegin);
          const auto number = static_cast<int64_t>(i);
          z.if_less(VirMachine::number(number - 1), which,
                    [&] { z.if_less(which, VirMachine::number(number + 1), take); });
        }
      });
}

vir::Program lower_output_steps(const CompiledGraph& graph, int lanes) {
  return lower_tensor_size(
      "output_steps", {}, graph.graph.outputs, lanes, graph,
      [](VirMachine&, GraphCall<VirMachine>& call, int tensor) { return call.steps_of(tensor); });
}

// Floats of a whole array.
vir::Program lower_floats(std::string_view name, const std::vector<int>& tensors, const CompiledGraph& graph,
                          int lanes) {
  const auto floats = [&](VirMachine& z, GraphCall<VirMachine>& call, int tensor) {
    const Int rows = product(z, z.argument(Arg::kSampleEnd), call.steps_of(tensor));
    return product(z, rows, VirMachine::number(graph.graph.tensors[static_cast<size_t>(tensor)].channels));
  };
  vir::Program program = lower_tensor_size(name, {Arg::kSampleEnd}, tensors, lanes, graph, floats);
  put_batch_first(program);
  return program;
}

vir::Program lower_workspace_bytes(const CompiledGraph& graph, int lanes, bool parallel) {
  std::vector<Arg> params = {Arg::kSampleEnd};
  if (parallel) params.push_back(Arg::kThreads);
  vir::Program program =
      lower_size(parallel ? "parallel_workspace_bytes" : "workspace_bytes", params, lanes, graph,
                 [&](vir::Builder&, VirMachine& z, GraphCall<VirMachine>& call, CallSizes<Int>& sizes,
                     const Int& result) {
                   call.find_slots(z.argument(Arg::kSampleEnd));
                   Int threads = VirMachine::number(1);
                   if (parallel) threads = z.max(threads, z.argument(Arg::kThreads));
                   const Int scratch = z.mulc(threads, round_up(graph.scratch_bytes, kSlotLine));
                   z.assign(result, z.add(sizes.bytes, scratch));
                 });
  put_batch_first(program);
  return program;
}

vir::Program lower_info(int lanes) {
  vir::Builder b("info", lanes);
  b.result(b.data(kInfoData));
  // A C function; it reads none of its parameters.
  b.set_params({Arg::kSteps});
  return b.take();
}

vir::Program lower_packed_bytes(const WeightPlan& plan, int lanes) {
  vir::Builder b("packed_bytes", lanes);
  b.result(b.iconst(4 * plan.floats));
  b.set_params({Arg::kSteps});
  return b.take();
}

}  // namespace

WeightPlan::WeightPlan(const CompiledGraph& graph) {
  const auto take = [&](int64_t count) {
    const int64_t at = floats;
    floats += (count + 15) / 16 * 16;
    return at;
  };
  for (const CompiledOp& op : graph.ops) {
    parts.emplace_back();
    for (const CompiledPart& part : op.parts) parts.back().push_back(take(part.kernel->weights.floats()));
  }
  arrays.assign(graph.graph.arrays.size(), 0);
  for (const ir::Op& op : graph.graph.ops) {
    if (op.operand_array < 0) continue;
    int64_t count = 1;
    for (const int64_t size : graph.graph.arrays[static_cast<size_t>(op.operand_array)].shape) count *= size;
    arrays[static_cast<size_t>(op.operand_array)] = take(count);
  }
}

std::vector<vir::Program> lower_graph(const CompiledGraph& graph, bool embedded) {
  const int lanes = target_for(graph.isa).lanes;
  const WeightPlan plan(graph);
  std::vector<vir::Program> functions;
  std::vector<const CompiledKernel*> done;
  const auto add = [&](const CompiledKernel& kernel) {
    if (std::find(done.begin(), done.end(), &kernel) != done.end()) return;
    done.push_back(&kernel);
    functions.push_back(*kernel.program);
    if (kernel.problem.one_step) return;
    functions.push_back(lower_shared(kernel, lanes));
    functions.push_back(lower_part(kernel, lanes));
  };
  for (const CompiledOp& op : graph.ops) {
    for (const CompiledPart& part : op.parts) add(*part.kernel);
  }
  if (!graph.rolling.empty()) add(*graph.move);
  functions.push_back(lower_call(graph, plan, lanes));
  for (const bool flush : {false, true}) {
    functions.push_back(lower_run(graph, lanes, embedded, /*parallel=*/false, flush));
    functions.push_back(lower_run(graph, lanes, embedded, /*parallel=*/true, flush));
  }
  functions.push_back(lower_output_steps(graph, lanes));
  functions.push_back(lower_floats("input_floats", graph.graph.inputs, graph, lanes));
  functions.push_back(lower_floats("output_floats", graph.graph.outputs, graph, lanes));
  functions.push_back(lower_workspace_bytes(graph, lanes, /*parallel=*/false));
  functions.push_back(lower_workspace_bytes(graph, lanes, /*parallel=*/true));
  functions.push_back(lower_info(lanes));
  if (!embedded) {
    functions.push_back(lower_packed_bytes(plan, lanes));
    functions.push_back(lower_pack(graph, plan, lanes));
  }
  for (const vir::Program& function : functions) {
    const Result<void> ok = vir::verify(function);
    if (!ok) fail_check(__FILE__, __LINE__, ok.error().message.c_str());
  }
  return functions;
}

std::vector<std::string_view> c_functions(bool embedded) {
  std::vector<std::string_view> names = {
      "run",          "run_parallel",  "run_flush",       "run_parallel_flush",       "output_steps",
      "input_floats", "output_floats", "workspace_bytes", "parallel_workspace_bytes", "info"};
  if (!embedded) names.insert(names.end(), {"packed_bytes", "pack"});
  return names;
}

}  // namespace convsmith
