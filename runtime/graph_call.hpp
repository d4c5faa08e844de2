// One call of a graph: sizes, checks, then pass by pass. Written once over a machine Z with integers and
// pointers: run_graph does it on the host, with numbers; lower_graph emits it as vir, for code that runs
// without us.
//
//   Int, Ptr                     values; copies share nothing
//   number(n), add, addc, sub, mul, mulc, div (a >= 0, b >= 1), divc, min, max    the integers of vir
//   variable(i), assign(v, i)    an Int that changes
//   if_less(a, b, f), while_less(a, b, f)    f() where a < b; a and b are variables or stay the same
//   moved(p, i)                  p + i floats
//   set(arg, value)              an argument of the next pass
//   call(kernel)                 the pass: a CompiledKernel, with rows [kStepBegin, kStepEnd) of all samples
//
// No call here has two arguments that emit: C++ leaves their order open, and artifacts must not depend on the
// compiler that built us.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/vir/vir.hpp"
#include "frontend/keras/check_spec.hpp"
#include "runtime/call_arithmetic.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/graph_schedule.hpp"

namespace convsmith {

constexpr int64_t kSlotLine = 64;  // bytes: where slots and each thread's scratch begin

// Numbers of one call: extents, then where each slot begins, in memory that the caller provides.
template <class Int>
struct CallSizes {
  Int* extents;
  Int* slots;
  Int bytes{};  // of all slots
};

template <class Z>
class GraphCall {
 public:
  using Int = typename Z::Int;
  using Ptr = typename Z::Ptr;
  using Arg = vir::Arg;

  GraphCall(Z& z, const CompiledGraph& graph, CallSizes<Int>& sizes)
      : z_(z), graph_(graph), g_(graph.graph), sizes_(sizes) {}

  // `steps` by input. Any numbers: products stop at 2^60.
  template <class Steps>
  void find_extents(const Steps& steps) {
    for (size_t i = 0; i < g_.extents.size(); ++i) sizes_.extents[i] = extent(g_.extents[i], steps);
  }

  // Behind find_extents.
  void find_slots(const Int& batch) {
    for (int s = 0; s < graph_.slots; ++s) sizes_.slots[s] = z_.number(0);
    for (const int t : graph_.slot_tensors) {
      Int& slot = sizes_.slots[graph_.places[static_cast<size_t>(t)].index];
      slot = z_.max(slot, slot_bytes(t, batch));
    }
    sizes_.bytes = z_.number(0);
    for (int s = 0; s < graph_.slots; ++s) {
      const Int size = sizes_.slots[s];
      sizes_.slots[s] = sizes_.bytes;
      sizes_.bytes = z_.min(z_.add(sizes_.bytes, size), z_.number(int64_t{1} << 61));
    }
  }

  // RunStatus as a number, but for null pointers. The assignments stand in the order of growing weight.
  template <class Steps>
  Int status(const Int& batch, const Steps& steps) {
    Int status = z_.variable(z_.number(0));
    const auto refuse_if_less = [&](const Int& a, const Int& b, RunStatus why) {
      z_.if_less(a, b, [&] { z_.assign(status, z_.number(static_cast<int64_t>(why))); });
    };
    const Int zero = z_.number(0);
    if (graph_.slots > 0)
      refuse_if_less(z_.number((int64_t{1} << 60) - 1), sizes_.bytes, RunStatus::kBadSize);
    Int least_in = batch;
    for (size_t i = 0; i < g_.inputs.size(); ++i) least_in = z_.min(least_in, steps(static_cast<int>(i)));
    Int least_out = z_.number(1);
    for (const ir::Op& op : g_.ops) least_out = z_.min(least_out, steps_of(op.out));
    z_.if_less(zero, least_in, [&] { refuse_if_less(least_out, z_.number(1), RunStatus::kEmptyOutput); });
    for (const ir::Op& op : g_.ops) {
      if (op.problem.taps == ir::kAllSteps)
        refuse_if_less(z_.number(ir::kAllSteps), steps_of(op.in), RunStatus::kBadSize);
    }
    const auto refuse_if_other = [&](const Int& a, const Int& b) {
      refuse_if_less(a, b, RunStatus::kWrongSteps);
      refuse_if_less(b, a, RunStatus::kWrongSteps);
    };
    for (const ir::SameSteps& pair : g_.same_steps)
      refuse_if_other(sizes_.extents[pair.a], sizes_.extents[pair.b]);
    for (const ir::BatchSteps& met : g_.batch_steps) {
      const Int from_one = distance(batch, z_.number(1));
      const Int from_steps = distance(batch, sizes_.extents[met.extent]);
      refuse_if_less(zero, z_.min(from_one, from_steps), RunStatus::kWrongSteps);
    }
    for (size_t i = 0; i < g_.inputs.size(); ++i) {
      if (i < g_.pinned_steps.size() && g_.pinned_steps[i])
        refuse_if_other(steps(static_cast<int>(i)), z_.number(*g_.pinned_steps[i]));
    }
    const auto refuse_size = [&](const Int& size) {
      refuse_if_less(size, zero, RunStatus::kBadSize);
      refuse_if_less(z_.number(kMaxAxis), size, RunStatus::kBadSize);
    };
    for (size_t i = 0; i < g_.inputs.size(); ++i) refuse_size(steps(static_cast<int>(i)));
    refuse_size(batch);
    return status;
  }

