#include "frontend/make_problem.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <initializer_list>

#include "frontend/activations.hpp"
#include "frontend/check_spec.hpp"

namespace convsmith {
namespace {

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

std::size_t channel_axis(Layout layout, std::size_t rank) {
  return layout == Layout::kChannelsLast ? rank - 1 : rank - 2;
}
std::size_t steps_axis(Layout layout, std::size_t rank) {
  return layout == Layout::kChannelsLast ? rank - 2 : rank - 1;
}

// Multiplies sizes below 2^40 without overflow.
bool is_product_small(std::initializer_list<int64_t> sizes) {
  int64_t product = 1;
  for (const int64_t size : sizes) {
    if (size >= kMaxFloats / product + (kMaxFloats % product != 0 ? 1 : 0)) return false;
    product *= std::max<int64_t>(size, 1);
  }
  return true;
}

Result<void> check_axes(const Shape& shape) {
  if (shape.size() < 3) {
    return refuse(fmt::format("The input must have at least 3 axes (batch, steps, channels), got {}.",
                              shape_text(shape)));
  }
  for (const std::optional<int64_t>& axis : shape) {
    if (axis && (*axis < 0 || *axis > kMaxAxis)) {
      return refuse(
          fmt::format("Each axis of the input must be from 0 to {}, got {}.", kMaxAxis, shape_text(shape)));
    }
  }
  return {};
}

Result<void> check_input(const LayerSpec& spec, const Problem& problem, const Shape& shape, Rules rules) {
  if (Result<void> done = check_axes(shape); !done) return done;
  if (shape.size() != 3 && rules == Rules::kKeras3) {
    return refuse(fmt::format("The input must have exactly 3 axes in Keras 3, got {}.", shape_text(shape)));
  }
  const std::optional<int64_t> channels = shape[channel_axis(problem.layout, shape.size())];
  if (!channels)
    return refuse(fmt::format("The channel axis of the input must be known, got {}.", shape_text(shape)));
  if (*channels < 1 || *channels > kMaxSize) {
    return refuse(
        fmt::format("The input must have from 1 to {} channels, got {}.", kMaxSize, shape_text(shape)));
  }
  if (*channels % problem.groups != 0) {
    return refuse(
        fmt::format("The number of input channels must be divisible by `groups`, got {} channels and "
                    "groups={}.",
                    *channels, spec.groups));
  }
  return {};
}

Result<void> check_products(const Problem& problem) {
  struct Row {
    std::string_view what;
    bool fits;
  };
  const bool span_fits = is_product_small({problem.taps, problem.dilation});
  const Row rows[] = {
      {"kernel_size * channels / groups * filters",
       is_product_small({problem.taps, problem.group_channels(), problem.filters})},
      {"strides * channels", is_product_small({problem.stride, problem.channels})},
      {"the dilated kernel's length * channels",
       span_fits && is_product_small({problem.span(), problem.channels})},
      {"padding * channels",
       is_product_small({std::max(problem.pad_left, problem.pad_right), problem.channels})},
  };
  for (const Row& row : rows) {
    if (row.fits) continue;
    return refuse(
        fmt::format("The layer is too large: {} must stay below {}, got kernel_size={}, strides={}, "
                    "dilation_rate={}, filters={} and {} channels.",
                    row.what, kMaxFloats, problem.taps, problem.stride, problem.dilation, problem.filters,
                    problem.channels));
  }
  return {};
}

int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

// Whether an output known to be empty (or less) is refused. `formula` is Keras's length, with the floor.
bool is_empty_refused(const LayerSpec& spec, const Problem& problem, const Shape& shape, Rules rules) {
  const int64_t steps = *shape[steps_axis(problem.layout, shape.size())];
  const int64_t room = steps - problem.span() + problem.pad_left + problem.pad_right;
  const int64_t formula = floor_div(room, problem.stride) + 1;
  const bool slides_short = spec.padding == Padding::kValid || spec.padding == Padding::kExplicit;
  const bool all_known =
      std::all_of(shape.begin(), shape.end(), [](const auto& axis) { return axis.has_value(); });
  // Keras 2 lets a length of 0 pass for real inputs, not for symbolic ones.
  const bool keras2_refuses = slides_short && (formula < 0 || (!all_known && room < 0));
  switch (rules) {
    case Rules::kKeras2:
      return keras2_refuses;
    case Rules::kKeras3: {
      if (slides_short) return formula <= 0;
      // Keras 3 looks at the padded input: a causal one that is not empty must not give an empty output.
      const bool has_samples = all_known && std::none_of(shape.begin(), shape.end() - 2,
                                                         [](const auto& axis) { return *axis == 0; });
      return spec.padding == Padding::kCausal && steps == 0 && problem.pad_left > 0 && has_samples;
    }
    case Rules::kCommon:
      return slides_short && formula <= 0 && (steps >= 1 || keras2_refuses);
    case Rules::kAny:
      return slides_short && formula <= 0 && steps >= 1;
  }
  return false;
}

void set_padding(const LayerSpec& spec, Problem& problem) {
  switch (spec.padding) {
    case Padding::kValid:
      break;
    case Padding::kSame:
      problem.pad_same = true;
      break;
    case Padding::kCausal:
      problem.pad_left = problem.span() - 1;
      break;
    case Padding::kExplicit:
      problem.pad_left = spec.pad_left;
      problem.pad_right = spec.pad_right;
      break;
  }
}

}  // namespace

Result<Problem> make_problem(const LayerSpec& spec, Rules rules) {
  if (spec.input_shape.empty()) {
    if (Result<void> done = check_spec(spec, rules); !done) return tl::unexpected(done.error());
    return refuse("The layer has no `input_shape`, so the number of channels is unknown.");
  }
  Shape shape{spec.batch_size};
  shape.insert(shape.end(), spec.input_shape.begin(), spec.input_shape.end());
  return make_problem(spec, shape, rules);
}

Result<Problem> make_problem(const LayerSpec& spec, const Shape& input_shape, Rules rules) {
  if (Result<void> done = check_spec(spec, rules); !done) return tl::unexpected(done.error());
  Problem problem{.filters = spec.filters,
                  .taps = spec.kernel_size,
                  .stride = spec.strides,
                  .dilation = spec.dilation_rate,
                  .groups = std::max<int64_t>(spec.groups, 1),  // 0 is 1 where check_spec lets it pass
                  .layout = spec.data_format == DataFormat::kChannelsLast ? Layout::kChannelsLast
                                                                          : Layout::kChannelsFirst,
                  .has_bias = spec.use_bias,
                  .activation = canonical_activation(spec.activation)};
  set_padding(spec, problem);
  if (Result<void> done = check_input(spec, problem, input_shape, rules); !done)
    return tl::unexpected(done.error());
  problem.channels = *input_shape[channel_axis(problem.layout, input_shape.size())];
  if (Result<void> done = check_products(problem); !done) return tl::unexpected(done.error());
  const bool steps_known = input_shape[steps_axis(problem.layout, input_shape.size())].has_value();
  if (steps_known && is_empty_refused(spec, problem, input_shape, rules)) {
    return refuse(
        fmt::format("The output would be empty: the kernel reaches over {} steps (kernel_size={}, "
                    "dilation_rate={}), and the input is {}.",
                    problem.span(), problem.taps, problem.dilation, shape_text(input_shape)));
  }
  return problem;
}

Result<Shape> output_shape(const Problem& problem, const Shape& input_shape) {
  if (Result<void> done = check_axes(input_shape); !done) return tl::unexpected(done.error());
  const std::size_t channels = channel_axis(problem.layout, input_shape.size());
  const std::size_t steps = steps_axis(problem.layout, input_shape.size());
  if (input_shape[channels] != problem.channels) {
    return refuse(fmt::format("Axis {} of the input must be {} channels, got {}.", channels, problem.channels,
                              shape_text(input_shape)));
  }
  Shape shape = input_shape;
  shape[channels] = problem.filters;
  if (shape[steps]) shape[steps] = problem.output_steps(*shape[steps]);
  return shape;
}

Result<void> check_weights(const Problem& problem, std::span<const int64_t> kernel_shape,
                           std::optional<std::span<const int64_t>> bias_shape) {
  const int64_t kernel[] = {problem.taps, problem.group_channels(), problem.filters};
  if (!std::equal(kernel_shape.begin(), kernel_shape.end(), std::begin(kernel), std::end(kernel))) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The kernel must have the shape ({}) = (kernel_size, channels / groups, filters), "
                    "got ({}).",
                    fmt::join(kernel, ", "), fmt::join(kernel_shape, ", ")));
  }
  if (!problem.has_bias && bias_shape) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The layer has use_bias=False, got a bias of shape ({}).", fmt::join(*bias_shape, ", ")));
  }
  if (problem.has_bias && !bias_shape) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The bias of shape ({}) is missing; the layer has use_bias=True.", problem.filters));
  }
  if (bias_shape && (bias_shape->size() != 1 || (*bias_shape)[0] != problem.filters)) {
    return make_error(ErrorCode::kInvalidData, fmt::format("The bias must have the shape ({}), got ({}).",
                                                           problem.filters, fmt::join(*bias_shape, ", ")));
  }
  return {};
}

std::string shape_text(const Shape& shape) {
  std::string out = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) out += ", ";
    out += shape[i] ? fmt::format("{}", *shape[i]) : "None";
  }
  return out + (shape.size() == 1 ? ",)" : ")");
}

}  // namespace convsmith
