// One call of a graph: sizes and checks (graph_sizes.hpp), then pass by pass. Written once over a machine Z
// with integers and pointers: run_graph does it on the host, with numbers; lower_graph emits it as vir, for
// code that runs without us.
//
//   Int, Ptr                     values; copies share nothing
//   number(n), add, addc, sub, mul, mulc, div (a >= 0, b >= 1), divc, min, max    the integers of vir
//   variable(i), assign(v, i)    an Int that changes
//   if_less(a, b, f), while_less(a, b, f)    f() where a < b; a and b are variables or stay the same
//   moved(p, i)                  p + i floats
//   kIsCode                      whether what is done here once becomes code
//   set(arg, value)              an argument of the next pass
//   call(kernel)                 the pass: a CompiledKernel, with rows [kStepBegin, kStepEnd) of all samples
//
// No call here has two arguments that emit: C++ leaves their order open, and artifacts must not depend on the
// compiler that built us.
#pragma once

#include <cstdint>
#include <vector>

#include "codegen/vir/vir.hpp"
#include "runtime/graph_sizes.hpp"

namespace convsmith {

template <class Z>
class GraphCall : public GraphSizes<Z> {
 public:
  using typename GraphSizes<Z>::Int;
  using Ptr = typename Z::Ptr;
  using Arg = vir::Arg;
  using GraphSizes<Z>::GraphSizes;
  using GraphSizes<Z>::steps_of;

  // All passes, for a block of samples after the other.
  void run(const Int& batch) {
    batch_ = batch;
    if (graph_.samples_within == 0) return run_passes();
    Int first = z_.variable(z_.number(0));
    z_.while_less(first, batch, [&] {
      first_ = first;
      batch_ = z_.min(z_.sub(batch, first), sizes_.block);
      run_passes();
      z_.assign(first, z_.add(first, sizes_.block));
    });
  }

 private:
  void run_passes() {
    auto rolling = graph_.rolling.begin();
    for (size_t i = 0; i < graph_.ops.size(); ++i) {
      if (rolling != graph_.rolling.end() && rolling->first == i) {
        run_rolling(*rolling);
        i = (rolling++)->last;
        continue;
      }
      if (i + 1 < graph_.ops.size() && graph_.turns_input[i + 1]) ++i;
      if (graph_.chunks[i] > 0) {
        run_pair(i);
        ++i;
      } else {
        run_op(i);
      }
    }
  }

  // One part of an operation: where its arrays begin, and from one sample to the next.
  struct PartCall {
    const CompiledPart* part;
    Ptr in, out, operand;
    Int in_sample, out_sample, operand_sample;
  };

