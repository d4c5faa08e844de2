// A problem as the parts that are compiled: itself, or for a transposed problem its output phases. Phase j of
// a layer with stride s is every s-th output step, an ordinary stride-1 problem over the taps that meet it;
// so no product with an inserted zero exists and nothing is scattered. Neighbouring phases with the same
// number of taps are one part whose filters stand one after the other, as the output steps do: dense stores.
//
//   q = o + crop, the step before cropping; phase = q mod s; row u = q div s.
//
// The cropping cuts through the first and the last row: there the phases of a merged part run one by one, a
// row each. Called by the runtime, which compiles and runs each part.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "frontend/problem.hpp"

namespace convsmith::ir {

// Rows [begin, end).
struct RowRange {
  int64_t begin = 0;
  int64_t end = 0;
};

struct Part {
  Problem problem = {};  // not transposed; one output step is one row
  // Row u makes output steps u*row_steps + first - crop and the `phases` - 1 behind it.
  int64_t row_steps = 1;
  int64_t first = 0;
  int64_t phases = 1;
  int64_t crop = 0;
  // The phases of the merged part whose rows this one leaves out; none if merged_phases is 0.
  int64_t merged_first = 0;
  int64_t merged_phases = 0;
  // By phase and tap of `problem`: the tap of the layer; -1 where the phase has none.
  std::vector<int64_t> taps;
};

std::vector<Part> split_parts(const Problem& problem);

// The rows [begin, end) in which all of `phases` phases from `first` on exist; end >= begin. Over an integer
// algebra, as band_at.
template <class Int>
struct PhaseRows {
  Int begin;
  Int end;
};
template <class Ints, class Int>
PhaseRows<Int> phase_rows(Ints& z, const Part& part, const Int& first, int64_t phases, const Int& out_steps) {
  const Int before = z.addc(z.sub(z.constant(0), first), part.crop);  // steps of row 0 that are cropped
  const Int begin = z.max(z.constant(0), z.divc(z.addc(before, part.row_steps - 1), part.row_steps));
  const Int left = z.addc(z.add(out_steps, before), -phases);
  return {begin, z.max(begin, z.addc(z.divc(left, part.row_steps), 1))};
}

// The rows of a part of an output with `out_steps` steps; either range may be empty.
std::array<RowRange, 2> part_rows(const Part& part, int64_t out_steps);

// The kernel of a part, (taps, channels, filters), from the layer's; nothing to do where the problem is not
// transposed. From (taps, filters, channels).
std::vector<float> part_kernel(const Problem& layer, const Part& part, const float* kernel);

}  // namespace convsmith::ir
