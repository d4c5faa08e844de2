// The activations in double precision, in forms that do not cancel, with their limits at +-inf: the truth
// against which vmath is measured, here and in tests/codegen/programs/vmath_test.cpp. Parameters are the
// floats of the Activation.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "convsmith/activation.hpp"

namespace convsmith::reference {

inline double relu(double x, double slope, double max_value, double threshold) {
  if (x > threshold) return std::isinf(max_value) ? x : std::clamp(x, 0.0, max_value);
  return slope == 0 ? 0.0 : slope * (x - threshold);
}

inline double tanh_shrink(double x) {
  if (std::abs(x) > 0.05) return x - std::tanh(x);
  const double s = x * x;
  return x * s * (1.0 / 3 + s * (-2.0 / 15 + s * (17.0 / 315 + s * (-62.0 / 2835))));
}

inline double softplus(double x) {
  return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x)));
}

inline double squareplus(double x, double b) {
  if (b == 0) return std::max(x, 0.0);
  const double root = std::sqrt(x * x + b);
  return x < 0 ? 0.5 * b / (root - x) : 0.5 * (x + root);
}

inline double gelu_tanh(double x) {
  const double u = std::sqrt(2 / std::numbers::pi) * x * (1 + 0.044715 * x * x);
  return x / (1 + std::exp(-2 * u));
}

inline double soft_shrink(double x, double threshold) {
  if (x > threshold) return x - threshold;
  return x < -threshold ? x + threshold : 0.0;
}

// Where x times a gate is inf * 0 at x = -inf, the limit is 0.
inline bool gate_closes(ActivationKind kind) {
  return kind == ActivationKind::kGelu || kind == ActivationKind::kGeluTanh ||
         kind == ActivationKind::kSilu || kind == ActivationKind::kHardSilu || kind == ActivationKind::kMish;
}

inline double evaluate(const Activation& a, double x) {
  constexpr double kScale = 1.0507009873554804934, kAlpha = 1.6732632423543772848;
  const double p0 = a.params[0], p1 = a.params[1], p2 = a.params[2];
  if (std::isnan(x)) return x;
  if (gate_closes(a.kind) && x == -std::numeric_limits<double>::infinity()) return 0;
  switch (a.kind) {
    case ActivationKind::kLinear:
      return x;
    case ActivationKind::kRelu:
      return relu(x, p0, p1, p2);
    case ActivationKind::kElu:
      return x > 0 ? x : p0 * std::expm1(x);
    case ActivationKind::kSelu:
      return kScale * (x > 0 ? x : kAlpha * std::expm1(x));
    case ActivationKind::kCelu:
      return x > 0 ? x : p0 * std::expm1(x / p0);
    case ActivationKind::kGelu:
      return 0.5 * x * std::erfc(-x * std::numbers::sqrt2 / 2);
    case ActivationKind::kGeluTanh:
      return gelu_tanh(x);
    case ActivationKind::kSigmoid:
      return 1 / (1 + std::exp(-x));
    case ActivationKind::kLogSigmoid:
      return -softplus(-x);
    case ActivationKind::kHardSigmoidKeras2:
      return std::clamp(0.2 * x + 0.5, 0.0, 1.0);
    case ActivationKind::kHardSigmoidKeras3:
      return std::clamp(x + 3, 0.0, 6.0) / 6;
    case ActivationKind::kSilu:
      return x / (1 + std::exp(-x));
    case ActivationKind::kHardSilu:
      return x * (std::clamp(x + 3, 0.0, 6.0) / 6);
    case ActivationKind::kMish:
      return x * std::tanh(std::log1p(std::exp(x)));
    case ActivationKind::kTanh:
      return std::tanh(x);
    case ActivationKind::kTanhShrink:
      return tanh_shrink(x);
    case ActivationKind::kHardTanh:
      return std::clamp(x, -1.0, 1.0);
    case ActivationKind::kSoftplus:
      return softplus(x);
    case ActivationKind::kSoftsign:
      return std::isinf(x) ? std::copysign(1.0, x) : x / (1 + std::abs(x));
    case ActivationKind::kExponential:
      return std::exp(x);
    case ActivationKind::kSquareplus:
      return squareplus(x, p0);
    case ActivationKind::kSparsePlus:
      return x <= -1 ? 0 : x < 1 ? (x + 1) * (x + 1) / 4 : x;
    case ActivationKind::kSparseSigmoid:
      return std::clamp(0.5 * (x + 1), 0.0, 1.0);
    case ActivationKind::kSoftShrink:
      return soft_shrink(x, p0);
    case ActivationKind::kHardShrink:
      return std::abs(x) > p0 ? x : 0.0;
    case ActivationKind::kThreshold:
      return x > p0 ? x : p1;
    case ActivationKind::kSoftmax:
    case ActivationKind::kLogSoftmax:
    case ActivationKind::kSparsemax:
    case ActivationKind::kGlu:
      break;  // not of one x
  }
  return std::numeric_limits<double>::quiet_NaN();
}

