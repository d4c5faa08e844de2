#include "convsmith/layer_spec.hpp"

#include <fmt/format.h>

#include <bit>
#include <string_view>

#include "frontend/activations.hpp"
#include "frontend/keras_objects.hpp"
#include "frontend/make_problem.hpp"
#include "frontend/value.hpp"

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
  void add_one(const KerasObject& object) { add(object); }
  void add_param(int64_t number) { add(static_cast<uint64_t>(number)); }
  void add_param(double number) { add(number); }
  void add_param(const std::string& text) { add(std::string_view(text)); }
  void add_param(const std::vector<int64_t>& axes) {
    for (const int64_t axis : axes) add(static_cast<uint64_t>(axis));
  }

  uint64_t state_ = 0xCBF29CE484222325ULL;
};

// Collects "name=value" behind the two positional arguments.
class CallWriter {
 public:
  explicit CallWriter(const LayerSpec& spec) {
    const std::string_view package = spec.dialect == Dialect::kKeras2   ? "tf_keras.layers."
                                     : spec.dialect == Dialect::kKeras3 ? "keras3.layers."
                                                                        : "";
    text_ = fmt::format("{}Conv1D({}, {}", package, spec.filters, spec.kernel_size);
  }
  void size(std::string_view name, int64_t value) {
    if (value != 1) put(name, fmt::format("{}", value));
  }
  void object(std::string_view name, ObjectRole role, const std::optional<KerasObject>& value) {
    if (value) put(name, keras_object_text(*value, role));
  }
  void initializer(std::string_view name, const Initializer& value, const Initializer& otherwise) {
    if (value != otherwise) put(name, keras_object_text(value, ObjectRole::kInitializer));
  }
  void put(std::string_view name, std::string_view value) { text_ += fmt::format(", {}={}", name, value); }
  std::string finish() { return std::move(text_) + ")"; }

 private:
  std::string text_;
};

std::string padding_text(const LayerSpec& spec) {
  if (spec.padding == Padding::kExplicit) return fmt::format("({}, {})", spec.pad_left, spec.pad_right);
  return spec.padding == Padding::kSame ? "'same'" : "'causal'";
}

void put_shape(CallWriter& call, const LayerSpec& spec) {
  if (spec.input_shape.empty()) {
    if (spec.batch_size) call.put("batch_size", fmt::format("{}", *spec.batch_size));
  } else if (spec.batch_size) {
    Shape shape{spec.batch_size};
    shape.insert(shape.end(), spec.input_shape.begin(), spec.input_shape.end());
    call.put("batch_input_shape", shape_text(shape));
  } else {
    call.put("input_shape", shape_text(spec.input_shape));
  }
}

}  // namespace

std::string to_call_text(const LayerSpec& spec) {
  const LayerSpec defaults;
  CallWriter call(spec);
  call.size("strides", spec.strides);
  if (spec.padding != Padding::kValid) call.put("padding", padding_text(spec));
  if (spec.data_format == DataFormat::kChannelsFirst) call.put("data_format", "'channels_first'");
  call.size("dilation_rate", spec.dilation_rate);
  call.size("groups", spec.groups);
  if (spec.activation.kind != ActivationKind::kLinear) {
    call.put("activation", activation_text(spec.activation, spec.dialect));
  }
  if (!spec.use_bias) call.put("use_bias", "False");
  call.initializer("kernel_initializer", spec.kernel_initializer, defaults.kernel_initializer);
  call.initializer("bias_initializer", spec.bias_initializer, defaults.bias_initializer);
  call.object("kernel_regularizer", ObjectRole::kRegularizer, spec.kernel_regularizer);
  call.object("bias_regularizer", ObjectRole::kRegularizer, spec.bias_regularizer);
  call.object("activity_regularizer", ObjectRole::kRegularizer, spec.activity_regularizer);
  call.object("kernel_constraint", ObjectRole::kConstraint, spec.kernel_constraint);
  call.object("bias_constraint", ObjectRole::kConstraint, spec.bias_constraint);
  put_shape(call, spec);
  if (!spec.name.empty()) call.put("name", quote(spec.name));
  return call.finish();
}

std::size_t hash_layer_spec(const LayerSpec& spec) {
  Hasher hash;
  for (const int64_t size : {spec.filters, spec.kernel_size, spec.strides, spec.pad_left, spec.pad_right,
                             spec.dilation_rate, spec.groups}) {
    hash.add(static_cast<uint64_t>(size));
  }
  hash.add(static_cast<uint64_t>(spec.padding) << 16 | static_cast<uint64_t>(spec.data_format) << 8 |
           static_cast<uint64_t>(spec.dialect) << 1 | uint64_t{spec.use_bias});
  hash.add(static_cast<uint64_t>(spec.activation.kind));
  for (const float param : spec.activation.params) hash.add(double{param});
  hash.add(spec.kernel_initializer);
  hash.add(spec.bias_initializer);
  for (const auto* object : {&spec.kernel_regularizer, &spec.bias_regularizer, &spec.activity_regularizer,
                             &spec.kernel_constraint, &spec.bias_constraint}) {
    hash.add(*object);
  }
  hash.add(uint64_t{spec.input_shape.size()});
  for (const std::optional<int64_t>& axis : spec.input_shape) hash.add(axis);
  hash.add(spec.batch_size);
  hash.add(std::string_view(spec.name));
  hash.add(std::string_view(spec.dtype));
  return hash.value();
}

}  // namespace convsmith
