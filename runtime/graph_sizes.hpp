// The sizes of one call of a graph: extents, slots, blocks of samples, and whether the call is legal. Over a
// machine Z as graph_call.hpp says, which has the passes.
#pragma once

#include <cstdint>
#include <vector>

#include "frontend/keras/check_spec.hpp"
#include "runtime/call_arithmetic.hpp"
#include "runtime/compiled_graph.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/rolling_group.hpp"

namespace convsmith {

constexpr int64_t kSlotLine = 64;  // bytes: where slots and each thread's scratch begin

// Numbers of one call: extents, then where each slot begins, in memory that the caller provides.
template <class Int>
struct CallSizes {
  Int* extents;
  Int* slots;
  Int bytes{};  // of all slots
  Int block{};  // samples that go through all passes together
};

template <class Z>
class GraphSizes {
 public:
  using Int = typename Z::Int;

  GraphSizes(Z& z, const CompiledGraph& graph, CallSizes<Int>& sizes)
      : z_(z), graph_(graph), g_(graph.graph), sizes_(sizes) {}

  // `steps` by input. Any numbers: products stop at 2^60.
  template <class Steps>
  void find_extents(const Steps& steps) {
    for (size_t i = 0; i < g_.extents.size(); ++i) sizes_.extents[i] = extent(g_.extents[i], steps);
  }

  // Behind find_extents. Blocks of samples are of like size, and have their slots in samples_within bytes. A
  // call of more samples or steps never needs less memory: what is there for the largest is enough for all.
  void find_slots(const Int& batch) {
    sizes_.block = batch;
    if (graph_.samples_within == 0) return place_slots(batch);
    const Int one = z_.number(1);
    const Int within = z_.number(graph_.samples_within);
    place_slots(one);
    const Int sample = sizes_.bytes;
    const Int most = z_.max(one, z_.div(within, z_.max(one, sample)));
    const Int all = z_.max(one, batch);
    const Int blocks = z_.div(z_.addc(z_.add(all, most), -1), most);
    const Int like = z_.div(z_.addc(z_.add(all, blocks), -1), blocks);
    sizes_.block = z_.min(batch, like);
    place_slots(sizes_.block);
    const Int fitting = z_.min(within, product(z_, z_.max(z_.number(0), batch), sample));
    sizes_.bytes = z_.max(sizes_.bytes, fitting);
  }

  void place_slots(const Int& batch) {
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

 protected:
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
    for (const RollingGroup& group : graph_.rolling) {
      const RollingGroup::Buffer* buffer = rolling_buffer(g_, group, tensor);
      if (buffer == nullptr) continue;
      z_.if_less(z_.number(group.chunk), steps_of(g_.ops[group.first].in),
                 [&] { z_.assign(rows, z_.number(buffer->rows)); });
    }
    const Int channels = z_.number(g_.tensors[static_cast<size_t>(tensor)].channels);
    const Int floats = z_.min(product(z_, rows, channels), z_.number(int64_t{1} << 58));
    return z_.mulc(z_.divc(z_.addc(z_.mulc(floats, 4), kSlotLine - 1), kSlotLine), kSlotLine);
  }

  Z& z_;
  const CompiledGraph& graph_;
  const ir::Graph& g_;
  CallSizes<Int>& sizes_;
};

}  // namespace convsmith