  // The largest number of output steps, 0 where nothing is to be made.
  Int output_steps() {
    Int most = z_.number(0);
    for (const int t : g_.outputs) most = z_.max(most, steps_of(t));
    return most;
  }
  Int steps_of(int tensor) const { return sizes_.extents[g_.tensors[static_cast<size_t>(tensor)].steps]; }

  // All passes. `slots` is the memory of the slots.
  void run(const Int& batch) {
    batch_ = batch;
    for (size_t i = 0; i < graph_.ops.size(); ++i) {
      if (i + 1 < graph_.ops.size() && graph_.turns_input[i + 1]) ++i;
      if (graph_.chunks[i] > 0) {
        run_pair(i);
        ++i;
      } else {
        run_op(i);
      }
    }
  }

 private:
  // One part of an operation: where its arrays begin, and from one sample to the next.
  struct PartCall {
    const CompiledPart* part;
    Ptr in, out, operand;
    Int in_sample, out_sample, operand_sample;
  };

  template <class Steps>
  Int extent(const ir::Extent& e, const Steps& steps) {
    using Kind = ir::Extent::Kind;
    const Int most = z_.number(ir::kMaxSteps);
    switch (e.kind) {
      case Kind::kFixed:
        return z_.number(e.value);
      case Kind::kInput:
        return z_.min(steps(static_cast<int>(e.value)), most);
      case Kind::kWindow:
        return z_.min(window(e.window, sizes_.extents[e.from]), most);
      case Kind::kScaled: {
        if (e.value <= 0) return z_.number(0);
        const int64_t enough = ir::kMaxSteps / e.value + 1;
        const Int from = z_.max(z_.number(0), z_.min(sizes_.extents[e.from], z_.number(enough)));
        return z_.min(z_.mulc(from, e.value), most);
      }
    }
    return most;
  }

  // Problem::output_steps.
  Int window(const Problem& p, const Int& steps) {
    const Int zero = z_.number(0);
    if (p.transposed) {
      const int64_t beyond = p.span() - p.stride - p.pad_left - p.pad_right;
      return z_.max(zero, z_.addc(z_.mulc(steps, p.stride), beyond));
    }
    if (p.pad_same) return ceil_div(steps, p.stride);
    const Int room = z_.addc(steps, p.pad_left + p.pad_right - p.span());
    return z_.max(zero, z_.addc(z_.divc(room, p.stride), 1));
  }
  Int distance(const Int& a, const Int& b) {
    const Int above = z_.sub(a, b);
    return z_.max(above, z_.sub(b, a));
  }
  Int ceil_div(const Int& a, int64_t n) { return z_.divc(z_.addc(a, n - 1), n); }

