// An independent reference: the layer straight from its definition in Keras's terms, as plain loops in double
// precision, never optimised and sharing nothing with the nest, vir or vmath. It recomputes output length and
// padding by itself. verify holds the compiled layers against it.
#pragma once

#include <cstdint>
#include <vector>

#include "convsmith/layer_spec.hpp"

namespace convsmith::cli {

// What a layer reads. Layouts are Keras's: input (batch, steps, channels), or (batch, channels, steps) for
// channels first; kernel (taps, channels/groups, filters); bias (filters), ignored without use_bias.
struct ReferenceInput {
  const float* input;
  const float* kernel;
  const float* bias;
  int64_t batch;
  int64_t steps;
  int64_t channels;
};

// Sums before the activation, bias included, in the layout of the output.
struct ReferenceSums {
  int64_t output_steps = 0;
  std::vector<double> sum;
  std::vector<double> magnitude;  // sum |x||w| + |bias|, what rounding errors are proportional to
};

ReferenceSums reference_sums(const LayerSpec& spec, const ReferenceInput& in);

// The bound on a strict float32 sum of `terms` products and a bias: |y - y64| <= factor * magnitude + floor,
// where the factor is n u / (1 - n u), n = terms + 1, u = 2^-24 (Higham, Accuracy and Stability of Numerical
// Algorithms, lemma 3.1) and the floor covers denormal results.
double error_factor(int64_t terms);
double error_floor(int64_t terms);

// The activation in double precision, with its limits at +-inf; NaN gives NaN.
double reference_activation(const Activation& activation, double x);

// How many ULP of float32 the activation of a float32 value may be off; 0 where it must be exact. Infinite
// where nothing is promised: celu with a negative alpha, a growing exponential, from about its overflow on.
// Before that it may lose what rounding x / alpha costs.
double activation_bound(const Activation& activation, double x);

// Distance of `y` from `exact` in units of the last place of a float32 of the size of `exact`; infinity
// counts as 2^128, two NaNs have no distance. A result below the normal range may be off by a smallest normal
// float.
double ulp_error(float y, double exact);

}  // namespace convsmith::cli
