// Activations in double precision, with what float32 may lose of them.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "cli/verify/reference.hpp"
#include "convsmith/activation.hpp"

namespace convsmith::cli {

namespace {

using Kind = ActivationKind;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kUnit = 0x1p-24;

double clip(double x, double low, double high) {
  return x < low ? low : x > high ? high : x;
}

double log_of_one_plus_exp(double x) {
  return x > 0 ? x + std::log1p(std::exp(-x)) : std::log1p(std::exp(x));
}

double logistic(double x) {
  return x >= 0 ? 1 / (1 + std::exp(-x)) : std::exp(x) / (1 + std::exp(x));
}

// Keras's general code: p = x above the threshold, else 0, clipped; minus slope * (threshold - x) below it.
double relu(double x, double slope, double most, double threshold) {
  if (x > threshold) return std::isinf(most) ? x : clip(x, 0, most);
  return slope == 0 ? 0 : -slope * (threshold - x);
}

// x - tanh x cancels near 0: the Taylor series of x - tanh x.
double x_minus_tanh(double x) {
  if (std::fabs(x) > 0.04) return x - std::tanh(x);
  const double q = x * x;
  return x * q * (1.0 / 3 - q * (2.0 / 15 - q * (17.0 / 315 - q * (62.0 / 2835 - q * 1382.0 / 155925))));
}

// (x + sqrt(x^2 + b)) / 2 without cancellation on the left.
double squareplus(double x, double b) {
  const double root = std::hypot(x, std::sqrt(b));
  if (x >= 0) return (x + root) / 2;
  return b == 0 ? 0 : b / (root - x) / 2;
}

double gelu(double x) {
  return x * std::erfc(-x / std::sqrt(2.0)) / 2;
}

// (1 + tanh z) / 2 is logistic(2z).
double gelu_by_tanh(double x) {
  const double pi = std::acos(-1.0);
  return x * logistic(2 * std::sqrt(2 / pi) * (x + 0.044715 * x * x * x));
}

double exponential_units(Kind kind, double x, double alpha) {
  if (kind == Kind::kCelu) return x > 0 ? x : alpha * std::expm1(x / alpha);
  if (kind == Kind::kElu) return x > 0 ? x : alpha * std::expm1(x);
  constexpr double kScale = 1.0507009873554804934193349852946;
  constexpr double kAlpha = 1.6732632423543772848170429916717;
  return kScale * (x > 0 ? x : kAlpha * std::expm1(x));
}

double shrink(Kind kind, double x, double threshold) {
  if (kind == Kind::kHardShrink) return std::fabs(x) > threshold ? x : 0;
  if (x > threshold) return x - threshold;
  return x < -threshold ? x + threshold : 0;
}

double softsign(double x) {
  if (std::isinf(x)) return x > 0 ? 1 : -1;
  return x / (1 + std::fabs(x));
}

double sparse_plus(double x) {
  if (x <= -1) return 0;
  return x >= 1 ? x : (x + 1) * (x + 1) / 4;
}

// Gates multiply x by a factor that goes to 0 faster than x to -inf.
bool vanishes_at_minus_infinity(Kind kind) {
  return kind == Kind::kGelu || kind == Kind::kGeluTanh || kind == Kind::kSilu || kind == Kind::kHardSilu ||
         kind == Kind::kMish;
}

// Largest value of a row; NaN where it holds a NaN.
double largest(std::span<const Number> row) {
  double m = -kInfinity;
  for (const Number& x : row) m = std::isnan(x.exact) || std::isnan(m) ? std::nan("") : std::max(m, x.exact);
  return m;
}

double largest_error(std::span<const Number> row) {
  double e = 0;
  for (const Number& x : row) e = std::max(e, x.error);
  return e;
}

void fill(std::span<Number> row, const Number& with) {
  for (Number& x : row) x = with;
}

void activate_softmax(std::span<Number> row, double m, bool is_log) {
  const auto n = static_cast<double>(row.size());
  const double carried = largest_error(row);
  double sum = 0;
  for (const Number& x : row) sum += std::exp(x.exact - m);
  for (Number& x : row) {
    const double d = x.exact - m;
    const double common = std::fabs(d) + n + std::log(n);
    if (is_log) {
      const double y = d - std::log(sum);
      x = {y, 2 * carried + kUnit * (common + 2 + 4 * std::log(sum) + std::fabs(y)), 0};
      if (std::isinf(d)) x.error = 0;
    } else {
      const double y = std::exp(d) / sum;
      x = {y, y * (std::expm1(2 * carried) + kUnit * (common + 5)) + 0x1p-126, 0};
      if (std::isinf(d)) x.error = 0;
    }
  }
}

// Keras's own formula (docs/activations.md), from the values in descending order.
void activate_sparsemax(std::span<Number> row, double m) {
  std::vector<double> sorted;
  for (const Number& x : row) sorted.push_back(x.exact - m);
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  const double carried = largest_error(row);
  const auto n = static_cast<double>(row.size());
  double running = 0;
  double sum = 0;
  double k = 0;
  bool is_known = true;
  for (size_t j = 0; j < sorted.size() && std::isfinite(sorted[j]); ++j) {
    running += sorted[j];
    // In the support: what the values before it have more than it adds up to less than 1.
    const double excess = running - static_cast<double>(j + 1) * sorted[j];
    const double doubt = 4 * n * (carried + kUnit * (1 + std::fabs(m) + std::fabs(sorted[j]) + excess));
    if (std::fabs(excess - 1) <= doubt) is_known = false;
    if (excess >= 1) continue;
    k += 1;
    sum += running;
  }
  // Where float32 overflows, float64 is no guide.
  if (k > 1 && std::fabs(m) > 1e30) is_known = false;
  const double tau = (sum + k * (k + 1) / 2 * m - 1) / k;
  const double bound = 2 * kUnit * (1 + std::fabs(m)) * (k + 1) + 2 * carried * (k + 1);
  for (Number& x : row) {
    const double y = std::isinf(x.exact) ? 0 : std::max(0.0, x.exact - tau);
    x = {y, is_known ? bound : kInfinity, 0};
  }
}

}  // namespace

double reference_activation(const Activation& a, double x) {
  const double p0 = a.params[0];
  if (std::isnan(x)) return x;
  if (vanishes_at_minus_infinity(a.kind) && x == -std::numeric_limits<double>::infinity()) return 0;
  switch (a.kind) {
    case Kind::kLinear:
      return x;
    case Kind::kRelu:
      return relu(x, p0, a.params[1], a.params[2]);
    case Kind::kElu:
    case Kind::kSelu:
    case Kind::kCelu:
      return exponential_units(a.kind, x, p0);
    case Kind::kGelu:
      return gelu(x);
    case Kind::kGeluTanh:
      return gelu_by_tanh(x);
    case Kind::kSigmoid:
      return logistic(x);
    case Kind::kLogSigmoid:
      return -log_of_one_plus_exp(-x);
    case Kind::kHardSigmoidKeras2:
      return clip(0.2 * x + 0.5, 0, 1);
    case Kind::kHardSigmoidKeras3:
      return clip(x + 3, 0, 6) / 6;
    case Kind::kSilu:
      return x * logistic(x);
    case Kind::kHardSilu:
      return x * clip(x + 3, 0, 6) / 6;
    case Kind::kMish:
      return x * std::tanh(log_of_one_plus_exp(x));
    case Kind::kTanh:
      return std::tanh(x);
    case Kind::kTanhShrink:
      return x_minus_tanh(x);
    case Kind::kHardTanh:
      return clip(x, -1, 1);
    case Kind::kSoftplus:
      return log_of_one_plus_exp(x);
    case Kind::kSoftsign:
      return softsign(x);
    case Kind::kExponential:
      return std::exp(x);
    case Kind::kSquareplus:
      return squareplus(x, p0);
    case Kind::kSparsePlus:
      return sparse_plus(x);
    case Kind::kSparseSigmoid:
      return clip((x + 1) / 2, 0, 1);
    case Kind::kSoftShrink:
    case Kind::kHardShrink:
      return shrink(a.kind, x, p0);
    case Kind::kThreshold:
      return x > p0 ? x : a.params[1];
    default:
      break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double activation_bound(const Activation& a, double x) {
  switch (a.kind) {
    case Kind::kCelu: {
      const double exponent = x < 0 && a.params[0] < 0 ? x / a.params[0] : 0;
      return exponent < 88 ? 4 + exponent : std::numeric_limits<double>::infinity();
    }
    case Kind::kLinear:
    case Kind::kHardTanh:
    case Kind::kHardShrink:
    case Kind::kThreshold:
      return 0;
    case Kind::kRelu:
      return a.params[0] == 0 ? 0 : 4;
    case Kind::kExponential:
    case Kind::kTanh:
      return 2;
    case Kind::kSigmoid:
      return 3;
    default:
      return 4;
  }
}

double ulp_error(float y, double exact) {
  if (std::isnan(y) && std::isnan(exact)) return 0;
  if (std::isnan(y) || std::isnan(exact)) return std::numeric_limits<double>::infinity();
  const auto finite = [](double x) { return clip(x, -0x1p128, 0x1p128); };
  const double off = std::fabs(finite(double{y}) - finite(exact));
  if (off == 0 || (std::fabs(exact) < 0x1p-126 && off <= 0x1p-126)) return 0;
  int exponent = 0;
  std::frexp(finite(exact), &exponent);  // |exact| lies in [2^(exponent-1), 2^exponent)
  return std::ldexp(off, 24 - std::clamp(exponent, -125, 128));
}

double ulps_of(double exact, double ulps) {
  if (ulps == 0) return 0;
  if (!std::isfinite(exact)) return std::isfinite(ulps) ? 0 : ulps;
  int exponent = 0;
  std::frexp(clip(exact, -0x1p128, 0x1p128), &exponent);
  const double room = std::ldexp(ulps, std::clamp(exponent, -125, 128) - 24);
  return std::fabs(exact) < 0x1p-126 ? std::max(room, 0x1p-126) : room;
}

bool is_within(float y, const Number& expected) {
  if (!(expected.error < kInfinity)) return true;
  if (std::isnan(expected.exact)) return std::isnan(y);
  if (std::isnan(y)) return false;
  const auto finite = [](double x) { return clip(x, -0x1p128, 0x1p128); };
  return std::fabs(finite(double{y}) - finite(expected.exact)) <= expected.error;
}

Number activate(const Activation& a, const Number& x) {
  const double y = reference_activation(a, x.exact);
  double changed = 0;
  if (x.error > 0) {
    for (const double end : {x.exact - x.error, x.exact + x.error})
      changed = std::max(changed, std::fabs(reference_activation(a, end) - y));
    changed *= 2;
  }
  return {y, changed + ulps_of(std::fabs(y) + changed, activation_bound(a, x.exact)), 0};
}

void activate_row(ActivationKind kind, std::span<Number> row) {
  if (row.empty()) return;
  const double m = largest(row);
  const double carried = largest_error(row);
  if (!(carried < kInfinity)) return fill(row, {0, kInfinity, 0});
  if (!std::isfinite(m)) return fill(row, {std::nan(""), 0, 0});
  if (kind == Kind::kSparsemax) return activate_sparsemax(row, m);
  activate_softmax(row, m, kind == Kind::kLogSoftmax);
}

Number gate(const Number& a, const Number& b) {
  const Number open = activate({Kind::kSigmoid, {}}, b);
  const double y = a.exact * open.exact;
  if (!std::isfinite(a.exact) || std::isnan(y)) {
    // Where float32 rounds the gate to 0, infinity times it is NaN.
    const bool is_known = a.error + b.error == 0 && (open.exact == 0 || open.exact > 0x1p-120);
    return {y, is_known || std::isnan(y) ? 0 : kInfinity, 0};
  }
  return {y, std::fabs(a.exact) * open.error + a.error * (open.exact + open.error) + ulps_of(y, 1), 0};
}

}  // namespace convsmith::cli
