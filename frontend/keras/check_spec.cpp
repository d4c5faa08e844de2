#include "frontend/keras/check_spec.hpp"

#include <fmt/format.h>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/keras_objects.hpp"
#include "frontend/keras/layer_arguments.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {
namespace {

Result<void> check_size(std::string_view name, int64_t size) {
  if (size >= 1 && size <= kMaxSize) return {};
  return make_error(ErrorCode::kInvalidSpec, fmt::format("`{}` {}, got {}.", name, size_limits_text(), size));
}

bool is_default(const LayerSpec& spec, Parameter parameter) {
  static const LayerSpec defaults;
  switch (parameter) {
    case Parameter::kFilters:
      return spec.filters == 0;
    case Parameter::kKernelSize:
      return spec.kernel_size == 0;
    case Parameter::kStrides:
      return spec.strides == 1;
    case Parameter::kPadding:
      return spec.padding == Padding::kValid;
    case Parameter::kOutputPadding:
      return !spec.output_padding;
    case Parameter::kDataFormat:
      return spec.data_format == DataFormat::kChannelsLast;
    case Parameter::kDilationRate:
      return spec.dilation_rate == 1;
    case Parameter::kGroups:
      return spec.groups == 1;
    case Parameter::kDepthMultiplier:
      return spec.depth_multiplier == 1;
    case Parameter::kPointwiseInitializer:
      return spec.pointwise_initializer == defaults.pointwise_initializer;
    case Parameter::kPointwiseRegularizer:
      return !spec.pointwise_regularizer;
    case Parameter::kPointwiseConstraint:
      return !spec.pointwise_constraint;
    default:
      return true;
  }
}

Result<void> check_unused(const LayerSpec& spec) {
  constexpr std::pair<Parameter, std::string_view> kRows[] = {
      {Parameter::kFilters, "filters"},
      {Parameter::kKernelSize, "kernel_size"},
      {Parameter::kStrides, "strides"},
      {Parameter::kPadding, "padding"},
      {Parameter::kOutputPadding, "output_padding"},
      {Parameter::kDataFormat, "data_format"},
      {Parameter::kDilationRate, "dilation_rate"},
      {Parameter::kGroups, "groups"},
      {Parameter::kDepthMultiplier, "depth_multiplier"},
      {Parameter::kPointwiseInitializer, "pointwise_initializer"},
      {Parameter::kPointwiseRegularizer, "pointwise_regularizer"},
      {Parameter::kPointwiseConstraint, "pointwise_constraint"}};
  for (const auto& [parameter, name] : kRows) {
    if (has_argument(spec.kind, parameter) || is_default(spec, parameter)) continue;
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`{}` is no argument of {} and must be left at its default.", name,
                                  class_name_of(spec.kind)));
  }
  return {};
}

Result<void> check_sizes(const LayerSpec& spec, Rules rules) {
  const bool groups_or_one = rules == Rules::kKeras2 && spec.groups == 0;
  const std::pair<Parameter, int64_t> sizes[] = {{Parameter::kFilters, spec.filters},
                                                 {Parameter::kKernelSize, spec.kernel_size},
                                                 {Parameter::kStrides, spec.strides},
                                                 {Parameter::kDilationRate, spec.dilation_rate},
                                                 {Parameter::kGroups, groups_or_one ? 1 : spec.groups},
                                                 {Parameter::kDepthMultiplier, spec.depth_multiplier}};
  for (const auto& [parameter, size] : sizes) {
    const std::string_view name = argument_name(spec.kind, parameter);
    if (name.empty()) continue;
    if (Result<void> done = check_size(name, size); !done) return done;
  }
  if (!groups_or_one && spec.filters % spec.groups != 0) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`filters` must be divisible by `groups`, got filters={} and groups={}.",
                                  spec.filters, spec.groups));
  }
  const bool keras3_computes =
      spec.kind == LayerKind::kDepthwiseConv1D || spec.kind == LayerKind::kSeparableConv1D;
  const bool accepted = rules == Rules::kAny || (keras3_computes && rules != Rules::kKeras2);
  if (spec.strides > 1 && spec.dilation_rate > 1 && !accepted) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`strides` > 1 is not supported together with `dilation_rate` > 1, got strides={} and "
                    "dilation_rate={}; the rules 'any' compute it.",
                    spec.strides, spec.dilation_rate));
  }
  return {};
}

bool is_causal_legal(LayerKind kind, Rules rules) {
  switch (kind) {
    case LayerKind::kConv1D:
      return true;
    case LayerKind::kSeparableConv1D:
      return rules != Rules::kKeras3;
    case LayerKind::kDepthwiseConv1D:
      return rules == Rules::kAny;
    case LayerKind::kConv1DTranspose:
    case LayerKind::kDense:
      return false;
  }
  return false;
}

