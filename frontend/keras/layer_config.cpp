#include "frontend/keras/layer_config.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/keras_objects.hpp"
#include "frontend/keras/layer_class.hpp"

namespace convsmith {
namespace {

using Json = nlohmann::ordered_json;

constexpr float kInf = std::numeric_limits<float>::infinity();

// {"class_name": .., "config": ..}, with the two keys that Keras 3 wants.
Json serialized(std::string_view module, std::string_view class_name, Json config, Dialect dialect) {
  Json out = Json::object();
  if (dialect == Dialect::kKeras3) out["module"] = module;
  out["class_name"] = class_name;
  out["config"] = std::move(config);
  if (dialect == Dialect::kKeras3) out["registered_name"] = nullptr;
  return out;
}

Json dtype_json(std::string_view dtype, Dialect dialect) {
  if (dialect != Dialect::kKeras3) return dtype;
  return serialized("keras", "DTypePolicy", {{"name", dtype}}, dialect);
}

Json shape_json(const std::optional<int64_t>& batch_size, const Shape& shape) {
  Json out = Json::array({batch_size ? Json(*batch_size) : Json()});
  for (const std::optional<int64_t>& axis : shape) out.push_back(axis ? Json(*axis) : Json());
  return out;
}

// Of a layer: an infinite limit of an activation is None.
Json param_json(const KerasObject::Param& param) {
  if (const auto* number = std::get_if<double>(&param))
    return std::isfinite(*number) ? Json(*number) : Json();
  if (const auto* axes = std::get_if<std::vector<int64_t>>(&param); axes != nullptr && axes->size() == 1)
    return axes->front();
  return std::visit([](const auto& value) { return Json(value); }, param);
}

// The shortest decimal number that reads back as the same float.
double decimal(float number) {
  const double shortest = std::strtod(fmt::format("{}", number).c_str(), nullptr);
  return static_cast<float>(shortest) == number ? shortest : double{number};
}

Json simple_layer_json(const KerasObject& arguments, std::string_view name, Dialect dialect) {
  Json config = {{"name", name}, {"trainable", true}, {"dtype", dtype_json("float32", dialect)}};
  for (const auto& [key, value] : arguments.params) {
    const bool is_alpha = dialect != Dialect::kKeras3 && arguments.class_name == "LeakyReLU";
    config[is_alpha ? "alpha" : key] = param_json(value);
  }
  return config;
}

// The layer that computes an activation with other parameters than its name has.
std::optional<KerasObject> activation_layer(const Activation& activation, Dialect dialect) {
  const auto [p0, p1, p2] = activation.params;
  switch (activation.kind) {
    case ActivationKind::kRelu:
      if (p1 == kInf && p2 == 0 && (p0 >= 0 || dialect != Dialect::kKeras3)) {
        return KerasObject{"LeakyReLU", {{"negative_slope", decimal(p0)}}};
      }
      if (p0 < 0 || p1 < 0 || p2 < 0) return std::nullopt;
      return KerasObject{
          "ReLU", {{"max_value", decimal(p1)}, {"negative_slope", decimal(p0)}, {"threshold", decimal(p2)}}};
    case ActivationKind::kElu:
      return KerasObject{"ELU", {{"alpha", decimal(p0)}}};
    case ActivationKind::kThreshold:
      if (dialect == Dialect::kKeras3 || p0 < 0 || p1 != 0) return std::nullopt;
      return KerasObject{"ThresholdedReLU", {{"theta", decimal(p0)}}};
    case ActivationKind::kSoftmax:
      return KerasObject{"Softmax", {{"axis", static_cast<int64_t>(p0)}}};
    default:
      return std::nullopt;
  }
}

Result<Json> activation_json(const Activation& given, Dialect dialect) {
  const Rules rules = dialect == Dialect::kKeras3 ? Rules::kKeras3 : Rules::kKeras2;
  if (Result<void> legal = check_activation(given, rules); !legal) return tl::unexpected(legal.error());
  const Activation activation = canonical_activation(given);
  const std::string text = activation_text(activation, dialect);
  if (text == "'silu'" && dialect != Dialect::kKeras3) return "swish";  // all of Keras 2 know this one
  if (text.starts_with('\'')) return text.substr(1, text.size() - 2);
  if (const std::optional<KerasObject> layer = activation_layer(activation, dialect)) {
    return serialized("keras.layers", layer->class_name,
                      simple_layer_json(*layer, to_snake_case(layer->class_name), dialect), dialect);
  }
  return make_error(ErrorCode::kUnsupported,
                    fmt::format("`activation` is {}, for which Keras has no config.", text));
}

// Collects a config, or the first error.
class ConfigWriter {
 public:
  ConfigWriter(const LayerSpec& spec, Dialect dialect) : spec_(spec), dialect_(dialect) {}

