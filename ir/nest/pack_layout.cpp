#include "ir/nest/pack_layout.hpp"

namespace convsmith::ir {

PackLayout pack_layout(const LoopNest& nest) {
  const Problem& p = nest.problem;
  const Dim lanes = lanes_dim(nest).value();
  PackLayout layout{};
  layout.units_are_groups = lanes == Dim::kGroup;
  layout.outer = layout.units_are_groups ? 1 : p.groups;
  layout.units = layout.units_are_groups ? p.groups : p.group_filters();
  layout.block = innermost_step(nest.loops, layout.units_are_groups ? Dim::kGroup : Dim::kFilter);
  layout.pad = 1;
  // Lanes over steps read weights one by one, and their part makes most of the steps: where the weights of
  // few filters would push inputs out of the first cache, rows are not padded.
  constexpr int64_t kManyRows = 512;
  const bool is_dense = !nest.inside.empty() && nest.shared_rows() == 0 &&
                        p.taps * p.group_channels() > kManyRows && 2 * layout.units <= lane_count(nest);
  if (lanes != Dim::kStep && !is_dense) layout.pad = lane_count(nest);
  if (nest.packed_by != 0) layout.block = layout.pad = nest.packed_by;
  layout.rows = p.has_weights() ? p.taps * p.group_channels() : 0;
  layout.has_bias = p.has_bias;
  layout.element = p.weight_element;
  return layout;
}

ParallelBlocks parallel_blocks(const LoopNest& nest) {
  const Dim dim = nest.problem.groups > 1 ? Dim::kGroup : Dim::kFilter;
  const int64_t extent = dim_extent(nest.problem, dim).value();
  if (!nest.inside.empty()) return {Dim::kSample, 1, 1};
  for (const Loop& loop : nest.loops) {
    if (loop.dim == dim) return {dim, loop.step, (extent + loop.step - 1) / loop.step};
  }
  return {dim, extent, 1};
}

}  // namespace convsmith::ir
