// What one call works out besides the passes themselves: sizes that can't overflow, and how threads share a
// pass. Written over a machine Z, as GraphCall is.
#pragma once

#include <algorithm>
#include <cstdint>

#include "runtime/compile.hpp"

namespace convsmith {

// a * b, about 2^60 where it is more than that; both at least 0 and at most 2^61.
template <class Z, class Int = typename Z::Int>
Int product(Z& z, const Int& a, const Int& b) {
  constexpr int64_t kHalf = int64_t{1} << 30;
  Int result = z.variable(z.number(kHalf * kHalf));
  const Int small = z.min(a, b);
  const Int large = z.max(a, b);
  // Where neither fits 30 bits, or one times the upper part of the other is 2^30 or more, it is.
  z.if_less(small, z.number(kHalf), [&] {
    z.if_less(z.mul(z.divc(large, kHalf), small), z.number(kHalf - 1),
              [&] { z.assign(result, z.mul(small, large)); });
  });
  return result;
}

// A grid of parts over samples, steps and filter blocks.
template <class Int>
struct Parts {
  Int samples;
  Int steps;
  Int blocks;
};

// Fewer multiply-adds than this are not worth waking a thread for.
constexpr int64_t kMinTaskWork = 200'000;

// At most `threads` parts, cut first where cutting is cheapest. `steps` are those of the input.
template <class Z, class Int = typename Z::Int>
Parts<Int> choose_parts(Z& z, const CompiledKernel& kernel, const Int& threads, const Int& samples,
                        const Int& out_steps, const Int& steps) {
  const Problem& p = kernel.problem;
  const Int one = z.number(1);
  // Pooling over all steps has any number of taps.
  const Int taps = z.min(z.number(p.taps), z.max(steps, one));
  const Int outputs = product(z, samples, out_steps);
  const Int work = product(z, outputs, z.mulc(taps, p.filters * p.group_channels()));
  const Int want = z.max(one, z.min(threads, z.addc(z.divc(work, kMinTaskWork), 1)));
  Parts<Int> parts{z.variable(one), one, one};
  z.if_less(z.addc(want, -1), samples, [&] { z.assign(parts.samples, want); });
  // Rounded down: never more parts than threads, so that scratch has a slice for each.
  const Int rest = z.div(want, parts.samples);
  parts.steps = z.max(one, z.min(rest, z.divc(out_steps, kernel.tile_steps)));
  parts.blocks = z.max(one, z.min(z.div(rest, parts.steps), z.number(kernel.blocks.count)));
  return parts;
}

// The share of part `index` of `parts` in [0, count), in whole grains.
template <class Int>
struct Share {
  Int begin;
  Int end;
};
template <class Z, class Int = typename Z::Int>
Share<Int> share_of(Z& z, const Int& count, const Int& parts, const Int& index, int64_t grain) {
  const Int grains = z.divc(z.addc(count, grain - 1), grain);
  const auto bound = [&](const Int& i) {
    return z.min(count, z.mulc(z.div(z.mul(grains, i), parts), grain));
  };
  const Int begin = bound(index);
  return {begin, bound(z.addc(index, 1))};
}

}  // namespace convsmith