  // Problem::left_padding. The last output step looks at span() steps from (outputs - 1) * stride on; the odd
  // cell goes right.
  Int left_padding(const Problem& p, const Int& steps) {
    if (!p.pad_same) return z_.number(p.pad_left);
    const Int before_last = z_.mulc(z_.addc(ceil_div(steps, p.stride), -1), p.stride);
    const Int rest = z_.sub(steps, before_last);
    return z_.divc(z_.max(z_.number(0), z_.sub(z_.number(p.span()), rest)), 2);
  }

  // Of a chain no more than a chunk of what lies between its operations is there at a time.
  Int slot_bytes(int tensor, const Int& batch) {
    Int rows = z_.variable(product(z_, batch, steps_of(tensor)));
    for (size_t i = 0; i < graph_.chunks.size(); ++i) {
      const ir::Op& op = g_.ops[i];
      const int64_t chunk = graph_.chunks[i];
      const bool turned = graph_.turns_input[i] && op.in == tensor;
      if (chunk == 0 || (op.out != tensor && !turned)) continue;
      const int64_t kept = turned ? chain_inputs(graph_, i) : chunk;
      z_.if_less(z_.number(chunk), steps_of(op.out), [&] { z_.assign(rows, z_.number(kept)); });
    }
    const Int channels = z_.number(g_.tensors[static_cast<size_t>(tensor)].channels);
    const Int floats = z_.min(product(z_, rows, channels), z_.number(int64_t{1} << 58));
    return z_.mulc(z_.divc(z_.addc(z_.mulc(floats, 4), kSlotLine - 1), kSlotLine), kSlotLine);
  }

  Ptr address(int tensor, int64_t floats = 0) {
    const CompiledGraph::Place& place = graph_.places[static_cast<size_t>(tensor)];
    using Kind = CompiledGraph::Place::Kind;
    const Int behind = z_.number(place.offset + floats);
    switch (place.kind) {
      case Kind::kInput:
        return z_.moved(z_.input(place.index), behind);
      case Kind::kOutput:
        return z_.moved(z_.output(place.index), behind);
      case Kind::kSlot:
        break;
    }
    return z_.moved(z_.slot(sizes_.slots[place.index]), behind);
  }

  void run_op(size_t i) {
    const ir::Op& op = g_.ops[i];
    if (op.kind == ir::OpKind::kNest) return run_nest(i, op);
    if (op.kind == ir::OpKind::kRepeat) return run_repeat(i, op);
    const Matrix matrix = matrix_of(op.in);
    const CompiledKernel& kernel = *graph_.ops[i].parts[0].kernel;
    if (op.kind == ir::OpKind::kTranspose) {
      begin_transpose(i);
      return call(kernel, batch_, z_.number(0), matrix.rows);
    }
    z_.begin(kernel);
    z_.set(Arg::kIn, address(op.in));
    z_.set(Arg::kOut, address(op.out));
    // Softmax and the like: rows along the last axis in memory.
    z_.set(Arg::kSteps, matrix.columns);
    z_.set(Arg::kInSample, matrix.columns);
    z_.set(Arg::kOutSample, matrix.columns);
    call(kernel, z_.mul(batch_, matrix.rows), z_.number(0), z_.number(1));
  }

  // A tensor as it lies in memory.
  struct Matrix {
    Int rows;
    Int columns;
  };
  Matrix matrix_of(int tensor) {
    const ir::GraphTensor& t = g_.tensors[static_cast<size_t>(tensor)];
    const Int channels = z_.number(t.channels);
    if (t.layout == Layout::kChannelsLast) return {steps_of(tensor), channels};
    return {channels, steps_of(tensor)};
  }

  // Sets the arguments of a transpose, but for samples and rows.
  PartCall begin_transpose(size_t i) {
    const ir::Op& op = g_.ops[i];
    const CompiledPart& compiled = graph_.ops[i].parts[0];
    const Matrix matrix = matrix_of(op.in);
    z_.begin(*compiled.kernel);
    const Int floats = product(z_, matrix.rows, matrix.columns);
    const PartCall part{&compiled, address(op.in), address(op.out), {}, floats, floats, {}};
    z_.set(Arg::kIn, part.in);
    z_.set(Arg::kOut, part.out);
    z_.set(Arg::kInSample, floats);
    z_.set(Arg::kOutSample, floats);
    z_.set(Arg::kInChannel, matrix.columns);
    z_.set(Arg::kOutChannel, matrix.rows);
    z_.set(Arg::kBlockEnd, matrix.columns);
    return part;
  }

