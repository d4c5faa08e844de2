#include "runtime/objects/random.hpp"

#include <cmath>

namespace convsmith {
namespace {

constexpr uint64_t kGolden = 0x9E3779B97F4A7C15;

constexpr uint64_t mix(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return x ^ x >> 31;
}

// ln(x) for x > 0 by the series of artanh: x = m 2^e with m near 1, ln m = 2 artanh((m - 1) / (m + 1)).
// Good to a few units of the last place; above all, the same everywhere.
double portable_log(double x) {
  int exponent = 0;
  double m = std::frexp(x, &exponent);
  if (m < 0.70710678118654752) {
    m *= 2.0;
    --exponent;
  }
  const double s = (m - 1.0) / (m + 1.0);
  double sum = 0.0;
  for (int n = 11; n >= 0; --n) sum = sum * (s * s) + 1.0 / (2.0 * n + 1.0);
  return exponent * 0.69314718055994531 + 2.0 * s * sum;
}

}  // namespace

Random::Random(uint64_t seed, uint64_t stream) : state_(mix(mix(seed + kGolden) + stream * kGolden)) {}

uint64_t Random::bits() {
  state_ += kGolden;
  return mix(state_);
}

double Random::unit() {
  return static_cast<double>(bits() >> 11) * 0x1p-53;
}

// Marsaglia's polar method.
double Random::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  double u = 0.0;
  double v = 0.0;
  double square = 0.0;
  do {
    u = 2.0 * unit() - 1.0;
    v = 2.0 * unit() - 1.0;
    square = u * u + v * v;
  } while (square >= 1.0 || square == 0.0);
  const double factor = std::sqrt(-2.0 * portable_log(square) / square);
  spare_ = v * factor;
  has_spare_ = true;
  return u * factor;
}

}  // namespace convsmith
