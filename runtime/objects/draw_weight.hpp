// Keras's initializers: one weight from its shape. Keras's random streams are not reproduced, its
// distributions are. Called by initialize_weights; one seed gives the same bits on every machine.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith {

// What an initializer asks of its random generator for one shape.
struct Draw {
  enum class Kind { kConstant, kUniform, kNormal, kTruncatedNormal, kOrthogonal, kIdentity };
  Kind kind = Kind::kConstant;
  double a = 0.0;  // the constant, the minimum, the mean, or the gain
  double b = 0.0;  // the maximum, or the standard deviation (before it is truncated at two of them)
};

struct Fans {
  double in = 1.0;
  double out = 1.0;
};
// Keras's rule, of the last two axes and the receptive field before them.
Fans compute_fans(const std::vector<int64_t>& shape);

// `argument` is named in errors. A bad object is kInvalidSpec; STFT is kUnsupported.
Result<Draw> plan_draw(const Initializer& initializer, std::string_view argument,
                       const std::vector<int64_t>& shape);

// The seed of the initializer itself wins over `seed` and `stream`.
Result<Tensor> draw_weight(const Initializer& initializer, std::string_view argument,
                           const std::vector<int64_t>& shape, uint64_t seed, uint64_t stream);

}  // namespace convsmith
