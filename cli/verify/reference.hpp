// An independent reference: layers straight from their definition in Keras's terms, as plain loops, never
// optimised and sharing nothing with the intermediate representations, vir or vmath. It recomputes output
// lengths, padding and cropping by itself. verify holds compiled layers against it; reference_model does the
// same for whole models.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "convsmith/layer_spec.hpp"

namespace convsmith::cli {

// A value as it should be, and how far a float32 computation in the order of docs/numerics.md may be from it.
// An infinite error: nothing is known.
struct Number {
  double exact = 0;
  double error = 0;
  float strict = 0;  // of sums: what float32 gives in the strict order
};

// Layouts are Keras's: (batch, steps, channels), or (batch, channels, steps) for channels first.
struct ReferenceInput {
  std::span<const Number> values;
  std::span<const std::span<const float>> weights;  // in Keras's order
  int64_t batch;
  int64_t steps;
  int64_t channels;
};

// What a layer has before its activation, bias included.
struct ReferenceSums {
  int64_t output_steps = 0;
  int64_t filters = 0;
  std::vector<Number> values;
};

// The error of a sum of n - 1 products and a bias is at most factor * (sum |x||w| + |bias|) + floor, where
// the factor is n u / (1 - n u), u = 2^-24 (Higham, Accuracy and Stability of Numerical Algorithms,
// lemma 3.1) and the floor covers denormal results; to it comes what the errors of the inputs make.
// SeparableConv1D is two such sums, the middle one rounded to float32.
ReferenceSums reference_sums(const LayerSpec& spec, const ReferenceInput& in);

double error_factor(int64_t terms);
double error_floor(int64_t terms);

// Numbers without an error.
std::vector<Number> exact_numbers(std::span<const float> values);

// The activation in double precision, with its limits at +-inf; NaN gives NaN. Elementwise kinds only.
double reference_activation(const Activation& activation, double x);

// How many ULP of float32 the activation of a float32 value may be off; 0 where it must be exact. Infinite
// where nothing is promised: celu with a negative alpha, a growing exponential, from about its overflow on.
// Before that it may lose what rounding x / alpha costs.
double activation_bound(const Activation& activation, double x);

// The same for an inexact x: to the bound comes twice what the activation changes between both ends of where
// x may be (twice for those that are not monotone).
Number activate(const Activation& activation, const Number& x);

// softmax, log_softmax or sparsemax of a row in place, with the bounds of docs/activations.md. sparsemax is
// not known where it is not known which values are in its support.
void activate_row(ActivationKind kind, std::span<Number> row);

// a * sigmoid(b)
Number gate(const Number& a, const Number& b);

// Distance of `y` from `exact` in units of the last place of a float32 of the size of `exact`; infinity
// counts as 2^128, two NaNs have no distance. A result below the normal range may be off by a smallest normal
// float.
double ulp_error(float y, double exact);

// The size of `ulps` such units.
double ulps_of(double exact, double ulps);

// Whether a float32 result is within the number's error: of no NaN, infinities included.
bool is_within(float y, const Number& expected);

}  // namespace convsmith::cli