  Result<Json> write() {
    write_base();
    if (spec_.kind == LayerKind::kDense) {
      config_["units"] = spec_.filters;
    } else {
      write_convolution();
    }
    const Result<Json> activation = activation_json(spec_.activation, dialect_);
    if (!activation) return tl::unexpected(activation.error());
    config_["activation"] = *activation;
    config_["use_bias"] = spec_.use_bias;
    write_objects();
    if (error_) return tl::unexpected(*error_);
    return std::move(config_);
  }

 private:
  bool is_keras3() const { return dialect_ == Dialect::kKeras3; }
  bool is(LayerKind kind) const { return spec_.kind == kind; }

  void write_base() {
    if (!spec_.name.empty()) config_["name"] = spec_.name;
    config_["trainable"] = true;
    if (!is_keras3() && !spec_.input_shape.empty()) {
      config_["batch_input_shape"] = shape_json(spec_.batch_size, spec_.input_shape);
    }
    config_["dtype"] = dtype_json(spec_.dtype, dialect_);
  }

  void write_convolution() {
    const bool has_multiplier = is(LayerKind::kDepthwiseConv1D) || is(LayerKind::kSeparableConv1D);
    if (has_multiplier) config_["depth_multiplier"] = spec_.depth_multiplier;
    if (!is(LayerKind::kDepthwiseConv1D)) config_["filters"] = spec_.filters;
    config_["kernel_size"] = {spec_.kernel_size};
    config_["strides"] = {spec_.strides};
    if (spec_.padding == Padding::kExplicit) {
      fail(Error{ErrorCode::kUnsupported, fmt::format("`padding` is ({}, {}), for which Keras has no config.",
                                                      spec_.pad_left, spec_.pad_right)});
    }
    config_["padding"] = spec_.padding == Padding::kSame     ? "same"
                         : spec_.padding == Padding::kCausal ? "causal"
                                                             : "valid";
    if (is(LayerKind::kConv1DTranspose)) {
      config_["output_padding"] = spec_.output_padding ? Json::array({*spec_.output_padding}) : Json();
    }
    const bool last = spec_.data_format == DataFormat::kChannelsLast;
    config_["data_format"] = last ? "channels_last" : "channels_first";
    config_["dilation_rate"] = {spec_.dilation_rate};
    if (is(LayerKind::kConv1D) || !is_keras3()) config_["groups"] = spec_.groups;
  }

  void write_objects() {
    const bool depthwise = is(LayerKind::kDepthwiseConv1D) || is(LayerKind::kSeparableConv1D);
    const std::string kernel = depthwise ? "depthwise" : "kernel";
    using Role = ObjectRole;
    write_object(kernel + "_initializer", Role::kInitializer, spec_.kernel_initializer);
    write_object("bias_initializer", Role::kInitializer, spec_.bias_initializer);
    write_object(kernel + "_regularizer", Role::kRegularizer, spec_.kernel_regularizer);
    write_object("bias_regularizer", Role::kRegularizer, spec_.bias_regularizer);
    write_object("activity_regularizer", Role::kRegularizer, spec_.activity_regularizer);
    write_object(kernel + "_constraint", Role::kConstraint, spec_.kernel_constraint);
    write_object("bias_constraint", Role::kConstraint, spec_.bias_constraint);
    if (!is(LayerKind::kSeparableConv1D)) return;
    write_object("pointwise_initializer", Role::kInitializer, spec_.pointwise_initializer);
    write_object("pointwise_regularizer", Role::kRegularizer, spec_.pointwise_regularizer);
    write_object("pointwise_constraint", Role::kConstraint, spec_.pointwise_constraint);
  }

