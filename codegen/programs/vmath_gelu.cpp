// gelu, exact and by tanh: x times a gate whose exponent needs more bits than one float has.
#include <array>

#include "codegen/programs/vmath_emitter.hpp"

namespace convsmith::vmath {

namespace {

// exp(x^2/2) Phi(-x) = P((x - 2) / (x + 2)) / (x + 2), 0 <= x <= 14.5, Phi the normal distribution
// function: relative error 2^-25.0 (scripts/vmath_ulp_fit.py). A smaller centre than 2 needs a higher degree,
// a larger one makes P steeper at 0, where errors of its argument then count more.
constexpr float kMillsCentre = 2.0F;
constexpr float kGeluEnd = 14.5F;  // beyond it x Phi(-x) is below half of the smallest denormal
constexpr std::array<float, 11> kHalfMills = {
    0.672407985F,    -0.331404418F,   0.0287982859F,   0.03671984F,     -0.000482014468F, -0.00674443925F,
    -0.00189300091F, 0.000871898083F, 0.000723804929F, 3.85466046e-05F, -7.36609218e-05F};

// gelu by tanh: 1/2 (1 + tanh u) = sigmoid(2u), 2u = c x (x^2 + k),
// c = 2 sqrt(2/pi) 0.044715 and k = 1 / 0.044715, each in two floats.
constexpr float kCubicHigh = 0.0713548139F;
constexpr float kCubicLow = 2.39883247e-09F;
constexpr float kOffsetHigh = 22.375F;  // few bits: taken off a sum again without an error
constexpr float kOffsetLow = -0.0111399982F;
constexpr float kGeluTanhEnd = 11.0F;

}  // namespace

V emit_gelu(Emitter& e, V x) {
  // x Phi(x) = relu(x) - |x| Phi(-|x|); with the fit, |x| Phi(-|x|) = w P(2w - 1) exp(-x^2 / 2)
  const V a = e.at_most(kGeluEnd, e.abs(x));
  // -w, w = a / (a + 2), by a reciprocal and one Newton step, which makes up for the rounding of a + 2.
  const V divisor = e.add(a, kMillsCentre);
  const V minus_reciprocal = e.b.div(e.constant(-1.0F), divisor);
  V minus_w = e.b.mul(a, minus_reciprocal);
  const V error = e.fma(minus_w, kMillsCentre, e.b.fma(minus_w, a, a));
  minus_w = e.b.fma(error, minus_reciprocal, minus_w);
  const V p = e.polynomial(e.fma(minus_w, -2.0F, -1.0F), kHalfMills);
  // x^2 / 2 = square - minus_low, exactly
  const V half = e.mul(a, 0.5F);
  const V square = e.b.mul(half, a);
  const V minus_half = e.mul(a, -0.5F);
  const V minus_low = e.b.fma(minus_half, a, square);
  const ExpParts parts = reduce_exp(e, square, Argument::kMinus, kScaledBias, &minus_low);
  // P e^r with one rounding less than by a product
  const V product = e.b.mul(e.b.fma(expm1_of_rest(e, parts, Argument::kMinus), p, p), minus_w);
  return add_to_relu(e, x, e.b.mul(product, e.b.shl32(parts.bits, 23)), kScaleDown);
}

V emit_gelu_tanh(Emitter& e, V x) {
  // x sigmoid(2u) = relu(x) - |x| sigmoid(-2 |u|). Names in minus_: what the rounded value has too much.
  const V a = e.at_most(kGeluTanhEnd, e.abs(x));
  const V minus_a = e.b.bit_or(a, e.b.constant_bits(kSignBit));
  const V square = e.b.mul(a, a);
  V minus_sum = e.add(e.b.fma(minus_a, a, square), -kOffsetLow);
  const V offset = e.constant(kOffsetHigh);
  const V sum = e.b.add(square, offset);
  minus_sum = e.b.add(minus_sum, e.b.sub(e.b.sub(sum, offset), square));
  const V c = e.constant(kCubicHigh);
  const V factor = e.b.mul(a, c);
  const V minus_factor = e.fma(minus_a, kCubicLow, e.b.fma(minus_a, c, factor));
  const V u = e.b.mul(factor, sum);
  V minus_u = e.b.fma(e.b.mul(minus_a, c), sum, u);
  minus_u = e.b.fma(factor, minus_sum, minus_u);
  minus_u = e.b.fma(minus_factor, sum, minus_u);
  const V t = scaled_exp(e, u, Argument::kMinus, &minus_u);
  const V gate = e.b.div(t, e.fma(t, kScaleDown, 1.0F));
  return add_to_relu(e, x, e.b.mul(a, gate), -kScaleDown);
}

}  // namespace convsmith::vmath
