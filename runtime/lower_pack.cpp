// Packing as vir, for weights that do not travel with the code: pack_weights (pack.cpp) with ir::part_kernel
// before it, as loops.
#include <array>

#include "frontend/check.hpp"
#include "runtime/lower_graph.hpp"
#include "runtime/vir_machine.hpp"

namespace convsmith {

namespace {

using vir::Arg;
using Int = VirMachine::Int;

// Where the arrays of a layer come in, in their order; the packed weights go to `out`.
constexpr std::array<Arg, 3> kArrays = {Arg::kIn, Arg::kWeights, Arg::kOperand};

class PackLowering {
 public:
  PackLowering(const CompiledGraph& graph, const WeightPlan& plan, int lanes)
      : graph_(graph), plan_(plan), b_("pack", lanes), z_(b_) {}

  vir::Program run() {
    const size_t arrays = graph_.graph.arrays.size();
    CONVSMITH_CHECK(arrays <= kArrays.size(), "a layer with more arrays than NAME_pack takes");
    std::vector<Arg> params(kArrays.begin(), kArrays.begin() + static_cast<std::ptrdiff_t>(arrays));
    params.push_back(Arg::kOut);
    b_.set_params(params);
    const Int status = z_.variable(VirMachine::number(static_cast<int64_t>(RunStatus::kNullPointer)));
    Int least = VirMachine::number(1);
    for (const Arg arg : params) least = z_.min(least, Int(b_.pint(b_.arg_ptr(arg))));
    z_.if_less(VirMachine::number(0), least, [&] {
      first_ = b_.first(b_.iconst(1));
      clear();
      for (size_t i = 0; i < graph_.ops.size(); ++i) {
        for (size_t j = 0; j < graph_.ops[i].parts.size(); ++j) pack_part(i, j);
      }
      z_.assign(status, VirMachine::number(0));
    });
    b_.result(status.reg());
    return b_.take();
  }

 private:
  // What no weight fills is 0.
  void clear() {
    const vir::P to = b_.pcopy(b_.arg_ptr(Arg::kOut));
    const vir::V zero = b_.constant(0.0F);
    const vir::I count = b_.iconst(plan_.floats / b_.lanes());
    b_.loop(count, "clear", [&] {
      b_.store(to, 0, zero);
      b_.paddc(to, to, b_.vector_bytes());
    });
  }

  vir::P array(int index) { return b_.arg_ptr(kArrays[static_cast<size_t>(index)]); }

  void copy(vir::P from, vir::P to) {
    const vir::V x = b_.vec();
    b_.bcast(x, from, 0);
    b_.store(to, 0, x, first_);
  }

  // Unit after unit: its bias, then its weight in each row.
  void pack_part(size_t i, size_t j) {
    const ir::Op& op = graph_.graph.ops[i];
    const CompiledPart& part = graph_.ops[i].parts[j];
    const ir::PackLayout& l = part.kernel->weights;
    if (op.kind != ir::OpKind::kNest || l.floats() == 0) return;
    const int64_t phases = part.part.phases;
    const int64_t of_phase = l.units / phases;  // a part with several phases has one group
    for (int64_t phase = 0; phase < phases; ++phase) {
      count(l.outer, "g", [&](const Int& g) {
        count(of_phase, "u", [&](const Int& u) {
          const Int unit = z_.addc(u, phase * of_phase);
          const Int block = z_.divc(unit, l.block);
          const Int in_block = z_.sub(unit, z_.mulc(block, l.block));
          const Int of_group = z_.mulc(g, l.outer_floats());
          const Int at = z_.add(z_.add(of_group, z_.mulc(block, l.block_floats(l.block))), in_block);
          // The last block may be narrower.
          const Int width = z_.variable(VirMachine::number(l.width(l.block)));
          if (const int64_t rest = l.units % l.block; rest > 0)
            z_.if_less(VirMachine::number(l.units / l.block - 1), block,
                       [&] { z_.assign(width, VirMachine::number(l.width(rest))); });
          const vir::P to = b_.pcopy(z_.moved(b_.paddc(b_.arg_ptr(Arg::kOut), 4 * plan_.parts[i][j]), at));
          const Int filter = z_.add(z_.mulc(g, l.units), u);
          pack_unit(op, part.part, phase, filter, {to, b_.imulc(width.reg(), 4)});
        });
      });
    }
  }

  struct Column {
    vir::P at;
    vir::I pitch;  // bytes
  };

  void pack_unit(const ir::Op& op, const ir::Part& part, int64_t phase, const Int& filter, const Column& to) {
    const Problem& p = op.problem;
    if (p.has_bias) {
      copy(z_.moved(array(op.bias), filter), to.at);
      b_.padd(to.at, to.at, to.pitch);
    }
    if (!p.has_weights()) return;
    if (!p.transposed) {
      const vir::P from = b_.pcopy(z_.moved(array(op.kernel), filter));
      return copy_rows(from, 4 * p.filters, p.taps * p.group_channels(), to);
    }
    // (taps, filters, channels); the taps of a phase are evenly spaced, or there are none.
    const int64_t taps = part.problem.taps;
    const int64_t* own = &part.taps[static_cast<size_t>(phase * taps)];
    if (own[0] < 0) return;
    const int64_t step = taps > 1 ? own[1] - own[0] : 0;
    for (int64_t m = 0; m < taps; ++m) CONVSMITH_CHECK(own[m] == own[0] + m * step, "taps of a phase");
    const vir::P first = z_.moved(array(op.kernel), z_.mulc(filter, p.channels));
    const vir::P tap = b_.paddc(first, 4 * own[0] * p.filters * p.channels);
    b_.loop(b_.iconst(taps), "k", [&] {
      const vir::P from = b_.pcopy(tap);
      copy_rows(from, 4, p.channels, to);
      b_.paddc(tap, tap, 4 * step * p.filters * p.channels);
    });
  }

  void copy_rows(vir::P from, int64_t bytes, int64_t rows, const Column& to) {
    b_.loop(b_.iconst(rows), "r", [&] {
      copy(from, to.at);
      b_.paddc(from, from, bytes);
      b_.padd(to.at, to.at, to.pitch);
    });
  }

  template <class Body>
  void count(int64_t n, std::string_view label, Body&& body) {
    if (n == 1) return body(VirMachine::number(0));
    const vir::I i = b_.iconst(0);
    b_.while_less(i, b_.iconst(n), label, [&] {
      body(Int(i));
      b_.iaddc(i, i, 1);
    });
  }

  const CompiledGraph& graph_;
  const WeightPlan& plan_;
  vir::Builder b_;
  VirMachine z_;
  vir::M first_{};
};

}  // namespace

vir::Program lower_pack(const CompiledGraph& graph, const WeightPlan& plan, int lanes) {
  return PackLowering(graph, plan, lanes).run();
}

}  // namespace convsmith
