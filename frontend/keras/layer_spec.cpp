#include "convsmith/layer_spec.hpp"

#include <fmt/format.h>

#include <bit>
#include <optional>
#include <string_view>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/keras_objects.hpp"
#include "frontend/keras/layer_arguments.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {
namespace {

// FNV-1a over 64-bit words, with a final mix in value().
class Hasher {
 public:
  void add(uint64_t word) { state_ = (state_ ^ word) * 0x100000001B3ULL; }
  void add(std::string_view text) {
    add(text.size());
    for (const char c : text) add(uint64_t{static_cast<unsigned char>(c)});
  }
  void add(double number) { add(std::bit_cast<uint64_t>(number == 0 ? 0.0 : number)); }  // -0 equals 0
  void add(const KerasObject& object) {
    add(std::string_view(object.class_name));
    for (const auto& [name, value] : object.params) {
      add(std::string_view(name));
      std::visit([this](const auto& item) { add_param(item); }, value);
    }
  }
  template <class T>
  void add(const std::optional<T>& value) {
    add(uint64_t{value.has_value()});
    if (value) add_one(*value);
  }
  std::size_t value() const { return static_cast<std::size_t>(state_ ^ state_ >> 32); }

 private:
  void add_one(int64_t number) { add(static_cast<uint64_t>(number)); }
  void add_param(int64_t number) { add(static_cast<uint64_t>(number)); }
  void add_param(double number) { add(number); }
  void add_param(const std::string& text) { add(std::string_view(text)); }
  void add_param(const std::vector<int64_t>& axes) {
    for (const int64_t axis : axes) add(static_cast<uint64_t>(axis));
  }

  uint64_t state_ = 0xCBF29CE484222325ULL;
};

std::string padding_text(const LayerSpec& spec) {
  if (spec.padding == Padding::kExplicit) return fmt::format("({}, {})", spec.pad_left, spec.pad_right);
  return spec.padding == Padding::kSame ? "'same'" : "'causal'";
}

using Text = std::optional<std::string>;

Text size_text(int64_t value, int64_t otherwise) {
  if (value == otherwise) return std::nullopt;
  return fmt::format("{}", value);
}

Text object_text(const LayerSpec& spec, Parameter parameter) {
  static const LayerSpec defaults;
  for (const ObjectMember& member : kObjectMembers) {
    if (member.parameter != parameter) continue;
    const KerasObject* object = object_of(spec, member);
    const KerasObject* otherwise = object_of(defaults, member);
    if (object == nullptr || (otherwise != nullptr && *object == *otherwise)) return std::nullopt;
    return keras_object_text(*object, member.role);
  }
  return std::nullopt;
}

// input_shape and batch_size, if they are said by the argument `parameter`.
Text shape_text_as(Parameter parameter, const LayerSpec& spec) {
  const bool together = !spec.input_shape.empty() && spec.batch_size;
  if (parameter == Parameter::kBatchInputShape && together) {
    Shape shape{spec.batch_size};
    shape.insert(shape.end(), spec.input_shape.begin(), spec.input_shape.end());
    return shape_text(shape);
  }
  if (together) return std::nullopt;
  if (parameter == Parameter::kInputShape && !spec.input_shape.empty()) return shape_text(spec.input_shape);
  if (parameter == Parameter::kBatchSize && spec.batch_size) return fmt::format("{}", *spec.batch_size);
  return std::nullopt;
}

// The value of an argument as Python text; empty if it is the default. Sizes that must be given have none.
Text argument_text(const LayerSpec& spec, Parameter parameter) {
  switch (parameter) {
    case Parameter::kFilters:
      return fmt::format("{}", spec.filters);
    case Parameter::kKernelSize:
      return fmt::format("{}", spec.kernel_size);
    case Parameter::kStrides:
      return size_text(spec.strides, 1);
    case Parameter::kPadding:
      if (spec.padding == Padding::kValid) return std::nullopt;
      return padding_text(spec);
    case Parameter::kOutputPadding:
      if (!spec.output_padding) return std::nullopt;
      return fmt::format("{}", *spec.output_padding);
    case Parameter::kDataFormat:
      if (spec.data_format == DataFormat::kChannelsLast) return std::nullopt;
      return "'channels_first'";
    case Parameter::kDilationRate:
      return size_text(spec.dilation_rate, 1);
    case Parameter::kGroups:
      return size_text(spec.groups, 1);
    case Parameter::kDepthMultiplier:
      return size_text(spec.depth_multiplier, 1);
    case Parameter::kActivation:
      if (spec.activation.kind == ActivationKind::kLinear) return std::nullopt;
      return activation_text(spec.activation, spec.dialect);
    case Parameter::kUseBias:
      if (spec.use_bias) return std::nullopt;
      return "False";
    case Parameter::kName:
      if (spec.name.empty()) return std::nullopt;
      return quote(spec.name);
    case Parameter::kInputShape:
    case Parameter::kBatchInputShape:
    case Parameter::kBatchSize:
      return shape_text_as(parameter, spec);
    default:
      return object_text(spec, parameter);
  }
}

}  // namespace

std::string to_call_text(const LayerSpec& spec) {
  const std::string_view package = spec.dialect == Dialect::kKeras2   ? "tf_keras.layers."
                                   : spec.dialect == Dialect::kKeras3 ? "keras3.layers."
                                                                      : "";
  const ArgumentTable& table = argument_table(spec.kind);
  std::string out = fmt::format("{}{}(", package, class_name_of(spec.kind));
  for (std::size_t i = 0; i < table.arguments.size(); ++i) {
    const Text value = argument_text(spec, table.arguments[i].parameter);
    if (!value) continue;
    if (i > 0) out += ", ";
    if (i >= table.required) out.append(table.arguments[i].name).append("=");
    out += *value;
  }
  return out + ")";
}

std::size_t hash_layer_spec(const LayerSpec& spec) {
  Hasher hash;
  for (const int64_t size : {spec.filters, spec.kernel_size, spec.strides, spec.pad_left, spec.pad_right,
                             spec.dilation_rate, spec.groups, spec.depth_multiplier}) {
    hash.add(static_cast<uint64_t>(size));
  }
  hash.add(spec.output_padding);
  hash.add(static_cast<uint64_t>(spec.kind) << 24 | static_cast<uint64_t>(spec.padding) << 16 |
           static_cast<uint64_t>(spec.data_format) << 8 | static_cast<uint64_t>(spec.dialect) << 1 |
           uint64_t{spec.use_bias});
  hash.add(static_cast<uint64_t>(spec.activation.kind));
  for (const float param : spec.activation.params) hash.add(double{param});
  for (const ObjectMember& member : kObjectMembers) {
    const KerasObject* object = object_of(spec, member);
    hash.add(uint64_t{object != nullptr});
    if (object != nullptr) hash.add(*object);
  }
  hash.add(uint64_t{spec.input_shape.size()});
  for (const std::optional<int64_t>& axis : spec.input_shape) hash.add(axis);
  hash.add(spec.batch_size);
  hash.add(std::string_view(spec.name));
  hash.add(std::string_view(spec.dtype));
  return hash.value();
}

}  // namespace convsmith