  void call(const CompiledKernel& kernel, const Int& samples, const Int& begin, const Int& end) {
    z_.set(Arg::kSampleBegin, z_.number(0));
    z_.set(Arg::kSampleEnd, samples);
    z_.set(Arg::kStepBegin, begin);
    z_.set(Arg::kStepEnd, end);
    z_.call(kernel, samples, begin, end);
  }

  // Sets the arguments of one part of an operation, but for samples and rows.
  // `k`: of parts that are alike, which one behind part j.
  PartCall begin_part(size_t i, size_t j, const Int& k, const Int& steps, const Int& out_steps) {
    const ir::Op& op = g_.ops[i];
    const CompiledPart& compiled = graph_.ops[i].parts[j];
    const Problem& p = op.problem;
    z_.begin(*compiled.kernel);
    PartCall part{&compiled, address(op.in), {}, {}, {}, {}, {}};
    z_.set(Arg::kIn, part.in);
    if (compiled.kernel->weights.floats() > 0) z_.set(Arg::kWeights, z_.weights(i, j, k));
    const int64_t behind =
        compiled.part.first - compiled.part.crop;  // steps from the output's first to row 0
    const Ptr out = address(op.out, behind * p.out_pitch());
    part.out = z_.moved(out, z_.mulc(k, p.out_pitch()));
    z_.set(Arg::kOut, part.out);
    z_.set(Arg::kSteps, steps);
    z_.set(Arg::kPadLeft, left_padding(compiled.part.problem, steps));
    set_pitches(part, p, steps, out_steps);
    if (p.combine == Combine::kNone) return part;
    const int64_t floats = behind * p.operand_pitch();
    const Ptr operand = op.operand >= 0 ? address(op.operand, floats)
                                        : z_.moved(z_.operand_array(op.operand_array), z_.number(floats));
    part.operand = z_.moved(operand, z_.mulc(k, p.operand_pitch()));
    if (op.operand_array >= 0) part.operand_sample = z_.number(0);
    z_.set(Arg::kOperand, part.operand);
    z_.set(Arg::kOperandSample, part.operand_sample);
    return part;
  }

  // Distances between samples and channels.
  void set_pitches(PartCall& part, const Problem& p, const Int& steps, const Int& out_steps) {
    const bool last = p.layout == Layout::kChannelsLast;
    part.in_sample = z_.mulc(steps, last ? p.in_pitch() : p.channels);
    part.out_sample = z_.mulc(out_steps, last ? p.out_pitch() : p.filters);
    z_.set(Arg::kInSample, part.in_sample);
    z_.set(Arg::kOutSample, part.out_sample);
    z_.set(Arg::kInChannel, steps);
    z_.set(Arg::kOutChannel, out_steps);
    if (p.combine == Combine::kNone) return;
    const Int operand_steps = p.operand_has_steps ? out_steps : z_.number(1);
    const int64_t channels = p.operand_has_channels ? p.filters : 1;
    part.operand_sample = z_.mulc(operand_steps, last && p.operand_row != 0 ? p.operand_row : channels);
    z_.set(Arg::kOperandChannel, p.operand_has_channels ? operand_steps : z_.number(0));
  }

  void run_nest(size_t i, const ir::Op& op) {
    Int steps = z_.variable(steps_of(op.in));
    Int out_steps = z_.variable(steps_of(op.out));
    Int samples = z_.variable(batch_);
    if (can_join_samples(op)) {
      // One long run: Dense on a batch of single rows fills whole tiles.
      const Int all_out = product(z_, batch_, out_steps);
      z_.if_less(all_out, z_.number(kMaxAxis), [&] {
        z_.assign(steps, z_.mul(steps, batch_));
        z_.assign(out_steps, all_out);
        z_.assign(samples, z_.number(1));
      });
    }
    for_parts(i, [&](size_t j, const Int& k) {
      const PartCall part = begin_part(i, j, k, steps, out_steps);
      for_rows(part.part->part, k, out_steps,
               [&](const Int& begin, const Int& end) { call(*part.part->kernel, samples, begin, end); });
    });
  }