  void write_object(const std::string& key, ObjectRole role, const std::optional<KerasObject>& object) {
    config_[key] = nullptr;
    if (!object) return;
    const Result<KerasObject> full = complete_keras_object(*object, role, key);
    if (!full) return fail(full.error());
    Json params = Json::object();
    for (const auto& [name, value] : full->params) {
      const auto* number = std::get_if<double>(&value);
      params[name] = number != nullptr ? Json(*number) : param_json(value);
    }
    const std::string_view module = role == ObjectRole::kInitializer   ? "keras.initializers"
                                    : role == ObjectRole::kRegularizer ? "keras.regularizers"
                                                                       : "keras.constraints";
    config_[key] = serialized(module, full->class_name, std::move(params), dialect_);
  }

  void fail(Error error) {
    if (!error_) error_ = std::move(error);
  }

  const LayerSpec& spec_;
  Dialect dialect_;
  Json config_ = Json::object();
  std::optional<Error> error_;
};

// As Python's json writes it: infinite numbers are Infinity. Names may be any bytes: what is no UTF-8 is
// replaced.
std::string dump(const Json& json) {
  const auto* number = json.get_ptr<const Json::number_float_t*>();
  if (number != nullptr && std::isinf(*number)) return *number > 0 ? "Infinity" : "-Infinity";
  if (!json.is_structured()) return json.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string out;
  for (const auto& [key, value] : json.items())
    out += (out.empty() ? "" : ",") + (json.is_object() ? dump(Json(key)) + ":" : "") + dump(value);
  return json.is_object() ? "{" + out + "}" : "[" + out + "]";
}

// Puts JSON, which Infinity makes more than nlohmann reads, in the place of what `key` has. Strings hold no
// such text: their quotes are escaped.
std::string put(std::string text, const std::string& before, std::string_view value) {
  return text.replace(text.find(before) + before.find(':') + 1, before.size() - before.find(':') - 1, value);
}

}  // namespace

Result<std::string> layer_config(const LayerSpec& spec, Dialect dialect) {
  const Result<Json> config = ConfigWriter(spec, dialect).write();
  if (!config) return tl::unexpected(config.error());
  return dump(*config);
}

Result<std::string> layer_object(const LayerSpec& spec, Dialect dialect) {
  Result<Json> config = ConfigWriter(spec, dialect).write();
  if (!config) return tl::unexpected(config.error());
  Json out = serialized("keras.layers", class_name_of(spec.kind), std::move(*config), dialect);
  if (dialect == Dialect::kKeras3 && !spec.input_shape.empty()) {
    out["build_config"] = {{"input_shape", shape_json(spec.batch_size, spec.input_shape)}};
  }
  return dump(out);
}

std::string simple_layer_config(const KerasObject& arguments, std::string_view name, Dialect dialect) {
  return dump(simple_layer_json(arguments, name, dialect));
}

std::string input_layer_config(const Shape& shape, std::optional<int64_t> batch_size, std::string_view name,
                               Dialect dialect) {
  const char* key = dialect == Dialect::kKeras3 ? "batch_shape" : "batch_input_shape";
  return dump({{key, shape_json(batch_size, shape)},
               {"dtype", "float32"},
               {"sparse", false},
               {"ragged", false},
               {"name", name}});
}

std::string wrap_layer_config(std::string_view class_name, std::string_view config, Dialect dialect) {
  return put(dump(serialized("keras.layers", class_name, Json(), dialect)), "\"config\":null", config);
}

std::string sequential_config(std::string_view name, const std::vector<std::string>& layers,
                              const Shape& input_shape, Dialect dialect) {
  Json config = {{"name", name}};
  if (dialect == Dialect::kKeras3) {
    config["trainable"] = true;
    config["dtype"] = dtype_json("float32", dialect);
  }
  config["layers"] = Json::array();
  if (!input_shape.empty()) {
    config["build_input_shape"] =
        shape_json(input_shape.front(), {input_shape.begin() + 1, input_shape.end()});
  }
  return put(dump(config), "\"layers\":[]", fmt::format("[{}]", fmt::join(layers, ",")));
}

// An underscore where a capital begins a word: ReLU is re_lu, Conv1DTranspose is conv1d_transpose.
std::string to_snake_case(std::string_view class_name) {
  auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  std::string out;
  for (size_t i = 0; i < class_name.size(); ++i) {
    const char c = class_name[i];
    const bool after_word = i > 0 && is_lower(class_name[i - 1]);
    const bool before_word = i > 0 && i + 1 < class_name.size() && is_lower(class_name[i + 1]);
    if (is_upper(c) && (after_word || before_word)) out += '_';
    out += is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

}  // namespace convsmith