Result<void> check_padding(const LayerSpec& spec, Rules rules) {
  const std::string_view names = padding_names(spec.kind, rules);
  if (spec.padding == Padding::kCausal && !is_causal_legal(spec.kind, rules)) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`padding` of {}{} must be {}, got 'causal'.", class_name_of(spec.kind),
                                  generation_text(rules), names));
  }
  if (spec.padding != Padding::kExplicit) {
    if (spec.pad_left == 0 && spec.pad_right == 0) return {};
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`padding` must be explicit to have {} and {} steps, but is valid, same or causal.",
                    spec.pad_left, spec.pad_right));
  }
  if (rules != Rules::kAny) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`padding` must be {}, got ({}, {}); a tuple is accepted under the rules "
                                  "'any' only.",
                                  names, spec.pad_left, spec.pad_right));
  }
  for (const int64_t side : {spec.pad_left, spec.pad_right}) {
    if (side >= 0 && side <= kMaxSize) continue;
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`padding` must hold integers from 0 to {}, got ({}, {}).", kMaxSize,
                                  spec.pad_left, spec.pad_right));
  }
  return {};
}

Result<void> check_output_padding(const LayerSpec& spec, Rules rules) {
  if (!spec.output_padding) return {};
  const int64_t steps = *spec.output_padding;
  const int64_t limit = rules == Rules::kAny ? kMaxSize : spec.strides - 1;
  if (steps < 0 || steps > limit) {
    const std::string_view why = rules == Rules::kAny ? "" : ", because it must be less than `strides`";
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`output_padding` must be an integer from 0 to {}{}, got {}.", limit, why, steps));
  }
  // TensorFlow takes the layer for the gradient of a convolution, and that one would have another input.
  const bool is_even = (spec.kernel_size - 1) % 2 != 0 && spec.dilation_rate % 2 != 0;
  if (rules == Rules::kKeras2 && spec.padding == Padding::kSame && steps == 0 && is_even) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`output_padding` of Keras 2 must not be 0 with padding='same' and a kernel "
                    "that reaches over an even number of steps, got kernel_size={} and "
                    "dilation_rate={}.",
                    spec.kernel_size, spec.dilation_rate));
  }
  return {};
}

// A layer's softmax and its like run along the last axis.
Result<void> check_layer_activation(const LayerSpec& spec, Rules rules) {
  if (Result<void> done = check_activation(spec.activation, rules); !done) return done;
  if (is_elementwise(spec.activation.kind) || spec.activation.params[0] == -1) return {};
  return make_error(
      ErrorCode::kUnsupported,
      fmt::format("`activation` {} along axis {} is not supported; a layer's activation must have "
                  "axis=-1.",
                  quote(keras_name_of(spec.activation.kind)), spec.activation.params[0]));
}

Result<void> check_objects(const LayerSpec& spec, Rules rules) {
  for (const ObjectMember& member : kObjectMembers) {
    const KerasObject* object = object_of(spec, member);
    if (object == nullptr) continue;
    const std::string_view name = argument_name(spec.kind, member.parameter);
    if (name.empty()) continue;
    if (Result<void> done = check_keras_object(*object, member.role, name, rules); !done) return done;
    const bool is_matrix =
        spec.kind == LayerKind::kDense && member.parameter == Parameter::kKernelInitializer;
    if (object->class_name == "Identity" && !is_matrix) {
      return make_error(
          ErrorCode::kInvalidSpec,
          fmt::format("`{}`: the initializer Identity is for matrices, and the weights of {} are "
                      "none.",
                      name, class_name_of(spec.kind)));
    }
  }
  return {};
}

}  // namespace

std::string size_limits_text() {
  return fmt::format("must be an integer from 1 to {}", kMaxSize);
}

std::string_view padding_names(LayerKind kind, Rules rules) {
  return is_causal_legal(kind, rules) ? "'valid', 'same' or 'causal'" : "'valid' or 'same'";
}

Result<void> check_spec(const LayerSpec& spec, Rules rules) {
  if (Result<void> done = check_unused(spec); !done) return done;
  if (Result<void> done = check_sizes(spec, rules); !done) return done;
  if (Result<void> done = check_padding(spec, rules); !done) return done;
  if (Result<void> done = check_output_padding(spec, rules); !done) return done;
  if (Result<void> done = check_layer_activation(spec, rules); !done) return done;
  if (Result<void> done = check_objects(spec, rules); !done) return done;
  if (spec.dtype != "float32") {
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("`dtype` {} is not supported; layers compute in float32.", quote(spec.dtype)));
  }
  return {};
}

}  // namespace convsmith
