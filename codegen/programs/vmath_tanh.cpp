// Activations through tanh and expm1: tanh, tanh_shrink, elu, selu, celu.
#include <array>
#include <cmath>

#include "codegen/programs/vmath_emitter.hpp"

namespace convsmith::vmath {

namespace {

// expm1(r) = r + r^2 P(r), |r| <= 0.34665: relative error 2^-31.1 (scripts/vmath_ulp_fit.py)
constexpr std::array<float, 6> kExpm1 = {0.5F,           0.166666657F,   0.0416664928F,
                                         0.00833354518F, 0.00139323238F, 0.000197624744F};

// tanh(x) = x + x^3 P(x^2), 0 <= x <= 0.6: relative error 2^-28.4
constexpr float kTanhSplit = 0.6F;
constexpr std::array<float, 5> kTanh = {-0.333332986F, 0.133319363F, -0.0537847169F, 0.0207986254F,
                                        -0.00589796668F};

// x - tanh(x) = x^3 P(x^2), 0 <= x <= 1: relative error 2^-25.0
constexpr float kTanhShrinkSplit = 1.0F;
constexpr std::array<float, 8> kTanhShrink = {0.333333343F,   -0.133334115F,  0.0539782904F,
                                              -0.0219136849F, 0.0089275986F,  -0.00353187043F,
                                              0.00115308154F, -0.00020680626F};

// 1 - tanh(a) = 2t / (1 + t), t = exp(-2a), for a >= 0; from 16 on it is nothing beside 1.
V one_minus_tanh(Emitter& e, V a) {
  const V half = e.at_most(16.0F, a);
  const V twice = e.b.add(half, half);
  const ExpParts parts = reduce_exp(e, twice, Argument::kMinus, 127);
  const V p = exp_of_rest(e, parts, Argument::kMinus);
  const V t = e.b.mul(p, e.b.shl32(parts.bits, 23));
  const V numerator = e.b.add(t, t);
  return e.b.div(numerator, e.add(t, 1.0F));
}

// 2^(bias - 127) expm1(a), -40 < a < 90: by 2^n (e^r - 1) + (2^n - 1), where 2^n - 1 is exact as long as it
// matters.
V scaled_expm1(Emitter& e, V a, int bias) {
  const ExpParts parts = reduce_exp(e, a, Argument::kPlus, bias);
  const V p = e.polynomial(parts.r, kExpm1);
  const V q = e.b.fma(e.b.mul(parts.r, parts.r), p, parts.r);
  const V scale = e.b.shl32(parts.bits, 23);
  return e.b.fma(q, scale, e.add(scale, bias == 127 ? -1.0F : -0.5F));
}

// expm1(a) for a <= 0; anything for a > 0
V expm1_of_negative(Emitter& e, V a) {
  return scaled_expm1(e, e.at_least(-30.0F, a), 127);
}

}  // namespace

V emit_tanh(Emitter& e, V x) {
  const V a = e.abs(x);
  const V rest = one_minus_tanh(e, a);
  const V large = e.b.sub(e.constant(1.0F), rest);
  const V a2 = e.b.mul(a, a);
  const V p = e.polynomial(a2, kTanh);
  const V small = e.b.fma(e.b.mul(a, a2), p, a);
  return e.with_sign_of(x, e.b.select(e.greater(a, kTanhSplit), large, small));
}

V emit_tanh_shrink(Emitter& e, V x) {
  const V a = e.abs(x);
  const V rest = one_minus_tanh(e, a);
  const V large = e.b.add(e.add(a, -1.0F), rest);
  const V a2 = e.b.mul(a, a);
  const V p = e.polynomial(a2, kTanhShrink);
  const V small = e.b.mul(e.b.mul(a, a2), p);
  return e.with_sign_of(x, e.b.select(e.greater(a, kTanhShrinkSplit), large, small));
}

V emit_elu(Emitter& e, V x, float alpha) {
  V negative = expm1_of_negative(e, x);
  if (alpha != 1.0F) negative = e.mul(negative, alpha);
  return e.b.select(e.less(x, 0.0F), negative, x);
}

V emit_selu(Emitter& e, V x) {
  constexpr float kScale = 1.05070099F;       // 1.0507009873554804934
  constexpr float kScaleAlpha = 1.75809934F;  // kScale * 1.6732632423543772848
  const V negative = e.mul(expm1_of_negative(e, x), kScaleAlpha);
  const V positive = e.mul(x, kScale);
  return e.b.select(e.less(x, 0.0F), negative, positive);
}

V emit_celu(Emitter& e, V x, float alpha) {
  if (alpha == 1.0F) return emit_elu(e, x, alpha);
  const V z = e.b.div(x, e.constant(alpha));
  V negative;
  if (alpha < 0) {
    // A growing exponential, which Keras allows. Half of it, for 2^128 is no float.
    negative = e.mul(scaled_expm1(e, e.at_most(89.0F, z), 126), 2.0F * alpha);
  } else {
    negative = e.mul(expm1_of_negative(e, z), alpha);
  }
  // Near 0 the result is x, and x / alpha may be denormal, which would lose bits.
  return e.b.select(e.less(x, -0x1p-26F * std::abs(alpha)), negative, x);
}

}  // namespace convsmith::vmath