  // Where the first sample of the block would have its first float, and so many behind it.
  Ptr address(int tensor, int64_t floats = 0) {
    const CompiledGraph::Place& place = graph_.places[static_cast<size_t>(tensor)];
    using Kind = CompiledGraph::Place::Kind;
    const Int behind = z_.number(place.offset + floats);
    const auto in_block = [&](Ptr array, const std::vector<int>& tensors) {
      const Ptr moved = z_.moved(array, behind);
      if (graph_.samples_within == 0) return moved;
      const Matrix sample = matrix_of(tensors[static_cast<size_t>(place.index)]);
      return z_.moved(moved, z_.mul(first_, z_.mul(sample.rows, sample.columns)));
    };
    switch (place.kind) {
      case Kind::kInput:
        return in_block(z_.input(place.index), g_.inputs);
      case Kind::kOutput:
        return in_block(z_.output(place.index), g_.outputs);
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

  // Rolling buffers where there are more steps than one chunk, else one pass after the other, for all
  // samples. Code has only the first way, a single chunk of each sample there: the second is as large again.
  void run_rolling(const RollingGroup& group) {
    const Int steps = steps_of(g_.ops[group.first].in);
    if (Z::kIsCode) return roll(group, steps);
    z_.if_less(z_.number(group.chunk), steps, [&] { roll(group, steps); });
    z_.if_less(steps, z_.number(group.chunk + 1), [&] {
      for (size_t i = group.first; i <= group.last; ++i) run_op(i);
    });
  }

  // Of sample n the chunk [from, to) of the group's input steps; `to` lies far away for the last one, behind
  // which padding comes.
  struct Front {
    Int n, from, to;
  };

  void roll(const RollingGroup& group, const Int& steps) {
    Int n = z_.variable(z_.number(0));
    z_.while_less(n, batch_, [&] {
      Int from = z_.variable(z_.number(0));
      z_.while_less(from, steps, [&] {
        const Int next = z_.addc(from, group.chunk);
        Int to = z_.variable(next);
        z_.if_less(steps, z_.addc(next, 1), [&] { z_.assign(to, z_.number(2 * ir::kMaxSteps)); });
        const Front front{n, from, to};
        for (size_t i = group.first; i <= group.last; ++i) roll_op(group, i, front);
        z_.if_less(next, steps, [&] {
          for (const RollingGroup::Buffer& buffer : group.buffers) {
            if (buffer.keeps) roll_buffer(group, buffer, front);
          }
        });
        z_.assign(from, next);
      });
      z_.assign(n, z_.addc(n, 1));
    });
  }

  // Output steps that are made when the input is there up to `came`.
  Int made(const RollingGroup& group, size_t i, const Int& came) {
    const Int all = steps_of(g_.ops[i].out);
    const int64_t lag = group.lag[i - group.first];
    return z_.min(all, lag == 0 ? came : z_.max(z_.number(0), z_.addc(came, -lag)));
  }

  // The first step that a buffer holds then.
  Int kept(const RollingGroup& group, const RollingGroup::Buffer& buffer, const Int& came) {
    Int first = steps_of(buffer.tensor);
    for (const RollingGroup::Buffer::Reader& reader : buffer.readers) {
      const Int read = made(group, reader.op, came);
      first = z_.min(first, z_.addc(read, -reader.before));
    }
    return z_.max(z_.number(0), first);
  }

  void roll_op(const RollingGroup& group, size_t i, const Front& front) {
    const ir::Op& op = g_.ops[i];
    const Int begin = made(group, i, front.from);
    const Int end = made(group, i, front.to);
    z_.if_less(begin, end, [&] {
      const PartCall part = begin_part(i, 0, z_.number(0), steps_of(op.in), steps_of(op.out));
      const auto place = [&](Arg arg, int tensor, Ptr array, const Int& sample, int64_t pitch) {
        const RollingGroup::Buffer* buffer = rolling_buffer(g_, group, tensor);
        if (buffer == nullptr) return z_.set(arg, z_.moved(array, z_.mul(front.n, sample)));
        const Int first = kept(group, *buffer, front.from);
        z_.set(arg, z_.moved(array, z_.mulc(first, -pitch)));
      };
      place(Arg::kIn, op.in, part.in, part.in_sample, op.problem.in_pitch());
      place(Arg::kOut, op.out, part.out, part.out_sample, op.problem.out_pitch());
      if (op.operand >= 0)
        place(Arg::kOperand, op.operand, part.operand, part.operand_sample, op.problem.operand_pitch());
      call(*part.part->kernel, z_.number(1), begin, end);
    });
  }

  // What is read again goes to the front.
  void roll_buffer(const RollingGroup& group, const RollingGroup::Buffer& buffer, const Front& front) {
    const int64_t row = g_.tensors[static_cast<size_t>(buffer.tensor)].channels;
    Int end = z_.number(0);
    for (const size_t maker : buffer.makers) {
      const Int ended = made(group, maker, front.to);
      end = z_.max(end, ended);
    }
    const Int first = kept(group, buffer, front.from);
    const Int next = kept(group, buffer, front.to);
    const Int rows = z_.min(z_.sub(next, first), z_.sub(end, next));
    z_.if_less(z_.number(0), rows, [&] {
      z_.begin(*graph_.move);
      const Ptr to = address(buffer.tensor);
      z_.set(Arg::kIn, z_.moved(to, z_.mulc(z_.sub(next, first), row)));
      z_.set(Arg::kOut, to);
      z_.set(Arg::kSteps, z_.mulc(z_.sub(end, next), row));
      call(*graph_.move, z_.number(1), z_.number(0), z_.number(1));
    });
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

  using GraphSizes<Z>::z_;
  using GraphSizes<Z>::graph_;
  using GraphSizes<Z>::g_;
  using GraphSizes<Z>::sizes_;
  using GraphSizes<Z>::ceil_div;
  using GraphSizes<Z>::left_padding;

  Int first_{};  // the first sample of the block, and how many it has
  Int batch_{};
};

}  // namespace convsmith
