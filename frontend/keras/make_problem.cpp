#include "frontend/keras/make_problem.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <initializer_list>
#include <utility>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/value.hpp"

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

bool is_dense(LayerKind kind) {
  return kind == LayerKind::kDense;
}

Result<void> check_axes(LayerKind kind, const Shape& shape) {
  if (is_dense(kind) && shape.size() < 2) {
    return refuse(
        fmt::format("The input must have at least 2 axes (batch, features), got {}.", shape_text(shape)));
  }
  if (!is_dense(kind) && shape.size() < 3) {
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

// Keras 2 folds further batch axes in Conv1D; Dense has any number of them.
bool wants_three_axes(LayerKind kind, Rules rules) {
  if (is_dense(kind)) return false;
  return rules == Rules::kKeras3 || (rules == Rules::kKeras2 && kind != LayerKind::kConv1D);
}

Layout layout_of(const LayerSpec& spec) {
  return spec.data_format == DataFormat::kChannelsLast ? Layout::kChannelsLast : Layout::kChannelsFirst;
}

// The number of channels, if the input is one that the layer takes.
Result<int64_t> check_input(const LayerSpec& spec, const Shape& shape, Rules rules) {
  if (Result<void> done = check_axes(spec.kind, shape); !done) return tl::unexpected(done.error());
  if (shape.size() != 3 && wants_three_axes(spec.kind, rules)) {
    return refuse(fmt::format("The input must have exactly 3 axes in Keras {}, got {}.",
                              rules == Rules::kKeras3 ? 3 : 2, shape_text(shape)));
  }
  const std::optional<int64_t> channels = shape[channel_axis(layout_of(spec), shape.size())];
  if (!channels)
    return refuse(fmt::format("The channel axis of the input must be known, got {}.", shape_text(shape)));
  if (*channels < 1 || *channels > kMaxSize) {
    return refuse(
        fmt::format("The input must have from 1 to {} channels, got {}.", kMaxSize, shape_text(shape)));
  }
  if (spec.groups > 1 && *channels % spec.groups != 0) {
    return refuse(
        fmt::format("The number of input channels must be divisible by `groups`, got {} channels and "
                    "groups={}.",
                    *channels, spec.groups));
  }
  if (*channels * spec.depth_multiplier > kMaxSize) {
    return refuse(
        fmt::format("The number of input channels times `depth_multiplier` must be at most {}, got {} "
                    "channels and depth_multiplier={}.",
                    kMaxSize, *channels, spec.depth_multiplier));
  }
  return *channels;
}

Result<void> check_products(const Problem& problem) {
  struct Row {
    std::string_view what;
    bool fits;
  };
  // A transposed problem strides over its output.
  const bool over_filters = problem.transposed && problem.filters > problem.channels;
  const int64_t width = over_filters ? problem.filters : problem.channels;
  const int64_t padding = std::max(std::abs(problem.pad_left), std::abs(problem.pad_right));
  const bool span_fits = is_product_small({problem.taps, problem.dilation});
  const Row rows[] = {
      {"kernel_size * channels / groups * filters",
       is_product_small({problem.taps, problem.group_channels(), problem.filters})},
      {over_filters ? "strides * filters" : "strides * channels", is_product_small({problem.stride, width})},
      {over_filters ? "the dilated kernel's length * filters" : "the dilated kernel's length * channels",
       span_fits && is_product_small({problem.span(), width})},
      {over_filters ? "padding * filters" : "padding * channels", is_product_small({padding, width})},
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

bool is_transposed_empty_refused(const Problem& problem, int64_t steps, Rules rules) {
  return rules != Rules::kKeras3 && steps >= 1 && problem.output_steps(steps) == 0;
}

// Whether an output known to be empty (or less) is refused. `formula` is Keras's length, with the floor.
bool is_empty_refused(const LayerSpec& spec, const Problem& problem, const Shape& shape, Rules rules) {
  const int64_t steps = *shape[steps_axis(problem.layout, shape.size())];
  if (problem.transposed) return is_transposed_empty_refused(problem, steps, rules);
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

// Crops the full output, (steps - 1) * stride + span, to Keras's length; the left one says which part.
void set_cropping(const LayerSpec& spec, Problem& problem) {
  const int64_t more = spec.output_padding.value_or(0);
  switch (spec.padding) {
    case Padding::kSame: {
      // Without output_padding the length is steps * stride.
      const int64_t total =
          spec.output_padding ? problem.span() / 2 * 2 - more : problem.span() - problem.stride;
      problem.pad_left = std::max<int64_t>(total, 0) / 2;
      problem.pad_right = total - problem.pad_left;
      break;
    }
    case Padding::kExplicit:
      problem.pad_left = spec.pad_left;
      problem.pad_right = spec.pad_right - more;
      break;
    default:  // valid: a stride longer than the kernel leaves its gap behind the last input step as well
      problem.pad_right = spec.output_padding ? -more : std::min<int64_t>(problem.span() - problem.stride, 0);
      break;
  }
}

// The contraction that has the layer's kernel; of SeparableConv1D the first one.
Problem make_first(const LayerSpec& spec, int64_t channels) {
  Problem problem{.channels = channels,
                  .filters = spec.filters,
                  .taps = spec.kernel_size,
                  .stride = spec.strides,
                  .dilation = spec.dilation_rate,
                  .groups = std::max<int64_t>(spec.groups, 1),  // 0 is 1 where check_spec lets it pass
                  .layout = layout_of(spec),
                  .has_bias = spec.use_bias,
                  .activation = canonical_activation(spec.activation),
                  .after = {}};
  switch (spec.kind) {
    case LayerKind::kConv1D:
      break;
    case LayerKind::kConv1DTranspose:
      problem.transposed = true;
      set_cropping(spec, problem);
      return problem;
    case LayerKind::kDepthwiseConv1D:
    case LayerKind::kSeparableConv1D:
      problem.groups = channels;
      problem.filters = channels * spec.depth_multiplier;
      break;
    case LayerKind::kDense:
      problem.taps = 1;
      break;
  }
  set_padding(spec, problem);
  return problem;
}

std::vector<Problem> make_chain(const LayerSpec& spec, int64_t channels) {
  Problem first = make_first(spec, channels);
  if (spec.kind != LayerKind::kSeparableConv1D) return {first};
  const Problem pointwise{.channels = first.filters,
                          .filters = spec.filters,
                          .layout = first.layout,
                          .has_bias = first.has_bias,
                          .activation = first.activation,
                          .after = {}};
  first.has_bias = false;
  first.activation = {};
  return {first, pointwise};
}

Result<Shape> contract(LayerKind kind, const Problem& problem, const Shape& input_shape) {
  if (Result<void> done = check_axes(kind, input_shape); !done) return tl::unexpected(done.error());
  const std::size_t channels = channel_axis(problem.layout, input_shape.size());
  if (input_shape[channels] != problem.channels) {
    return refuse(fmt::format("Axis {} of the input must be {} channels, got {}.", channels, problem.channels,
                              shape_text(input_shape)));
  }
  Shape shape = input_shape;
  shape[channels] = problem.filters;
  if (is_dense(kind)) return shape;
  const std::size_t steps = steps_axis(problem.layout, input_shape.size());
  if (shape[steps] && problem.transposed && !is_product_small({*shape[steps], problem.stride})) {
    return refuse(fmt::format("The output must have fewer than {} steps, got strides={} and the input {}.",
                              kMaxAxis, problem.stride, shape_text(input_shape)));
  }
  if (shape[steps]) shape[steps] = problem.output_steps(*shape[steps]);
  return shape;
}

// The spec's own input_shape with its batch axis; empty if it has none.
Shape own_shape(const LayerSpec& spec) {
  if (spec.input_shape.empty()) return {};
  Shape shape{spec.batch_size};
  shape.insert(shape.end(), spec.input_shape.begin(), spec.input_shape.end());
  return shape;
}

Result<Problem> single_problem(const LayerSpec& spec, Result<LayerProblem> layer) {
  if (!layer) return tl::unexpected(layer.error());
  if (layer->row) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("`activation` {} is not supported where a layer is compiled to one kernel.",
                                  quote(keras_name_of(layer->row->kind))));
  }
  if (layer->chain.size() != 1) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("{} is not supported where a layer is compiled to one kernel.",
                                  class_name_of(spec.kind)));
  }
  return layer->chain.front();
}

}  // namespace