  // All samples of `in` are one sample here, which makes all that fit into those of `out`.
  void run_repeat(size_t i, const ir::Op& op) {
    const Matrix in = matrix_of(op.in);
    const Matrix out = matrix_of(op.out);
    const Int floats = z_.mul(in.rows, in.columns);
    const Int length = z_.mul(batch_, floats);
    const Int made = z_.mul(out.rows, out.columns);
    const Int times = z_.div(made, z_.max(floats, z_.number(1)));
    z_.if_less(z_.number(0), z_.min(times, length), [&] {
      const PartCall part = begin_part(i, 0, z_.number(0), length, length);
      z_.set(Arg::kInSample, z_.number(0));
      call(*part.part->kernel, times, z_.number(0), length);
    });
  }

  // Calls run_part(j, k) for part j of an operation and the k-th one behind it that is alike.
  template <class RunPart>
  void for_parts(size_t i, RunPart&& run_part) {
    const std::vector<CompiledPart>& parts = graph_.ops[i].parts;
    for (size_t j = 0; j < parts.size();) {
      const size_t alike = parts_alike(parts, j);
      if (alike == 1) {
        run_part(j, z_.number(0));
      } else {
        Int k = z_.variable(z_.number(0));
        z_.while_less(k, z_.number(static_cast<int64_t>(alike)), [&] {
          run_part(j, k);
          z_.assign(k, z_.addc(k, 1));
        });
      }
      j += alike;
    }
  }

  // Where steps do not look at each other, those of all samples are one long run.
  bool can_join_samples(const ir::Op& op) const {
    const Problem& p = op.problem;
    const bool operand_follows = p.combine == Combine::kNone || (op.operand >= 0 && p.operand_has_steps);
    return is_stepwise(p) && operand_follows;
  }

  // The rows of phase `k` of a part (ir/nest/parts.hpp): where its phases are all there, or before and behind
  // those of the merged part.
  template <class Rows>
  void for_rows(const ir::Part& part, const Int& k, const Int& out_steps, Rows&& rows) {
    const auto run = [&](const Int& begin, const Int& end) {
      z_.if_less(begin, end, [&] { rows(begin, end); });
    };
    const Int first = z_.addc(k, part.first);
    const ir::PhaseRows<Int> own = ir::phase_rows(z_, part, first, part.phases, out_steps);
    if (part.merged_phases == 0) return run(own.begin, own.end);
    const Int merged_first = z_.number(part.merged_first);
    const ir::PhaseRows<Int> merged = ir::phase_rows(z_, part, merged_first, part.merged_phases, out_steps);
    run(own.begin, z_.min(own.end, merged.begin));
    run(z_.max(own.begin, merged.end), own.end);
  }

  // Operations i and i + 1 as a chain where there are more steps than one chunk, else one after the other.
  void run_pair(size_t i) {
    const Int steps = steps_of(g_.ops[i].out);
    const Int chunk = z_.number(graph_.chunks[i]);
    z_.if_less(chunk, steps, [&] { run_chain(i, steps); });
    z_.if_less(steps, z_.addc(chunk, 1), [&] {
      if (graph_.turns_input[i]) run_op(i - 1);
      run_op(i);
      run_op(i + 1);
    });
  }

