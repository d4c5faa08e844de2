// What the activation programs are written with: clamps that keep NaN, signs, polynomials. Internal
// to vmath*.cpp.
//
// Constants are emitted right before their use and live only that long: they cost a broadcast load,
// while a register held over a whole program may cost a spill. C++ leaves the order of evaluation of
// arguments open: no call below has two arguments that emit, or programs would depend on the compiler.
#pragma once

#include <span>

#include "codegen/vir/builder.hpp"
#include "convsmith/activation.hpp"

namespace convsmith::vmath {

using vir::M;
using vir::V;

constexpr uint32_t kSignBit = 0x80000000U;

class Emitter {
 public:
  explicit Emitter(vir::Builder& builder) : b(builder) {}

  V constant(float value) { return b.constant(value); }

  // max and min give their second operand where a comparison with NaN fails: x goes second.
  V at_least(float low, V x) { return b.max(constant(low), x); }
  V at_most(float high, V x) { return b.min(constant(high), x); }

  V add(V x, float c) { return b.add(x, constant(c)); }
  V mul(V x, float c) { return b.mul(x, constant(c)); }
  V fma(V x, float factor, float addend) {
    const V f = constant(factor);
    return b.fma(x, f, factor == addend ? f : constant(addend));
  }
  V fma(V x, float factor, V addend) { return b.fma(x, constant(factor), addend); }
  V fma(V x, V y, float addend) { return b.fma(x, y, constant(addend)); }

  V abs(V x) { return b.bit_and(x, b.constant_bits(~kSignBit)); }
  // magnitude >= 0 (or -0, or NaN) gets the sign of x.
  V with_sign_of(V x, V magnitude) { return b.bit_or(magnitude, b.bit_and(x, b.constant_bits(kSignBit))); }

  M less(V x, float c) { return b.less(x, constant(c)); }
  M greater(V x, float c) { return b.less(constant(c), x); }
  M less_equal(V x, float c) { return b.less_equal(x, constant(c)); }

  // c[0] + c[1] u + c[2] u^2 + ..., by Horner's rule.
  V polynomial(V u, std::span<const float> c) {
    V sum = constant(c.back());
    for (size_t i = c.size() - 1; i-- > 0;) sum = b.fma(sum, u, constant(c[i]));
    return sum;
  }

  vir::Builder& b;
};

// Sign of x in exp(+-x).
enum class Argument { kPlus, kMinus };

// exp(+-x) = 2^n e^r, taken apart. 2^(n + bias - 127) = bits << 23, if that is a normal number.
struct ExpParts {
  V bits;
  V r;  // of exp(-x), -r
};

// n is the nearest integer to +-x / ln 2; |x| < 2^14. `minus_low` is subtracted from the reduced x:
// the argument is x - minus_low, given in two parts where one float is too coarse.
ExpParts reduce_exp(Emitter& e, V x, Argument sign, int bias, const V* minus_low = nullptr);
// e^r, and e^r - 1 with an absolute error small beside 1
V exp_of_rest(Emitter& e, const ExpParts& parts, Argument sign);
V expm1_of_rest(Emitter& e, const ExpParts& parts, Argument sign);

// Programs that go through exp need results far below the smallest normal float on the way: they carry
// them times 2^64 and scale the end result.
constexpr int kScaledBias = 127 + 64;  // of reduce_exp
constexpr float kScaleDown = 0x1p-64F;

// 2^64 exp(-x) for 0 <= x < 130 (or exp(x) for -130 < x < 40)
V scaled_exp(Emitter& e, V x, Argument sign, const V* minus_low = nullptr);

// The programs, by file.
// vmath_piecewise.cpp
V emit_relu(Emitter& e, V x, float slope, float max_value, float threshold);
V emit_hard_sigmoid_keras2(Emitter& e, V x);
V emit_hard_sigmoid_keras3(Emitter& e, V x);
V emit_hard_silu(Emitter& e, V x);
V emit_hard_tanh(Emitter& e, V x);
V emit_softsign(Emitter& e, V x);
V emit_sparse_plus(Emitter& e, V x);
V emit_sparse_sigmoid(Emitter& e, V x);
V emit_soft_shrink(Emitter& e, V x, float threshold);
V emit_hard_shrink(Emitter& e, V x, float threshold);
V emit_threshold(Emitter& e, V x, float threshold, float value);
V emit_squareplus(Emitter& e, V x, float b);
// vmath_exp.cpp
V emit_exponential(Emitter& e, V x);
V emit_sigmoid(Emitter& e, V x);
V emit_silu(Emitter& e, V x);
V emit_mish(Emitter& e, V x);
V emit_softplus(Emitter& e, V x);
V emit_log_sigmoid(Emitter& e, V x);
V emit_log(Emitter& e, V x);
// vmath_tanh.cpp
V emit_tanh(Emitter& e, V x);
V emit_tanh_shrink(Emitter& e, V x);
V emit_elu(Emitter& e, V x, float alpha);
V emit_selu(Emitter& e, V x);
V emit_celu(Emitter& e, V x, float alpha);
// vmath_gelu.cpp
V emit_gelu(Emitter& e, V x);
V emit_gelu_tanh(Emitter& e, V x);

// relu(x) + scaled * factor: the last step of every function that is x times a sigmoid. For such a function
// f, f(x) - relu(x) is even and negative, so that one formula serves both signs without a selection; relu(x)
// is an exact 0 where x < 0. NaN and +-0 come from relu(x).
V add_to_relu(Emitter& e, V x, V scaled, float factor);

}  // namespace convsmith::vmath