Result<LayerProblem> make_layer_problem(const LayerSpec& spec, Rules rules) {
  const Shape shape = own_shape(spec);
  if (!shape.empty()) return make_layer_problem(spec, shape, rules);
  if (Result<void> done = check_spec(spec, rules); !done) return tl::unexpected(done.error());
  return refuse("The layer has no `input_shape`, so the number of channels is unknown.");
}

Result<LayerProblem> make_layer_problem(const LayerSpec& spec, const Shape& input_shape, Rules rules) {
  if (Result<void> done = check_spec(spec, rules); !done) return tl::unexpected(done.error());
  const Result<int64_t> channels = check_input(spec, input_shape, rules);
  if (!channels) return tl::unexpected(channels.error());
  LayerProblem layer{spec.kind, make_chain(spec, *channels), std::nullopt};
  for (const Problem& problem : layer.chain) {
    if (Result<void> done = check_products(problem); !done) return tl::unexpected(done.error());
  }
  Problem& last = layer.chain.back();
  if (!is_elementwise(last.activation.kind)) layer.row = std::exchange(last.activation, {});
  // Finds an odd axis that glu cannot halve, and an output too long for the arithmetic below.
  if (Result<Shape> output = output_shape(layer, input_shape); !output) return tl::unexpected(output.error());
  const Problem& first = layer.chain.front();
  const bool steps_known =
      !is_dense(spec.kind) && input_shape[steps_axis(first.layout, input_shape.size())].has_value();
  if (steps_known && is_empty_refused(spec, first, input_shape, rules)) {
    return refuse(
        fmt::format("The output would be empty: the kernel reaches over {} steps (kernel_size={}, "
                    "dilation_rate={}), and the input is {}.",
                    first.span(), first.taps, first.dilation, shape_text(input_shape)));
  }
  return layer;
}

Result<Problem> make_problem(const LayerSpec& spec, Rules rules) {
  return single_problem(spec, make_layer_problem(spec, rules));
}

Result<Problem> make_problem(const LayerSpec& spec, const Shape& input_shape, Rules rules) {
  return single_problem(spec, make_layer_problem(spec, input_shape, rules));
}

Result<Shape> output_shape(const LayerProblem& layer, const Shape& input_shape) {
  Result<Shape> shape = input_shape;
  for (const Problem& problem : layer.chain) {
    shape = contract(layer.kind, problem, *shape);
    if (!shape) return shape;
  }
  std::optional<int64_t>& last = shape->back();
  if (layer.row && layer.row->kind == ActivationKind::kGlu && last) {
    if (*last % 2 != 0) {
      return refuse(
          fmt::format("`activation` 'glu' halves the last axis of the output, which must be even, "
                      "got {}.",
                      shape_text(*shape)));
    }
    *last /= 2;
  }
  return shape;
}

Result<Shape> output_shape(const Problem& problem, const Shape& input_shape) {
  return contract(LayerKind::kConv1D, problem, input_shape);
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
