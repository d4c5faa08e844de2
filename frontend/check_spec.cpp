#include "frontend/check_spec.hpp"

#include <fmt/format.h>

#include "frontend/activations.hpp"
#include "frontend/keras_objects.hpp"

namespace convsmith {
namespace {

Result<void> check_size(std::string_view name, int64_t size) {
  if (size >= 1 && size <= kMaxSize) return {};
  return make_error(ErrorCode::kInvalidSpec, fmt::format("`{}` {}, got {}.", name, size_limits_text(), size));
}

Result<void> check_sizes(const LayerSpec& spec, Rules rules) {
  const bool groups_or_one = rules == Rules::kKeras2 && spec.groups == 0;
  const std::pair<std::string_view, int64_t> sizes[] = {{"filters", spec.filters},
                                                        {"kernel_size", spec.kernel_size},
                                                        {"strides", spec.strides},
                                                        {"dilation_rate", spec.dilation_rate},
                                                        {"groups", groups_or_one ? 1 : spec.groups}};
  for (const auto& [name, size] : sizes) {
    if (Result<void> done = check_size(name, size); !done) return done;
  }
  if (!groups_or_one && spec.filters % spec.groups != 0) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`filters` must be divisible by `groups`, got filters={} and groups={}.",
                                  spec.filters, spec.groups));
  }
  if (spec.strides > 1 && spec.dilation_rate > 1 && rules != Rules::kAny) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`strides` > 1 is not supported together with `dilation_rate` > 1, got strides={} and "
                    "dilation_rate={}; the rules 'any' compute it.",
                    spec.strides, spec.dilation_rate));
  }
  return {};
}

Result<void> check_padding(const LayerSpec& spec, Rules rules) {
  if (spec.padding != Padding::kExplicit) {
    if (spec.pad_left == 0 && spec.pad_right == 0) return {};
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`padding` must be explicit to have {} and {} steps, but is valid, same or causal.",
                    spec.pad_left, spec.pad_right));
  }
  if (rules != Rules::kAny) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("`padding` must be 'valid', 'same' or 'causal', got ({}, {}); a tuple is accepted "
                    "under the rules 'any' only.",
                    spec.pad_left, spec.pad_right));
  }
  for (const int64_t side : {spec.pad_left, spec.pad_right}) {
    if (side >= 0 && side <= kMaxSize) continue;
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`padding` must hold integers from 0 to {}, got ({}, {}).", kMaxSize,
                                  spec.pad_left, spec.pad_right));
  }
  return {};
}

Result<void> check_objects(const LayerSpec& spec, Rules rules) {
  struct Row {
    std::string_view argument;
    ObjectRole role;
    const KerasObject* object;
  };
  auto pointer = [](const std::optional<KerasObject>& object) { return object ? &*object : nullptr; };
  const Row rows[] = {
      {"kernel_initializer", ObjectRole::kInitializer, &spec.kernel_initializer},
      {"bias_initializer", ObjectRole::kInitializer, &spec.bias_initializer},
      {"kernel_regularizer", ObjectRole::kRegularizer, pointer(spec.kernel_regularizer)},
      {"bias_regularizer", ObjectRole::kRegularizer, pointer(spec.bias_regularizer)},
      {"activity_regularizer", ObjectRole::kRegularizer, pointer(spec.activity_regularizer)},
      {"kernel_constraint", ObjectRole::kConstraint, pointer(spec.kernel_constraint)},
      {"bias_constraint", ObjectRole::kConstraint, pointer(spec.bias_constraint)},
  };
  for (const Row& row : rows) {
    if (row.object == nullptr) continue;
    if (Result<void> done = check_keras_object(*row.object, row.role, row.argument, rules); !done)
      return done;
  }
  return {};
}

}  // namespace

std::string size_limits_text() {
  return fmt::format("must be an integer from 1 to {}", kMaxSize);
}

Result<void> check_spec(const LayerSpec& spec, Rules rules) {
  if (Result<void> done = check_sizes(spec, rules); !done) return done;
  if (Result<void> done = check_padding(spec, rules); !done) return done;
  if (Result<void> done = check_activation(spec.activation, rules); !done) return done;
  if (Result<void> done = check_objects(spec, rules); !done) return done;
  if (spec.dtype != "float32") {
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("`dtype` {} is not supported; layers compute in float32.", quote(spec.dtype)));
  }
  return {};
}

}  // namespace convsmith
