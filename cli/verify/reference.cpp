#include "cli/verify/reference.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace convsmith::cli {

namespace {

// One contraction: a layer, or one half of SeparableConv1D.
struct Stage {
  bool transposed = false;
  bool channels_last = true;
  int64_t channels = 1;
  int64_t filters = 1;
  int64_t taps = 1;
  int64_t stride = 1;
  int64_t dilation = 1;
  int64_t groups = 1;
  int64_t output_steps = 0;
  int64_t left = 0;  // zeros before the first input step; transposed: output steps cropped there

  int64_t terms() const { return taps * channels / groups; }
};

// Keras's rules for the output length and the zeros before the first step.
void set_geometry(const LayerSpec& spec, int64_t steps, Stage& stage) {
  const int64_t reach = stage.dilation * (stage.taps - 1) + 1;
  int64_t right = 0;
  if (spec.padding == Padding::kCausal) stage.left = reach - 1;
  if (spec.padding == Padding::kExplicit) {
    stage.left = spec.pad_left;
    right = spec.pad_right;
  }
  if (spec.padding == Padding::kSame) {
    stage.output_steps = (steps + stage.stride - 1) / stage.stride;
    stage.left = std::max<int64_t>((stage.output_steps - 1) * stage.stride + reach - steps, 0) / 2;
    return;
  }
  const int64_t padded = stage.left + steps + right;
  stage.output_steps = padded < reach ? 0 : (padded - reach) / stage.stride + 1;
}

// Keras's `deconv_output_length` and where its output begins in the full one.
void set_transposed_geometry(const LayerSpec& spec, int64_t steps, Stage& stage) {
  const int64_t reach = stage.dilation * (stage.taps - 1) + 1;
  const int64_t more = spec.output_padding.value_or(0);
  const int64_t full = (steps - 1) * stage.stride + reach;
  int64_t length = 0;
  if (spec.padding == Padding::kSame && !spec.output_padding) {
    length = steps * stage.stride;
    stage.left = std::max<int64_t>(reach - stage.stride, 0) / 2;
  } else if (spec.padding == Padding::kSame) {
    length = full - reach / 2 * 2 + more;
    stage.left = std::max<int64_t>(reach / 2 * 2 - more, 0) / 2;
  } else if (spec.padding == Padding::kExplicit) {
    length = full + more - spec.pad_left - spec.pad_right;
    stage.left = spec.pad_left;
  } else {
    length =
        spec.output_padding ? full + more : steps * stage.stride + std::max<int64_t>(reach - stage.stride, 0);
  }
  stage.output_steps = std::max<int64_t>(length, 0);
}

std::vector<Stage> stages_of(const LayerSpec& spec, int64_t steps, int64_t channels) {
  Stage stage{.transposed = spec.kind == LayerKind::kConv1DTranspose,
              .channels_last = spec.data_format == DataFormat::kChannelsLast,
              .channels = channels,
              .filters = spec.filters,
              .taps = spec.kernel_size,
              .stride = spec.strides,
              .dilation = spec.dilation_rate,
              .groups = spec.groups};
  if (spec.kind == LayerKind::kDense) stage.taps = 1;
  const bool is_separable = spec.kind == LayerKind::kSeparableConv1D;
  if (is_separable || spec.kind == LayerKind::kDepthwiseConv1D) {
    stage.groups = channels;
    stage.filters = channels * spec.depth_multiplier;
  }
  if (stage.transposed) {
    set_transposed_geometry(spec, steps, stage);
  } else {
    set_geometry(spec, steps, stage);
  }
  if (!is_separable) return {stage};
  const Stage pointwise{.channels_last = stage.channels_last,
                        .channels = stage.filters,
                        .filters = spec.filters,
                        .output_steps = stage.output_steps};
  return {stage, pointwise};
}

size_t place(const Stage& s, int64_t n, int64_t step, int64_t steps, int64_t channel, int64_t channels) {
  return static_cast<size_t>(s.channels_last ? (n * steps + step) * channels + channel
                                             : (n * channels + channel) * steps + step);
}

// Calls term(output, input, weight) with the indices of each product, for every output in the strict order.
template <class Term>
void for_each_term(const Stage& s, int64_t batch, int64_t steps, Term&& term) {
  const auto visit = [&](int64_t n, int64_t o, int64_t f, int64_t i, int64_t c, int64_t w) {
    term(place(s, n, o, s.output_steps, f, s.filters), place(s, n, i, steps, c, s.channels),
         static_cast<size_t>(w));
  };
  const int64_t group_channels = s.channels / s.groups;
  for (int64_t n = 0; n < batch; ++n) {
    // Every input step and tap meet in one output step: the input is scattered.
    for (int64_t i = 0; s.transposed && i < steps; ++i) {
      for (int64_t t = 0; t < s.taps; ++t) {
        const int64_t o = i * s.stride + t * s.dilation - s.left;
        if (o < 0 || o >= s.output_steps) continue;
        for (int64_t f = 0; f < s.filters; ++f) {
          for (int64_t c = 0; c < s.channels; ++c) visit(n, o, f, i, c, (t * s.filters + f) * s.channels + c);
        }
      }
    }
    for (int64_t o = 0; !s.transposed && o < s.output_steps; ++o) {
      for (int64_t t = 0; t < s.taps; ++t) {
        const int64_t i = o * s.stride + t * s.dilation - s.left;
        if (i < 0 || i >= steps) continue;
        for (int64_t f = 0; f < s.filters; ++f) {
          const int64_t first = f / (s.filters / s.groups) * group_channels;
          for (int64_t c = 0; c < group_channels; ++c)
            visit(n, o, f, i, first + c, (t * group_channels + c) * s.filters + f);
        }
      }
    }
  }
}

// Of one output: sum |x||w| + |bias|, and what the errors of its inputs make.
struct Errors {
  double magnitude = 0;
  double carried = 0;
};

std::vector<Number> contract(const Stage& stage, std::span<const Number> in, std::span<const float> kernel,
                             std::span<const float> bias, int64_t batch, int64_t steps) {
  const auto size = static_cast<size_t>(batch * stage.output_steps * stage.filters);
  std::vector<Number> out(size);
  std::vector<Errors> errors(size);
  for_each_term(stage, batch, steps, [&](size_t o, size_t i, size_t k) {
    const Number& x = in[i];
    const double w = kernel[k];
    out[o].exact += x.exact * w;
    out[o].strict = std::fma(x.strict, kernel[k], out[o].strict);
    errors[o].magnitude += (std::fabs(x.exact) + x.error) * std::fabs(w);
    if (x.error > 0) errors[o].carried += x.error * std::fabs(w);
  });
  const double factor = error_factor(stage.terms());
  for (size_t o = 0; o < size; ++o) {
    if (!bias.empty()) {
      const auto row = static_cast<int64_t>(o);
      const int64_t f = stage.channels_last ? row % stage.filters : row / stage.output_steps % stage.filters;
      const float b = bias[static_cast<size_t>(f)];
      out[o].exact += b;
      out[o].strict += b;
      errors[o].magnitude += std::fabs(b);
    }
    const auto& [magnitude, carried] = errors[o];
    // An infinite magnitude: the sum is infinite or NaN, in float32 as in float64.
    out[o].error = std::isfinite(magnitude) ? factor * magnitude + error_floor(stage.terms()) : 0;
    out[o].error += std::isfinite(carried) ? carried : std::numeric_limits<double>::infinity();
  }
  return out;
}

}  // namespace

ReferenceSums reference_sums(const LayerSpec& spec, const ReferenceInput& in) {
  const std::vector<Stage> stages = stages_of(spec, in.steps, in.channels);
  ReferenceSums result;
  std::span<const Number> values = in.values;
  int64_t steps = in.steps;
  for (size_t i = 0; i < stages.size(); ++i) {
    const bool has_bias = spec.use_bias && i + 1 == stages.size();
    const std::span<const float> bias = has_bias ? in.weights[i + 1] : std::span<const float>{};
    result.values = contract(stages[i], values, in.weights[i], bias, in.batch, steps);
    values = result.values;
    steps = stages[i].output_steps;
  }
  result.output_steps = steps;
  result.filters = stages.back().filters;
  return result;
}

double error_factor(int64_t terms) {
  const double nu = static_cast<double>(terms + 1) * 0x1p-24;
  return nu / (1 - nu);
}

double error_floor(int64_t terms) {
  return static_cast<double>(terms + 1) * 0x1p-149;
}

std::vector<Number> exact_numbers(std::span<const float> values) {
  std::vector<Number> numbers;
  numbers.reserve(values.size());
  for (const float value : values) numbers.push_back({double{value}, 0, value});
  return numbers;
}

}  // namespace convsmith::cli
