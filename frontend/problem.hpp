// The canonical problem: what is to be computed, with every Keras rule resolved and nothing tunable.
//
//   y[n,o,f] = act( bias[f] + sum_{t<taps} sum_{c<channels/groups}
//                   x[n, o*stride + t*dilation - pad_left, group(f)*channels/groups + c] * w[t,c,f] )
//
// where terms with a position outside [0, steps) do not exist. Weights come as Keras keeps them:
// (taps, channels/groups, filters). Batch and steps are run-time values and no part of the problem.
// Invariant (made by make_problem, which finds every user error): all sizes >= 1, groups divides
// channels and filters, and every product of sizes that address arithmetic needs stays below 2^40.
#pragma once

#include <cstdint>

#include "convsmith/activation.hpp"

namespace convsmith {

enum class Layout { kChannelsLast, kChannelsFirst };

struct Problem {
  int64_t channels = 1;
  int64_t filters = 1;
  int64_t taps = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t groups = 1;
  Layout layout = Layout::kChannelsLast;
  bool has_bias = true;
  Activation activation;
  // `same` padding splits by the length (odd cell right); otherwise the two constants hold
  // (valid: 0, 0; causal: dilation*(taps-1), 0).
  bool pad_same = false;
  int64_t pad_left = 0;
  int64_t pad_right = 0;

  bool operator==(const Problem&) const = default;

  int64_t group_channels() const { return channels / groups; }
  int64_t group_filters() const { return filters / groups; }
  // Steps that one output looks at, first to last.
  int64_t span() const { return (taps - 1) * dilation + 1; }
  // Number of output steps for `steps` input steps, 0 where the formula says none (or less).
  int64_t output_steps(int64_t steps) const;
  // Number of padding steps on the left for `steps` input steps.
  int64_t left_padding(int64_t steps) const;
};

}  // namespace convsmith
