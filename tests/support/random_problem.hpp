// Small random problems for tests that compare one computation of a layer with another.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <vector>

#include "frontend/problem.hpp"

namespace convsmith::test {

class Random {
 public:
  explicit Random(uint32_t seed) : generator_(seed) {}
  // Both ends included. The standard's distributions differ between libraries.
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(generator_() % static_cast<uint64_t>(high - low + 1));
  }
  bool once_in(int64_t n) { return between(1, n) == 1; }
  // Small multiples of 1/8: sums of a few hundred products stay exact in most orders, not in all.
  std::vector<float> floats(int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    for (float& x : values) x = static_cast<float>(between(-80, 80)) / 8.0F + (once_in(3) ? 0.1F : 0.0F);
    return values;
  }

 private:
  std::mt19937 generator_;
};

inline Problem random_problem(Random& r) {
  Problem p;
  p.groups = r.once_in(3) ? r.between(2, 6) : 1;
  int64_t channels = r.between(1, r.once_in(2) ? 5 : 20);
  int64_t filters = r.between(1, r.once_in(2) ? 5 : 40);
  if (r.once_in(6)) {  // depthwise, perhaps with a multiplier
    p.groups = r.between(2, 40);
    channels = 1;
    filters = r.once_in(4) ? r.between(2, 3) : 1;
  }
  p.channels = channels * p.groups;
  p.filters = filters * p.groups;
  p.taps = r.between(1, r.once_in(2) ? 3 : 9);
  p.stride = r.once_in(2) ? 1 : r.between(2, 5);
  p.dilation = r.once_in(2) ? 1 : r.between(2, 6);
  p.layout = r.once_in(3) ? Layout::kChannelsFirst : Layout::kChannelsLast;
  p.has_bias = r.once_in(2);
  switch (r.between(0, 3)) {
    case 0:
      p.pad_same = true;
      break;
    case 1:
      p.pad_left = p.dilation * (p.taps - 1);
      break;
    case 2:
      p.pad_left = r.between(0, 9);
      p.pad_right = r.between(0, 9);
      break;
    default:
      break;
  }
  return p;
}

// One with what only passes of whole networks have: other reductions, an operand, rows of wider tensors.
inline Problem random_pass(Random& r) {
  Problem p = random_problem(r);
  if (r.once_in(2)) {
    p.groups = p.filters = p.channels;
    p.reduce = static_cast<Reduce>(r.between(0, 3));
    p.has_bias = p.has_weights() && r.once_in(2);
    if (p.reduce == Reduce::kCopy) p.taps = 1;
    if (p.reduce == Reduce::kCopy && !p.pad_same) {
      p.pad_left = r.between(-4, 4);
      p.pad_right = r.between(-4, 4);
    }
  }
  p.starts_from_bias = p.has_bias && r.once_in(3);
  p.combine = static_cast<Combine>(r.between(0, 8));
  p.operand_has_steps = !r.once_in(4);
  p.operand_has_channels = !r.once_in(4);
  if (p.layout == Layout::kChannelsFirst || r.once_in(2)) return p;
  p.in_row = r.once_in(2) ? 0 : p.channels + r.between(0, 20);
  p.out_row = r.once_in(2) ? 0 : p.filters + r.between(0, 20);
  p.operand_row = r.once_in(2) ? 0 : (p.operand_has_channels ? p.filters : 1) + r.between(0, 20);
  return p;
}

// Input, weights as Keras keeps them, and output of one call.
struct Tensors {
  Tensors(const Problem& p, int64_t batch_, int64_t steps_, Random& r)
      : batch(batch_),
        steps(steps_),
        in(r.floats(batch * steps * p.in_pitch())),
        kernel(r.floats(p.taps * p.group_channels() * p.filters)),
        bias(r.floats(p.filters)),
        operand(r.floats(batch * std::max<int64_t>(1, p.output_steps(steps)) *
                         std::max(p.filters, p.operand_row))),
        out(static_cast<size_t>(batch * p.output_steps(steps) * p.out_pitch()), 9.0F) {}
  int64_t batch;
  int64_t steps;
  std::vector<float> in;
  std::vector<float> kernel;
  std::vector<float> bias;
  std::vector<float> operand;
  std::vector<float> out;
};

}  // namespace convsmith::test
