#include "codegen/lower/lifted_block.hpp"

#include <algorithm>

#include "ir/nest/nest.hpp"

namespace convsmith {

namespace {

// Shuffles that turn `lanes` rows into `columns` columns, see transpose.
int64_t shuffles(int64_t lanes, int64_t columns) {
  const int64_t zips = lanes / 4 * ((columns > 2 ? 4 : 2) + std::min<int64_t>(4, columns));
  if (lanes == 4) return zips;
  return zips + columns + (lanes == 16 ? 2 * std::min<int64_t>(8, columns) : 0);
}

}  // namespace

LiftedBlock lifted_block(const Problem& p, const Target& target, int64_t vectors, int64_t tiles) {
  LiftedBlock block{};
  block.tiles = tiles;
  block.steps = tiles * vectors;
  block.positions = (block.steps - 1) * p.stride + (p.taps - 1) * p.dilation + 1;
  block.kept = std::max<int64_t>(0, block.positions - block.steps * p.stride);
  block.in_floats = vectors * p.stride * p.channels;
  block.unread = std::max<int64_t>(0, block.steps * p.stride - block.positions) * p.channels;
  block.out_floats = vectors * p.filters;
  block.bytes =
      bytes_of(p.in_element) * target.lanes * (block.positions * p.channels + tiles * block.out_floats);
  const double turned =
      turning(target, tiles * block.in_floats - block.unread) + turning(target, tiles * block.out_floats);
  const double kept = 1.5 * static_cast<double>(block.kept * p.channels);
  block.moving = (turned + kept) / static_cast<double>(block.steps);
  return block;
}

double turning(const Target& target, int64_t columns) {
  const int64_t lanes = target.lanes;
  const auto slots = [&](int64_t n) { return n == 0 ? 0 : shuffles(lanes, n) + lanes; };
  return target.shuffle_cycles * static_cast<double>(columns / lanes * slots(lanes) + slots(columns % lanes));
}

LiftedBlock lifted_block(const Problem& p, const Target& target, int64_t vectors) {
  LiftedBlock best = lifted_block(p, target, vectors, 1);
  for (int64_t tiles = 2; tiles * vectors <= ir::kMostLiftedSteps; ++tiles) {
    const LiftedBlock block = lifted_block(p, target, vectors, tiles);
    if (block.bytes > target.l1_bytes * 3 / 4) break;
    if (block.moving < best.moving) best = block;
  }
  return best;
}

int64_t steps_worth_lifting(const Problem& p, const Target& target, int64_t vectors) {
  const auto sum = 0.5 * static_cast<double>(p.taps * p.group_channels()) + kSumCycles;
  const int64_t sums = p.groups * ((p.group_filters() + target.lanes - 1) / target.lanes);  // of a step
  const double tile = static_cast<double>(vectors) *
                      (static_cast<double>(p.filters) * sum + lifted_block(p, target, vectors).moving);
  return std::max(vectors, static_cast<int64_t>(tile / (static_cast<double>(sums) * sum)));
}

}  // namespace convsmith
