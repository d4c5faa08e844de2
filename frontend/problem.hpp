// The canonical problem: what is to be computed, with every Keras rule resolved and nothing tunable.
//
//   y[n,o,f] = after( combine( act( bias[f] + sum_{t<taps} sum_{c<channels/groups}
//                x[n, o*stride + t*dilation - pad_left, group(f)*channels/groups + c] * w[t,c,f] ),
//                operand[n,o,f] ) )
//
// where terms with a position outside [0, steps) do not exist. `reduce` may put another sum in its place:
// pooling takes the largest or the mean of the positions, kCopy the only one. A transposed problem scatters
// instead: input step i and tap t meet in output step i*stride + t*dilation - pad_left. Weights come as Keras
// keeps them: (taps, channels/groups, filters), transposed (taps, filters, channels). Batch and steps are
// run-time values and no part of the problem. Invariant (made by make_problem, which finds every user error):
// all sizes >= 1, groups divides channels and filters, and every product of sizes that address arithmetic
// needs stays below 2^40.
#pragma once

#include <cstdint>

#include "convsmith/activation_value.hpp"
#include "frontend/base/element.hpp"

namespace convsmith {

enum class Layout { kChannelsLast, kChannelsFirst };

// What is made of the positions that one output looks at. All but kMultiplyAdd have no weights and
// channels == filters == groups.
enum class Reduce {
  kMultiplyAdd,
  kMax,   // from -inf
  kMean,  // the sum from +0 in ascending order, divided by the number of positions inside the input
  kCopy   // taps == 1; +0 where the position lies outside
};

// What is done with the operand, a second tensor of the output's shape. y is the value so far.
enum class Combine {
  kNone,
  kAdd,           // y + operand
  kSubtract,      // y - operand
  kSubtractFrom,  // operand - y
  kMultiply,      // y * operand
  kDivide,        // y / operand
  kMaximum,       // y > operand ? y : operand; NaN if either is
  kMinimum,       // y < operand ? y : operand; NaN if either is
  kPrelu          // max(y, 0) - operand * max(-y, 0)
};

struct Problem {
  int64_t channels = 1;
  int64_t filters = 1;
  int64_t taps = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t groups = 1;
  Layout layout = Layout::kChannelsLast;
  bool transposed = false;
  Reduce reduce = Reduce::kMultiplyAdd;
  bool has_bias = true;
  // The sum starts from the bias instead of +0, and nothing is added behind it: y = fma(x, w, bias).
  bool starts_from_bias = false;
  Activation activation = {};
  Combine combine = Combine::kNone;
  // Where false, the operand has size 1 along that axis.
  bool operand_has_steps = true;
  bool operand_has_channels = true;
  Activation after = {};
  // `same` padding splits by the length (odd cell right); otherwise the two constants hold
  // (valid: 0, 0; causal: dilation*(taps-1), 0). Transposed: cropped output steps, the right ones may be
  // negative (steps that no input reaches). Of a copy both may be negative (cropped input steps).
  bool pad_same = false;
  int64_t pad_left = 0;
  int64_t pad_right = 0;
  // Channels last only: floats from one step to the next (of an operand without steps: one sample), where it
  // is not the number of channels or filters because the tensor is a slice of a wider one. 0: dense.
  int64_t in_row = 0;
  int64_t out_row = 0;
  int64_t operand_row = 0;

  // Of the input, the weights, and the output with an operand.
  Element in_element = Element::kFloat32;
  Element weight_element = Element::kFloat32;
  Element out_element = Element::kFloat32;

  // Calls make at most one output step of a sample, so that high tiles are of no use.
  bool one_step = false;

  bool operator==(const Problem&) const = default;

  bool has_weights() const { return reduce == Reduce::kMultiplyAdd; }
  // One channel and one filter a group: pooling, copies, depthwise convolutions.
  bool is_channelwise() const { return groups == channels && groups == filters; }
  // Channels last: floats from one step to the next.
  int64_t in_pitch() const { return in_row != 0 ? in_row : channels; }
  int64_t out_pitch() const { return out_row != 0 ? out_row : filters; }
  int64_t operand_pitch() const {
    if (!operand_has_steps) return 0;
    return operand_row != 0 ? operand_row : operand_has_channels ? filters : 1;
  }
  int64_t group_channels() const { return channels / groups; }
  int64_t group_filters() const { return filters / groups; }
  // Steps that one output looks at, first to last.
  int64_t span() const { return (taps - 1) * dilation + 1; }
  // Number of output steps for `steps` input steps, 0 where the formula says none (or less).
  int64_t output_steps(int64_t steps) const;
  // What a kernel's code depends on: padding is a matter of the call.
  Problem without_padding() const;
  // Number of padding steps on the left for `steps` input steps.
  int64_t left_padding(int64_t steps) const;
};

}  // namespace convsmith
