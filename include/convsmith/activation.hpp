// The activations and their parameters. Names, defaults and formulas are Keras's.
#pragma once

#include "convsmith/language.hpp"

#include <limits>

#include "convsmith/activation_value.hpp"

namespace convsmith {

// p0, p1, p2 are Activation::params.
enum class ActivationKind : int {
  kLinear,             // x
  kRelu,               // p0 = negative_slope, p1 = max_value (inf: none), p2 = threshold
  kElu,                // p0 = alpha
  kSelu,               //
  kCelu,               // p0 = alpha
  kGelu,               // exact, by erf
  kGeluTanh,           // approximate=True
  kSigmoid,            //
  kLogSigmoid,         //
  kHardSigmoidKeras2,  // clip(0.2 x + 0.5, 0, 1)
  kHardSigmoidKeras3,  // relu6(x + 3) / 6
  kSilu,               // also called swish
  kHardSilu,           // x relu6(x + 3) / 6
  kMish,               //
  kTanh,               //
  kTanhShrink,         //
  kHardTanh,           //
  kSoftplus,           //
  kSoftsign,           //
  kExponential,        //
  kSquareplus,         // p0 = b
  kSparsePlus,         //
  kSparseSigmoid,      //
  kSoftShrink,         // p0 = threshold
  kHardShrink,         // p0 = threshold
  kThreshold,          // p0 = threshold, p1 = default_value
  // Not elementwise: each value depends on all along one axis, p0 (-1: the last one).
  kSoftmax,     //
  kLogSoftmax,  //
  kSparsemax,   // Keras's own formula (docs/activations.md)
  kGlu,         // halves the axis
};

constexpr bool is_elementwise(ActivationKind kind) {
  return kind < ActivationKind::kSoftmax;
}

static_assert(Activation{}.kind == ActivationKind::kLinear);

// relu with Keras's three arguments; relu6 and leaky_relu are its special cases.
inline Activation make_relu(float negative_slope = 0.0F,
                            float max_value = std::numeric_limits<float>::infinity(),
                            float threshold = 0.0F) {
  return {ActivationKind::kRelu, {negative_slope, max_value, threshold}};
}

}  // namespace convsmith
