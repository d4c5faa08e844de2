// Activations without exp: clamps, lines, roots.
#include <cmath>

#include "codegen/programs/vmath_emitter.hpp"

namespace convsmith::vmath {

namespace {

// x > 0 ? x : slope x
V leaky_relu(Emitter& e, V x, float slope) {
  const V scaled = e.mul(x, slope);
  // max takes its second operand, x, where both are zero and where x is NaN.
  if (slope > 0 && slope <= 1) return e.b.max(scaled, x);
  return e.b.select(e.less_equal(x, 0.0F), scaled, x);
}

}  // namespace

V emit_relu(Emitter& e, V x, float slope, float max_value, float threshold) {
  const bool capped = max_value < INFINITY;
  if (threshold == 0 && slope >= 0) {
    const V y = slope == 0 ? e.at_least(0.0F, x) : leaky_relu(e, x, slope);
    return capped ? e.at_most(max_value, y) : y;
  }
  // x <= threshold: slope (x - threshold), which is 0 at -inf for slope 0; above: x, cut to [0, max].
  V below;
  if (slope == 0) {
    below = e.constant(0.0F);
  } else {
    below = e.mul(threshold == 0 ? x : e.add(x, -threshold), slope);
  }
  V above = x;
  if (capped && threshold < 0) above = e.at_least(0.0F, above);
  if (capped) above = e.at_most(max_value, above);
  return e.b.select(e.less_equal(x, threshold), below, above);
}

V emit_hard_sigmoid_keras2(Emitter& e, V x) {
  // 0.2 (x + 2.5), not 0.2 x + 0.5: the error of 0.2 as a float would be all that is left near -2.5.
  const V line = e.mul(e.add(x, 2.5F), 0.2F);
  return e.at_most(1.0F, e.at_least(0.0F, line));
}

V emit_hard_sigmoid_keras3(Emitter& e, V x) {
  const V line = e.mul(e.add(x, 3.0F), 1.0F / 6.0F);
  return e.at_most(1.0F, e.at_least(0.0F, line));
}

V emit_hard_silu(Emitter& e, V x) {
  const V a = e.at_least(-3.0F, x);  // -inf: -3 * 0
  const V gate = e.mul(e.at_most(6.0F, e.add(a, 3.0F)), 1.0F / 6.0F);
  return e.b.mul(a, gate);
}

V emit_hard_tanh(Emitter& e, V x) {
  return e.at_least(-1.0F, e.at_most(1.0F, x));
}

V emit_softsign(Emitter& e, V x) {
  // The clamp makes +-1 of +-inf: the largest float plus 1 is itself.
  const V a = e.at_most(0x1.fffffep127F, e.abs(x));
  return e.with_sign_of(x, e.b.div(a, e.add(a, 1.0F)));
}

V emit_sparse_plus(Emitter& e, V x) {
  const V a = e.at_least(-1.0F, x);
  const V half = e.fma(a, 0.5F, 0.5F);
  const V curve = e.b.mul(half, half);
  return e.b.select(e.less(x, 1.0F), curve, x);
}

V emit_sparse_sigmoid(Emitter& e, V x) {
  const V line = e.fma(x, 0.5F, 0.5F);
  return e.at_most(1.0F, e.at_least(0.0F, line));
}

V emit_soft_shrink(Emitter& e, V x, float threshold) {
  if (threshold < 0) {
    const V below = e.add(x, threshold);
    const V above = e.add(x, -threshold);
    return e.b.select(e.less_equal(x, threshold), below, above);
  }
  const V inside = e.at_least(-threshold, e.at_most(threshold, x));
  return e.with_sign_of(x, e.b.sub(x, inside));
}

V emit_hard_shrink(Emitter& e, V x, float threshold) {
  const M small = e.less_equal(e.abs(x), threshold);
  return e.b.select(small, e.b.bit_and(x, e.b.constant_bits(kSignBit)), x);
}

V emit_threshold(Emitter& e, V x, float threshold, float value) {
  const M below = e.less_equal(x, threshold);
  return e.b.select(below, e.constant(value), x);
}

V emit_squareplus(Emitter& e, V x, float b) {
  if (b == 0) return e.at_least(0.0F, x);
  // With h = (|x| + root) / 2, root = sqrt(x^2 + b): h where x >= 0, and without cancellation
  // (b/4) / h where x < 0. For a b far from 1 the root is that of x / unit, unit about sqrt(b).
  int exponent = std::ilogb(b) / 2;
  if (std::abs(exponent) < 32) exponent = 0;
  const float unit = std::ldexp(1.0F, exponent);
  const float scaled_b = std::ldexp(b, -2 * exponent);
  const V a = e.abs(x);
  // Where x^2 would overflow, b is nothing beside it, and the root is |x|.
  V scaled = exponent == 0 ? a : e.mul(a, 1.0F / unit);
  scaled = e.at_most(0x1p60F, scaled);
  V root = e.b.sqrt(e.fma(scaled, scaled, scaled_b));
  if (exponent != 0) root = e.mul(root, unit);
  // max gives its second operand for a NaN: the root of a negative number has to stay one.
  root = b > 0 ? e.b.max(root, a) : e.b.select(e.greater(a, 0x1p60F * unit), a, root);
  const V h = e.fma(root, 0.5F, e.mul(a, 0.5F));
  const V divisor = exponent == 0 ? h : e.mul(h, 1.0F / unit);
  V quotient = e.b.div(e.constant(scaled_b * 0.25F), divisor);
  if (exponent != 0) quotient = e.mul(quotient, unit);
  return e.b.select(e.less(x, 0.0F), quotient, h);
}

}  // namespace convsmith::vmath
