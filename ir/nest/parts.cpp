#include "ir/nest/parts.hpp"

#include <algorithm>
#include <numeric>
#include <span>

#include "ir/nest/band.hpp"

namespace convsmith::ir {

namespace {

// Beyond any input: the only tap of a phase without taps looks there.
constexpr int64_t kNowhere = int64_t{1} << 40;

// The taps t of a phase, t*dilation = phase (mod stride): t = first, first + step .., and the row of the
// input that the last of them meets in row 0.
struct PhaseTaps {
  int64_t first = 0;
  int64_t step = 1;
  int64_t count = 0;
  int64_t position = -kNowhere;
};

// By phase.
std::vector<PhaseTaps> phase_taps(const Problem& p) {
  std::vector<PhaseTaps> phases(static_cast<size_t>(p.stride));
  const int64_t step = p.stride / std::gcd(p.stride, p.dilation);
  for (PhaseTaps& taps : phases) taps.step = step;
  for (int64_t first = 0; first < std::min(step, p.taps); ++first) {
    const int64_t phase = first * p.dilation % p.stride;
    PhaseTaps& taps = phases[static_cast<size_t>(phase)];
    taps.first = first;
    taps.count = (p.taps - 1 - first) / step + 1;
    const int64_t last = first + (taps.count - 1) * step;
    taps.position = (phase - last * p.dilation) / p.stride;
  }
  return phases;
}

// `own`: the taps of the phases that it makes.
Part make_part(const Problem& p, int64_t first, std::span<const PhaseTaps> own) {
  const auto phases = static_cast<int64_t>(own.size());
  const PhaseTaps& shape = own.front();
  Part part{
      .problem = p, .row_steps = p.stride, .first = first, .phases = phases, .crop = p.pad_left, .taps = {}};
  Problem& q = part.problem;
  q.transposed = false;
  q.stride = 1;
  q.dilation = shape.count == 0 ? 1 : p.dilation / std::gcd(p.stride, p.dilation);
  q.taps = std::max<int64_t>(1, shape.count);
  q.pad_left = -shape.position;
  q.pad_right = 0;
  if (phases > 1) q.filters = phases * p.filters;
  q.out_row = p.stride * p.out_pitch();
  if (p.combine != Combine::kNone && p.operand_has_steps) q.operand_row = p.stride * p.operand_pitch();
  part.taps.reserve(static_cast<size_t>(phases * q.taps));
  for (const PhaseTaps& taps : own) {
    for (int64_t m = 0; m < q.taps; ++m)
      part.taps.push_back(taps.count == 0 ? -1 : taps.first + (taps.count - 1 - m) * taps.step);
  }
  return part;
}

bool can_merge(const Problem& p) {
  const bool operand_is_dense =
      p.combine == Combine::kNone ||
      (p.operand_has_steps && p.operand_has_channels && p.operand_pitch() == p.filters);
  return p.has_weights() && p.groups == 1 && p.out_pitch() == p.filters && operand_is_dense;
}

}  // namespace

std::vector<Part> split_parts(const Problem& p) {
  if (!p.transposed) return {Part{.problem = p, .taps = {}}};
  const std::vector<PhaseTaps> phases = phase_taps(p);
  const auto taps_of = [&](int64_t first, int64_t end) {
    return std::span(phases).subspan(static_cast<size_t>(first), static_cast<size_t>(end - first));
  };
  const auto match = [&](int64_t phase, int64_t other) {
    const PhaseTaps& a = phases[static_cast<size_t>(phase)];
    const PhaseTaps& b = phases[static_cast<size_t>(other)];
    return a.count == b.count && a.position == b.position;
  };
  std::vector<Part> parts;
  for (int64_t first = 0; first < p.stride;) {
    int64_t end = first + 1;
    while (can_merge(p) && end < p.stride && match(first, end)) ++end;
    parts.push_back(make_part(p, first, taps_of(first, end)));
    for (int64_t phase = first; end - first > 1 && phase < end; ++phase) {
      Part edge = make_part(p, phase, taps_of(phase, phase + 1));
      edge.problem.one_step = true;
      edge.merged_first = first;
      edge.merged_phases = end - first;
      parts.push_back(std::move(edge));
    }
    first = end;
  }
  return parts;
}

std::array<RowRange, 2> part_rows(const Part& part, int64_t out_steps) {
  HostInts z;
  const PhaseRows<int64_t> own = phase_rows(z, part, part.first, part.phases, out_steps);
  if (part.merged_phases == 0) return {RowRange{own.begin, own.end}, RowRange{}};
  const PhaseRows<int64_t> merged = phase_rows(z, part, part.merged_first, part.merged_phases, out_steps);
  return {RowRange{own.begin, std::min(own.end, merged.begin)},
          RowRange{std::max(own.begin, merged.end), own.end}};
}

std::vector<float> part_kernel(const Problem& layer, const Part& part, const float* kernel) {
  const Problem& q = part.problem;
  std::vector<float> out(static_cast<size_t>(q.taps * q.channels * q.filters));
  size_t i = 0;
  for (int64_t m = 0; m < q.taps; ++m) {
    for (int64_t c = 0; c < q.channels; ++c) {
      for (int64_t j = 0; j < part.phases; ++j) {
        const int64_t tap = part.taps[static_cast<size_t>(j * q.taps + m)];
        for (int64_t f = 0; f < layer.filters; ++f, ++i) {
          if (tap >= 0) out[i] = kernel[(tap * layer.filters + f) * layer.channels + c];
        }
      }
    }
  }
  return out;
}

}  // namespace convsmith::ir
