// Activations through exp(x) and its inverse forms: exponential, sigmoid, silu, mish, softplus, and log.
//
// exp: Cody and Waite's reduction x = n ln2 + r, |r| <= ln2/2, with ln2 in two floats; e^r by a
// polynomial; 2^n put together from bits. vir has no rounding operation: adding 1.5 * 2^23 leaves the
// nearest integer in the low bits of the sum.
#include <array>

#include "codegen/programs/vmath_emitter.hpp"

namespace convsmith::vmath {

namespace {

constexpr float kLog2E = 1.44269504F;
constexpr float kLn2High = 0.693147182F;     // ln 2 rounded to float
constexpr float kLn2Low = -1.90465421e-09F;  // ln 2 - kLn2High

constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: its bits shifted left by 23 vanish

// e^r = 1 + r + r^2 P(r), |r| <= 0.34665: relative error 2^-28.2 (scripts/vmath_ulp_fit.py)
constexpr std::array<float, 7> kExp = {1.0F,          1.0F,          0.49999994F,   0.166665211F,
                                       0.0416682661F, 0.0083686728F, 0.00138207141F};

constexpr uint32_t kSqrtHalfBits = 0x3f3504f3;  // sqrt(1/2), rounded down

// 2 atanh(z/2) = z + z^3 P(z^2), 0 <= z <= 2/3: relative error 2^-27.7
constexpr std::array<float, 4> kAtanh = {0.0833330229F, 0.0125066983F, 0.00218774145F, 0.000547000731F};

std::array<float, kExp.size()> exp_coefficients(Argument sign) {
  std::array<float, kExp.size()> c = kExp;
  if (sign == Argument::kMinus) {  // of -r
    for (size_t i = 1; i < c.size(); i += 2) c[i] = -c[i];
  }
  return c;
}

// Beyond it x exp(-x) is below half of the smallest denormal.
constexpr float kGone = 110.0F;

V twice_atanh_of_half(Emitter& e, V z) {
  const V z2 = e.b.mul(z, z);
  const V p = e.polynomial(z2, kAtanh);
  return e.b.fma(e.b.mul(z, z2), p, z);
}

// log(1 + exp(-|x|)) with a small relative error however large |x| is.
V log1p_exp_minus_abs(Emitter& e, V x) {
  const V a = e.at_most(kGone, e.abs(x));
  const V t = e.mul(scaled_exp(e, a, Argument::kMinus), kScaleDown);
  // log(1 + t) = 2 atanh(t / (2 + t)); z = 2t / (2 + t) does not leave the normal floats before t does.
  return twice_atanh_of_half(e, e.b.div(t, e.fma(t, 0.5F, 1.0F)));
}

}  // namespace

ExpParts reduce_exp(Emitter& e, V x, Argument sign, int bias, const V* minus_low) {
  const float s = sign == Argument::kPlus ? 1.0F : -1.0F;
  const float shift = kRound + static_cast<float>(bias);
  const V scale = e.constant(s * kLog2E);
  const V shifted = e.constant(shift);
  const V bits = e.b.fma(x, scale, shifted);
  const V n = e.b.sub(bits, shifted);
  // Exact for n != 0: the difference is a multiple of the last bit of kLn2High or of x, and < 0.35.
  V r = e.fma(n, -s * kLn2High, x);
  r = e.fma(n, -s * kLn2Low, r);
  if (minus_low != nullptr) r = e.b.sub(r, *minus_low);
  return {bits, r};
}

V exp_of_rest(Emitter& e, const ExpParts& parts, Argument sign) {
  return e.polynomial(parts.r, exp_coefficients(sign));
}

V expm1_of_rest(Emitter& e, const ExpParts& parts, Argument sign) {
  const std::array<float, kExp.size()> c = exp_coefficients(sign);
  return e.b.mul(e.polynomial(parts.r, std::span(c).subspan(1)), parts.r);
}

V scaled_exp(Emitter& e, V x, Argument sign, const V* minus_low) {
  const ExpParts parts = reduce_exp(e, x, sign, kScaledBias, minus_low);
  const V p = exp_of_rest(e, parts, sign);
  return e.b.mul(p, e.b.shl32(parts.bits, 23));
}

V emit_exponential(Emitter& e, V x) {
  // Outside of the clamps the result is inf or 0, and so it is at them.
  const V a = e.at_least(-104.0F, e.at_most(89.0F, x));
  const ExpParts parts = reduce_exp(e, a, Argument::kPlus, 254);
  const V p = exp_of_rest(e, parts, Argument::kPlus);
  // 2^n in two steps, 2^floor(n/2) and the rest: neither overflows, and a denormal is rounded once.
  const V half = e.b.shl32(e.b.shr32(parts.bits, 1), 23);
  const V rest = e.b.sub32(e.b.shl32(parts.bits, 23), half);
  return e.b.mul(e.b.mul(p, half), rest);
}

V emit_sigmoid(Emitter& e, V x) {
  // 1 / (1 + t) or t / (1 + t), t = exp(-|x|) <= 1
  const V a = e.at_most(kGone, e.abs(x));
  const V t = e.mul(scaled_exp(e, a, Argument::kMinus), kScaleDown);
  const V one = e.constant(1.0F);
  const V numerator = e.b.select(e.less(x, 0.0F), t, one);
  return e.b.div(numerator, e.b.add(t, one));
}

V add_to_relu(Emitter& e, V x, V scaled, float factor) {
  const V relu = e.at_least(0.0F, x);
  return e.fma(scaled, factor, relu);
}

V emit_silu(Emitter& e, V x) {
  // x sigmoid(x) = relu(x) - |x| sigmoid(-|x|)
  const V a = e.at_most(kGone, e.abs(x));
  const V t = scaled_exp(e, a, Argument::kMinus);
  const V gate = e.b.div(t, e.fma(t, kScaleDown, 1.0F));
  return add_to_relu(e, x, e.b.mul(a, gate), -kScaleDown);
}

V emit_mish(Emitter& e, V x) {
  // tanh(log(1 + w)) = n / (n + 2), w = exp(x), n = w^2 + 2w. From 12 on it is 1 in float.
  constexpr float kOne = 12.0F;
  const V a = e.at_least(-kGone, e.at_most(kOne, x));
  const V t = scaled_exp(e, a, Argument::kPlus);
  const V w = e.mul(t, kScaleDown);
  const V n = e.b.fma(t, w, e.b.add(t, t));
  const V numerator = e.b.mul(a, n);
  const V ratio = e.b.div(numerator, e.fma(n, kScaleDown, 2.0F));
  const V y = e.mul(ratio, kScaleDown);
  return e.b.select(e.greater(x, kOne), x, y);
}

V emit_softplus(Emitter& e, V x) {
  const V log = log1p_exp_minus_abs(e, x);
  return e.b.add(e.at_least(0.0F, x), log);
}

V emit_log_sigmoid(Emitter& e, V x) {
  const V log = log1p_exp_minus_abs(e, x);
  return e.b.sub(e.at_most(0.0F, x), log);
}

V emit_log(Emitter& e, V x) {
  // x = 2^n m, sqrt(1/2) <= m < sqrt(2): n ln2 + log m
  const V above = e.b.sub32(x, e.b.constant_bits(kSqrtHalfBits));
  const V n = e.b.shr32(above, 23);
  const V m = e.b.sub32(x, e.b.shl32(n, 23));
  const V f = e.add(m, -1.0F);
  const V log_m = twice_atanh_of_half(e, e.b.div(f, e.fma(f, 0.5F, 1.0F)));
  // n is small and not negative: its bits under those of 2^23.
  const V shift = e.constant(0x1p23F);
  const V whole = e.b.sub(e.b.bit_or(n, shift), shift);
  const V y = e.fma(whole, kLn2High, e.fma(whole, kLn2Low, log_m));
  return e.b.select(e.b.unordered(x, x), x, y);
}

}  // namespace convsmith::vmath
