// Packing as vir, for weights that do not travel with the code: pack_weights (pack.cpp) with ir::part_kernel
// before it, as loops.
#include <array>

#include "frontend/base/check.hpp"
#include "frontend/base/element.hpp"
#include "runtime/aot/lower_graph.hpp"
#include "runtime/aot/vir_machine.hpp"

namespace convsmith {

namespace {

using vir::Arg;
using Int = VirMachine::Int;

// Where the arrays of a layer come in, in their order; the packed weights go to `out`.
constexpr std::array<Arg, 3> kArrays = {Arg::kIn, Arg::kWeights, Arg::kOperand};

constexpr int64_t kBytes = bytes_of(Element::kFloat32);  // of a weight

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
    const Int all_there = z_.variable(VirMachine::number(1));
    for (const Arg arg : params)
      z_.if_null(b_.arg_ptr(arg), [&] { z_.assign(all_there, VirMachine::number(0)); });
    z_.if_less(VirMachine::number(0), all_there, [&] {
      first_ = b_.first(b_.iconst(1));
      clear();
      for (size_t i = 0; i < graph_.ops.size(); ++i) pack_op(i);
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

  // Phases that follow each other with evenly spaced taps are one loop: those of a merged part, or parts of
  // one phase each.
  struct PhaseRun {
    int64_t phase = 0;  // of part j
    int64_t count = 1;
    int64_t part_floats = 0;  // from one part's weights to the next's; 0 inside a part
    int64_t tap_step = 0;     // from the first tap of one phase to that of the next
  };

  const ir::Part& part_at(size_t i, size_t j) const { return graph_.ops[i].parts[j].part; }
  static int64_t first_tap(const ir::Part& part, int64_t phase) {
    return part.taps.empty() ? -1 : part.taps[static_cast<size_t>(phase * part.problem.taps)];
  }

  void pack_op(size_t i) {
    const ir::Op& op = graph_.graph.ops[i];
    const std::vector<CompiledPart>& parts = graph_.ops[i].parts;
    if (op.kind != ir::OpKind::kNest || parts[0].kernel->weights.floats() == 0) return;
    for (size_t j = 0; j < parts.size();) {
      const size_t alike = parts_alike(i, j);
      if (alike > 1) {
        pack_phases(i, j,
                    {0, static_cast<int64_t>(alike), plan_.parts[i][j + 1] - plan_.parts[i][j],
                     first_tap(part_at(i, j + 1), 0) - first_tap(part_at(i, j), 0)});
      } else {
        pack_part(i, j);
      }
      j += alike;
    }
  }

  // How many parts from j on have one phase each, the same kernel and evenly spaced first taps.
  size_t parts_alike(size_t i, size_t j) const {
    const std::vector<CompiledPart>& parts = graph_.ops[i].parts;
    size_t end = j + 1;
    const auto spacing = [&](size_t k) {
      return first_tap(parts[k].part, 0) - first_tap(parts[k - 1].part, 0);
    };
    const auto is_next = [&](size_t k) {
      return parts[j].part.merged_phases > 0 && parts[k].part.merged_phases > 0 &&
             parts[k].kernel == parts[j].kernel && first_tap(parts[k].part, 0) >= 0 &&
             first_tap(parts[j].part, 0) >= 0 && spacing(k) == spacing(j + 1) &&
             plan_.parts[i][k] - plan_.parts[i][k - 1] == plan_.parts[i][j + 1] - plan_.parts[i][j];
    };
    while (end < parts.size() && is_next(end)) ++end;
    return end - j;
  }

  void pack_part(size_t i, size_t j) {
    const ir::Part& part = part_at(i, j);
    for (int64_t phase = 0; phase < part.phases;) {
      PhaseRun run{phase, 1, 0, 0};
      while (phase + run.count < part.phases) {
        const int64_t step = first_tap(part, phase + run.count) - first_tap(part, phase + run.count - 1);
        if (first_tap(part, phase) < 0 || (run.count > 1 && step != run.tap_step)) break;
        run.tap_step = step;
        ++run.count;
      }
      pack_phases(i, j, run);
      phase += run.count;
    }
  }

  // Unit after unit: its bias, then its weight in each row.
  void pack_phases(size_t i, size_t j, const PhaseRun& run) {
    const CompiledPart& part = graph_.ops[i].parts[j];
    const ir::PackLayout& l = part.kernel->weights;
    const int64_t of_phase = l.units / part.part.phases;  // a part with several phases has one group
    count(run.count, "phase", [&](const Int& k) {
      const vir::P all = b_.paddc(b_.arg_ptr(Arg::kOut), kBytes * plan_.parts[i][j]);
      const vir::P packed = z_.moved(all, z_.mulc(k, run.part_floats));
      const Int first_unit = z_.addc(z_.mulc(k, run.part_floats == 0 ? of_phase : 0), run.phase * of_phase);
      count(l.outer, "g", [&](const Int& g) {
        count(of_phase, "u", [&](const Int& u) {
          const Int filter = z_.add(z_.mulc(g, l.units), u);
          const Column to = column(l, packed, g, z_.add(first_unit, u));
          const Int tap = z_.addc(z_.mulc(k, run.tap_step), first_tap(part.part, run.phase));
          pack_unit(graph_.graph.ops[i], part.part, run.phase, tap, filter, to);
        });
      });
    });
  }

  struct Column {
    vir::P at;
    vir::I pitch;  // bytes
  };

  // Where the weights of a unit stand: PackLayout::unit_index and unit_width.
  Column column(const ir::PackLayout& l, vir::P packed, const Int& g, const Int& unit) {
    const Int block = z_.divc(unit, l.block);
    const Int in_block = z_.sub(unit, z_.mulc(block, l.block));
    const Int of_group = z_.mulc(g, l.outer_floats());
    const Int at = z_.add(z_.add(of_group, z_.mulc(block, l.block_floats(l.block))), in_block);
    const Int width = z_.variable(VirMachine::number(l.width(l.block)));
    if (const int64_t rest = l.units % l.block; rest > 0) {  // the last block may be narrower
      z_.if_less(VirMachine::number(l.units / l.block - 1), block,
                 [&] { z_.assign(width, VirMachine::number(l.width(rest))); });
    }
    const vir::P first = b_.pcopy(z_.moved(packed, at));
    return {first, b_.imulc(width.reg(), kBytes)};
  }

  void pack_unit(const ir::Op& op, const ir::Part& part, int64_t phase, const Int& first_tap,
                 const Int& filter, const Column& to) {
    const Problem& p = op.problem;
    if (p.has_bias) {
      copy(z_.moved(array(op.bias), filter), to.at);
      b_.padd(to.at, to.at, to.pitch);
    }
    if (!p.has_weights()) return;
    if (!p.transposed) {
      const vir::P from = b_.pcopy(z_.moved(array(op.kernel), filter));
      return copy_rows(from, kBytes * p.filters, p.taps * p.group_channels(), to);
    }
    // (taps, filters, channels); the taps of a phase are evenly spaced, or there are none.
    const int64_t taps = part.problem.taps;
    const int64_t* own = &part.taps[static_cast<size_t>(phase * taps)];
    if (own[0] < 0) return;
    const int64_t step = taps > 1 ? own[1] - own[0] : 0;
    for (int64_t m = 0; m < taps; ++m) CONVSMITH_CHECK(own[m] == own[0] + m * step, "taps of a phase");
    const vir::P kernel = array(op.kernel);
    const vir::P filters = z_.moved(kernel, z_.mulc(filter, p.channels));
    const vir::P tap = b_.pcopy(z_.moved(filters, z_.mulc(first_tap, p.filters * p.channels)));
    b_.loop(b_.iconst(taps), "k", [&] {
      const vir::P from = b_.pcopy(tap);
      copy_rows(from, kBytes, p.channels, to);
      b_.paddc(tap, tap, kBytes * step * p.filters * p.channels);
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
