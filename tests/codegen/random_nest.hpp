// Random scheduled nests of awkward layers, of every form and most of them such as nobody chooses.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "codegen/lower/lower.hpp"
#include "codegen/schedule/completed.hpp"
#include "codegen/schedule/schedule_forms.hpp"
#include "convsmith/activation.hpp"
#include "ir/nest/build_nest.hpp"
#include "tests/support/random_problem.hpp"

namespace convsmith::test {

inline Activation random_activation(Random& r) {
  switch (r.between(0, 5)) {
    case 0:
      return make_relu(0.25F, 6.0F, 0.5F);
    case 1:
      return make_relu();
    case 2:
      return {ActivationKind::kTanh, {}};
    case 3:
      return {ActivationKind::kElu, {0.5F}};
    default:
      return {};
  }
}

// Kernels and dilations beyond the input, strides with dilation, every padding, slices, operands.
inline Problem awkward_problem(Random& r) {
  Problem p;
  p.groups = r.once_in(2) ? 1 : r.between(2, 9);
  p.channels = p.groups * r.between(1, r.once_in(3) ? 12 : 3);
  p.filters = p.groups * r.between(1, r.once_in(3) ? 20 : 5);
  if (r.once_in(3)) p.channels = p.filters = p.groups = r.between(2, 40);
  if (r.once_in(6)) p.groups = 1, p.filters = 16 * r.between(1, 9);
  p.taps = r.between(1, r.once_in(3) ? 40 : 5);
  p.stride = r.once_in(2) ? 1 : r.between(2, 5);
  p.dilation = r.once_in(2) ? 1 : r.once_in(6) ? r.between(50, 400) : r.between(2, 7);
  p.has_bias = r.once_in(2);
  p.activation = random_activation(r);
  const int64_t reach = (p.taps - 1) * p.dilation;
  switch (r.between(0, 3)) {
    case 0:
      p.pad_same = true;
      break;
    case 1:
      p.pad_left = reach;
      break;
    case 2:
      p.pad_left = r.between(0, std::min<int64_t>(reach + 3, 300));
      p.pad_right = r.between(0, std::min<int64_t>(reach + 3, 300));
      break;
    default:
      break;
  }
  if (r.once_in(5)) {
    p.in_row = p.channels + r.between(0, 9);
    p.out_row = p.filters + r.between(0, 9);
    p.combine = r.once_in(2) ? Combine::kAdd : Combine::kNone;
    p.starts_from_bias = p.has_bias && r.once_in(3);
  }
  return p;
}

// So few that the interpreter takes no longer than a moment.
inline int64_t random_steps(const Problem& p, int64_t batch, Random& r) {
  const int64_t each = std::max<int64_t>(1, batch) * p.filters * p.taps * p.group_channels();
  const int64_t longest = std::clamp<int64_t>(400'000 * p.stride / each, 20, 300);
  int64_t steps = r.once_in(3) ? r.between(1, 20) : r.between(1, longest);
  while (p.output_steps(steps) == 0) ++steps;
  return steps;
}

inline bool can_fuse(const Problem& p) {
  return p.groups == 1 && (p.taps == 1 || (p.dilation == 1 && p.in_pitch() == p.channels));
}

// Sizes of tiles that registers hold.
inline FilterForm random_filter_form(const Problem& p, const Target& target, Random& r) {
  FilterForm form;
  form.vectors = r.between(1, 3);
  form.rows = r.between(1, (target.vector_registers - 4 - 3) / form.vectors - 1);
  if (r.once_in(3)) form.chunk = form.rows * r.between(2, 7);
  form.fuse = can_fuse(p) && r.once_in(2);
  const int64_t unroll = r.between(1, 4);
  if (p.group_channels() % unroll == 0) form.unroll = unroll;
  form.ragged = !r.once_in(4);
  form.prefetch = r.once_in(3);
  form.read_ahead = r.once_in(2);
  form.stream = p.out_pitch() % 16 == 0 && r.once_in(2);
  if (form.vectors * target.lanes % 16 == 0 && r.once_in(3)) form.panel = 16;
  const bool is_dense =
      p.in_pitch() == p.channels && p.out_pitch() == p.filters && p.combine == Combine::kNone;
  const int64_t filters = std::min(p.group_filters(), form.vectors * target.lanes);
  const int64_t lifted = std::min<int64_t>((target.vector_registers - 2) / (filters + 1), ir::kMostLifted);
  if (is_dense && lifted > 0 && r.once_in(2)) {
    form.ragged = true;
    form.chunk = 0;
    form.lift = r.between(1, lifted);
    form.near = ir::can_be_near(p, target.lanes) && !r.once_in(4);
    form.fuse = form.fuse && !(form.near && p.channels > 1);
  }
  for (const int64_t rows : {2, 4}) {
    if (ir::can_blend(p, target.lanes, rows) && r.once_in(2)) form.blend = rows;
  }
  const bool one_shared = form.blend > 0 && p.group_filters() < target.lanes && p.stride % p.dilation == 0;
  form.slide = one_shared && form.lift == 0 && form.ragged && p.taps * p.group_channels() * form.rows <= 1000;
  return form;
}

inline ChannelForm random_channel_form(const Problem& p, const Target& target, Random& r) {
  ChannelForm form;
  form.vectors = r.between(1, 2);
  form.rows = r.between(1, (target.vector_registers - 4 - 3) / form.vectors - 1);
  form.ragged = !r.once_in(5);
  form.slide = form.ragged && p.taps * form.rows * form.vectors <= 600 && !r.once_in(4);
  form.stream = p.out_pitch() % 16 == 0 && r.once_in(2);
  if (form.vectors * target.lanes % 16 == 0 && r.once_in(3)) form.panel = 16;
  return form;
}

// The serial loops over the output in another order, after which bands and chunks still stand outside what
// they hold.
inline ir::LoopNest shuffled(ir::LoopNest nest, Random& r) {
  const auto begin = nest.loops.begin() + 1;  // behind n
  const auto end = std::find_if(begin, nest.loops.end(), [](const ir::Loop& loop) {
    return loop.role != ir::Role::kSerial && !ir::is_band(loop.role);
  });
  std::vector<ir::Loop> over_steps;
  std::copy_if(begin, end, std::back_inserter(over_steps),
               [](const ir::Loop& loop) { return loop.dim == ir::Dim::kStep; });
  for (auto i = begin + 1; i < end; ++i) std::iter_swap(i, begin + r.between(0, i - begin));
  auto next = over_steps.begin();
  for (auto i = begin; i < end; ++i) {
    if (i->dim == ir::Dim::kStep) *i = *next++;
  }
  return nest;
}

inline ir::Tail random_tail(const ir::LoopNest& nest, const ir::Loop& loop, bool single_elsewhere,
                            int64_t lanes, Random& r) {
  ir::Tail tail{loop.tail.strategy, {}};
  if (ir::tiles_may_overlap(nest) && r.once_in(3)) tail.strategy = ir::TailStrategy::kShrink;
  const int64_t unit = tail.strategy == ir::TailStrategy::kMask ? lanes : 1;
  for (int64_t size = loop.step - unit; size >= unit; size -= unit) {
    if (r.once_in(4)) tail.sizes.push_back(size);
  }
  const bool has_single = !tail.sizes.empty() && tail.sizes.back() == 1;
  if (unit == 1 && loop.step > 1 && !has_single && !single_elsewhere) tail.sizes.push_back(1);
  return tail;
}

// What a schedule leaves open, otherwise than `completed` would have it.
inline ir::LoopNest with_other_numbers(ir::LoopNest nest, const Target& target, Random& r) {
  nest = completed(nest, target);
  bool single_elsewhere = false;
  for (ir::Loop& loop : nest.loops) {
    if (loop.wide > 1) loop.wide = r.between(1, loop.wide);
    single_elsewhere = single_elsewhere || loop.wide > 1;
    if (loop.dim == ir::Dim::kStep && loop.tail.strategy != ir::TailStrategy::kOpen)
      loop.tail = random_tail(nest, loop, single_elsewhere, target.lanes, r);
  }
  for (ir::Loop& loop : nest.loops) {
    if (loop.apart > 0) loop.apart = int64_t{64} << r.between(0, 6);
  }
  for (ir::Hint& hint : nest.hints)
    hint.number = r.between(1, hint.kind == ir::HintKind::kNontemporal       ? 5000
                               : hint.kind == ir::HintKind::kPrefetchWeights ? 9
                                                                             : 20);
  ir::Inside form = ir::inside_of(nest);
  if (form.tiles > 0) form.tiles = r.between(1, ir::kMostLiftedSteps / form.vectors);
  if (form.worth > 0) form.worth = r.between(1, 300);
  if (form.chunk > 0) form.chunk = r.between(1, 5) * form.vectors * target.lanes;
  if (form.vectors > 0) nest.inside = ir::inside_loops(nest, form);
  return nest;
}

inline ir::LoopNest random_nest(const Problem& p, const Target& target, Random& r) {
  const bool depthwise = p.is_channelwise() && p.groups > 1;
  ScheduleForm form = random_filter_form(p, target, r);
  if (depthwise && !r.once_in(4)) form = random_channel_form(p, target, r);
  const auto nest = ir::apply(ir::build_nest(p), schedule_of(form, target.lanes));
  EXPECT_TRUE(nest) << nest.error().message;
  const ir::LoopNest in_order = nest->inside.empty() && r.once_in(2) ? shuffled(*nest, r) : *nest;
  return r.once_in(2) ? with_other_numbers(in_order, target, r) : in_order;
}

}  // namespace convsmith::test