inline bool is_denormal(double exact) {
  return std::abs(exact) < 0x1p-126;
}

// |y - exact| in units of the last place of a float of the size of `exact`. Infinity counts as 2^128.
inline double ulp_error(float y, double exact) {
  const auto finite = [](double v) { return std::clamp(v, -0x1p128, 0x1p128); };
  const double difference = std::abs(finite(static_cast<double>(y)) - finite(exact));
  if (difference == 0) return 0;
  // The power of two at or below |exact|: its exponent bits alone.
  const double power = std::bit_cast<double>(std::bit_cast<uint64_t>(exact) & 0x7ff0000000000000U);
  return difference / (std::clamp(power, 0x1p-126, 0x1p127) * 0x1p-23);
}

struct Case {
  std::string name;
  Activation activation;
  double bound;  // ULP that numerics.md promises
};

inline std::vector<Case> cases() {
  using K = ActivationKind;
  constexpr float kInf = std::numeric_limits<float>::infinity();
  return {
      {"linear", {K::kLinear, {}}, 0},
      {"relu", make_relu(), 0},
      {"relu6", make_relu(0, 6), 0},
      {"leaky_relu(0.2)", make_relu(0.2F), 4},
      {"relu(slope 1.5)", make_relu(1.5F), 4},
      {"relu(threshold 1)", make_relu(0, kInf, 1), 4},
      {"relu(slope 0.25, max 4, threshold 0.5)", make_relu(0.25F, 4, 0.5F), 4},
      {"relu(slope -0.5, max 2, threshold -1)", make_relu(-0.5F, 2, -1), 4},
      {"elu(1)", {K::kElu, {1}}, 4},
      {"elu(0.3)", {K::kElu, {0.3F}}, 4},
      {"selu", {K::kSelu, {}}, 4},
      {"celu(1)", {K::kCelu, {1}}, 4},
      {"celu(0.07)", {K::kCelu, {0.07F}}, 4},
      {"celu(30)", {K::kCelu, {30}}, 4},
      {"celu(-2)", {K::kCelu, {-2}}, 4},
      {"gelu", {K::kGelu, {}}, 4},
      {"gelu_tanh", {K::kGeluTanh, {}}, 4},
      {"sigmoid", {K::kSigmoid, {}}, 3},
      {"log_sigmoid", {K::kLogSigmoid, {}}, 4},
      {"hard_sigmoid (Keras 2)", {K::kHardSigmoidKeras2, {}}, 4},
      {"hard_sigmoid (Keras 3)", {K::kHardSigmoidKeras3, {}}, 4},
      {"silu", {K::kSilu, {}}, 4},
      {"hard_silu", {K::kHardSilu, {}}, 4},
      {"mish", {K::kMish, {}}, 4},
      {"tanh", {K::kTanh, {}}, 2},
      {"tanh_shrink", {K::kTanhShrink, {}}, 4},
      {"hard_tanh", {K::kHardTanh, {}}, 0},
      {"softplus", {K::kSoftplus, {}}, 4},
      {"softsign", {K::kSoftsign, {}}, 4},
      {"exponential", {K::kExponential, {}}, 2},
      {"squareplus(4)", {K::kSquareplus, {4}}, 4},
      {"squareplus(0)", {K::kSquareplus, {0}}, 0},
      {"squareplus(0.01)", {K::kSquareplus, {0.01F}}, 4},
      {"squareplus(1e-30)", {K::kSquareplus, {1e-30F}}, 4},
      {"squareplus(1e30)", {K::kSquareplus, {1e30F}}, 4},
      {"sparse_plus", {K::kSparsePlus, {}}, 4},
      {"sparse_sigmoid", {K::kSparseSigmoid, {}}, 4},
      {"soft_shrink(0.5)", {K::kSoftShrink, {0.5F}}, 4},
      {"soft_shrink(-0.5)", {K::kSoftShrink, {-0.5F}}, 4},
      {"hard_shrink(0.5)", {K::kHardShrink, {0.5F}}, 0},
      {"threshold(0.5, -1)", {K::kThreshold, {0.5F, -1}}, 0},
  };
}

}  // namespace convsmith::reference
