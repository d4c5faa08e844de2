// The band rule: output steps fall into runs that see the same taps, so that no tap is ever tested
// inside a tile. Written once over an integer algebra: the host evaluates it with HostInts, lower
// emits it as vir.
#pragma once

#include <algorithm>
#include <cstdint>

#include "frontend/problem.hpp"

namespace convsmith::ir {

// Larger than any step number.
constexpr int64_t kFarAway = int64_t{1} << 60;

template <class Int>
struct Band {
  Int end;        // one past the last step of the band
  Int tap_begin;  // taps [tap_begin, tap_end) lie inside the input
  Int tap_end;    // >= tap_begin
};

// The taps [begin, end) of one output step that lie inside the input; `first` is the position of tap 0.
template <class Int>
struct TapRange {
  Int begin;  // taps before it are left of the input: ceil(-first / dilation), clamped
  Int end;    // taps from it on are right of the input; may be less than `begin`
};

// `all`: the taps of the whole window.
template <class Ints, class Int>
TapRange<Int> taps_at(Ints& z, const Problem& p, Int first, Int steps, const TapRange<Int>& all) {
  const auto [zero, taps] = all;
  const Int begin = z.min(taps, z.max(zero, z.sub(zero, z.divc(first, p.dilation))));
  const Int inside = z.sub(steps, first);
  const Int past = p.dilation == 1 ? inside : z.addc(z.divc(z.addc(inside, -1), p.dilation), 1);
  return {begin, z.max(zero, z.min(taps, past))};
}

// The band that begins at output step `o`, inside [o, o_end), of an input with `steps` steps.
// Tap k of output o looks at position o*stride + k*dilation - pad_left.
template <class Ints, class Int>
Band<Int> band_at(Ints& z, const Problem& p, Int o, Int o_end, Int steps, Int pad_left) {
  const Int one = z.constant(1);
  const Int first = z.sub(z.mulc(o, p.stride), pad_left);
  const Int zero = z.constant(0);
  const auto [begin, inside] = taps_at(z, p, first, steps, {zero, z.constant(p.taps)});
  // Where tap begin-1 comes in (never, if begin = 0), and where tap inside-1 goes out (never, if 0).
  const auto never_if_zero = [&](Int n) { return z.mulc(z.sub(one, z.min(n, one)), kFarAway); };
  const Int to_first = z.sub(pad_left, z.mulc(begin, p.dilation));
  const Int comes_in = z.divc(z.addc(to_first, p.dilation + p.stride - 1), p.stride);
  const Int padded = z.add(steps, pad_left);
  const Int past_last = z.sub(padded, z.mulc(inside, p.dilation));
  const Int goes_out = z.addc(z.divc(z.addc(past_last, p.dilation - 1), p.stride), 1);
  const Int end_in = z.min(o_end, z.add(comes_in, never_if_zero(begin)));
  const Int end = z.min(end_in, z.add(goes_out, never_if_zero(inside)));
  return {end, begin, z.max(begin, inside)};
}

struct HostInts {
  int64_t constant(int64_t n) const { return n; }
  int64_t add(int64_t a, int64_t b) const { return a + b; }
  int64_t addc(int64_t a, int64_t n) const { return a + n; }
  int64_t sub(int64_t a, int64_t b) const { return a - b; }
  int64_t mulc(int64_t a, int64_t n) const { return a * n; }
  int64_t divc(int64_t a, int64_t n) const { return a / n - (a % n < 0 ? 1 : 0); }
  int64_t min(int64_t a, int64_t b) const { return std::min(a, b); }
  int64_t max(int64_t a, int64_t b) const { return std::max(a, b); }
};

}  // namespace convsmith::ir
