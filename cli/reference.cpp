#include "cli/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace convsmith::cli {

namespace {

using Kind = ActivationKind;

struct Geometry {
  int64_t output_steps;
  int64_t left;
};

// Keras's rules for the output length and the zeros before the first step.
Geometry geometry(const LayerSpec& spec, int64_t steps) {
  const int64_t reach = spec.dilation_rate * (spec.kernel_size - 1) + 1;
  int64_t left = 0;
  int64_t right = 0;
  if (spec.padding == Padding::kCausal) left = reach - 1;
  if (spec.padding == Padding::kExplicit) {
    left = spec.pad_left;
    right = spec.pad_right;
  }
  if (spec.padding == Padding::kSame) {
    const int64_t outputs = (steps + spec.strides - 1) / spec.strides;
    const int64_t zeros = std::max<int64_t>((outputs - 1) * spec.strides + reach - steps, 0);
    return {outputs, zeros / 2};
  }
  const int64_t padded = left + steps + right;
  return {padded < reach ? 0 : (padded - reach) / spec.strides + 1, left};
}

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

}  // namespace

ReferenceSums reference_sums(const LayerSpec& spec, const ReferenceInput& in) {
  const auto [outputs, left] = geometry(spec, in.steps);
  const bool channels_last = spec.data_format == DataFormat::kChannelsLast;
  const int64_t group_channels = in.channels / spec.groups;
  const int64_t group_filters = spec.filters / spec.groups;
  ReferenceSums result;
  result.output_steps = outputs;
  const auto size = static_cast<size_t>(in.batch * outputs * spec.filters);
  result.sum.assign(size, 0);
  result.magnitude.assign(size, 0);
  for (int64_t n = 0; n < in.batch; ++n) {
    for (int64_t o = 0; o < outputs; ++o) {
      for (int64_t f = 0; f < spec.filters; ++f) {
        double sum = 0;
        double magnitude = 0;
        for (int64_t k = 0; k < spec.kernel_size; ++k) {
          const int64_t step = o * spec.strides + k * spec.dilation_rate - left;
          if (step < 0 || step >= in.steps) continue;
          for (int64_t c = 0; c < group_channels; ++c) {
            const int64_t channel = f / group_filters * group_channels + c;
            const double x = channels_last ? in.input[(n * in.steps + step) * in.channels + channel]
                                           : in.input[(n * in.channels + channel) * in.steps + step];
            const double w = in.kernel[(k * group_channels + c) * spec.filters + f];
            sum += x * w;
            magnitude += std::fabs(x * w);
          }
        }
        if (spec.use_bias) {
          sum += in.bias[f];
          magnitude += std::fabs(in.bias[f]);
        }
        const int64_t at =
            channels_last ? (n * outputs + o) * spec.filters + f : (n * spec.filters + f) * outputs + o;
        result.sum[static_cast<size_t>(at)] = sum;
        result.magnitude[static_cast<size_t>(at)] = magnitude;
      }
    }
  }
  return result;
}

double error_factor(int64_t terms) {
  const double nu = static_cast<double>(terms + 1) * 0x1p-24;
  return nu / (1 - nu);
}

double error_floor(int64_t terms) {
  return static_cast<double>(terms + 1) * 0x1p-149;
}

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

}  // namespace convsmith::cli