  // A chunk of steps of one sample after the other. What lies between is one chunk: of a transposed operation
  // whole rows of phases.
  void run_chain(size_t i, const Int& steps) {
    const ir::Op& op = g_.ops[i];
    const ir::Op& next = g_.ops[i + 1];
    const ir::Part& part = graph_.ops[i].parts[0].part;
    const int64_t chunk_rows = graph_.chunks[i] / part.row_steps;
    const Int rows = ceil_div(z_.addc(steps, part.crop), part.row_steps);
    Int n = z_.variable(z_.number(0));
    z_.while_less(n, batch_, [&] {
      Int row = z_.variable(z_.number(part.crop / part.row_steps));
      z_.while_less(row, rows, [&] {
        const Int row_end = z_.min(z_.addc(row, chunk_rows), rows);
        const Int begin = z_.max(z_.number(0), z_.addc(z_.mulc(row, part.row_steps), -part.crop));
        const Int end = z_.min(steps, z_.addc(z_.mulc(row_end, part.row_steps), -part.crop));
        const Ptr slot = address(op.out);
        const Ptr middle = z_.moved(slot, z_.mulc(begin, -op.problem.out_pitch()));
        first_link(i, {n, row, row_end, middle});
        const PartCall second = next.kind == ir::OpKind::kTranspose
                                    ? begin_transpose(i + 1)
                                    : begin_part(i + 1, 0, z_.number(0), steps, steps_of(next.out));
        z_.set(Arg::kIn, middle);
        z_.set(Arg::kOut, z_.moved(second.out, z_.mul(n, second.out_sample)));
        set_operand(next, second, n);
        call(*second.part->kernel, z_.number(1), begin, end);
        z_.assign(row, row_end);
      });
      z_.assign(n, z_.addc(n, 1));
    });
  }

  // Rows of a sample that a chain makes, and where step 0 of its output would be.
  struct Link {
    Int n, begin, end;
    Ptr out;
  };

  void first_link(size_t i, const Link& link) {
    const ir::Op& op = g_.ops[i];
    const bool turns = graph_.turns_input[i];
    const Int steps = steps_of(op.in);
    const Int out_steps = steps_of(op.out);
    const Ptr from = turns ? turn_chunk(i, link) : address(op.in);
    for_parts(i, [&](size_t j, const Int& k) {
      const PartCall part = begin_part(i, j, k, steps, out_steps);
      const int64_t behind = part.part->part.first - part.part->part.crop;
      z_.set(Arg::kIn, turns ? from : z_.moved(from, z_.mul(link.n, part.in_sample)));
      z_.set(Arg::kOut, z_.moved(link.out, z_.mulc(z_.addc(k, behind), op.problem.out_pitch())));
      set_operand(op, part, link.n);
      for_rows(part.part->part, k, out_steps, [&](const Int& begin, const Int& end) {
        const Int first = z_.max(begin, link.begin);
        const Int last = z_.min(end, link.end);
        z_.if_less(first, last, [&] { call(*part.part->kernel, z_.number(1), first, last); });
      });
    });
  }

  void set_operand(const ir::Op& op, const PartCall& part, const Int& n) {
    if (op.problem.combine != Combine::kNone)
      z_.set(Arg::kOperand, z_.moved(part.operand, z_.mul(n, part.operand_sample)));
  }

  // Turns what the rows of a chain look at. Gives where position 0 would be.
  Ptr turn_chunk(size_t i, const Link& link) {
    const Problem& p = g_.ops[i].problem;
    const Int steps = steps_of(g_.ops[i].in);
    const ChainReach reach = chain_reach(graph_, i);
    const Int pad = p.transposed ? z_.number(0) : left_padding(p, steps);
    const Int before = z_.addc(z_.sub(z_.mulc(link.begin, reach.stride), pad), -reach.before);
    const Int first = z_.max(z_.number(0), before);
    const Int behind = z_.addc(z_.sub(z_.mulc(link.end, reach.stride), pad), reach.behind - reach.stride);
    const Int last = z_.min(steps, behind);
    const PartCall turn = begin_transpose(i - 1);
    z_.if_less(first, last, [&] {
      z_.set(Arg::kIn, z_.moved(turn.in, z_.add(z_.mul(link.n, turn.in_sample), first)));
      z_.set(Arg::kBlockEnd, z_.sub(last, first));
      call(*turn.part->kernel, z_.number(1), z_.number(0), z_.number(p.channels));
    });
    return z_.moved(turn.out, z_.mulc(first, -p.channels));
  }

  Z& z_;
  const CompiledGraph& graph_;
  const ir::Graph& g_;
  CallSizes<Int>& sizes_;
  Int batch_{};
};

}  // namespace convsmith
