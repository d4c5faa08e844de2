#include "frontend/parse_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "frontend/bind_layer.hpp"
#include "frontend/parse_value.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;
using Json = nlohmann::ordered_json;

// Counts brackets outside strings, so that recursion over the tree is safe.
bool is_too_deep(std::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string && c == '\\') ++i;
    if (c == '"') in_string = !in_string;
    if (in_string) continue;
    if (c == '{' || c == '[') {
      if (++depth > kMaxNesting) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

Value to_value(const Json& json) {
  Value value;
  switch (json.type()) {
    case Json::value_t::boolean:
      value.kind = Kind::kBool;
      value.integer = json.get<bool>() ? 1 : 0;
      break;
    case Json::value_t::number_integer:
      value.kind = Kind::kInt;
      value.integer = json.get<int64_t>();
      break;
    case Json::value_t::number_unsigned:
      if (const auto number = json.get<uint64_t>(); number > std::numeric_limits<int64_t>::max()) {
        value.kind = Kind::kBigInt;
        value.text = fmt::format("{}", number);
      } else {
        value.kind = Kind::kInt;
        value.integer = static_cast<int64_t>(number);
      }
      break;
    case Json::value_t::number_float:
      value.kind = Kind::kFloat;
      value.number = json.get<double>();
      break;
    case Json::value_t::string:
      value.kind = Kind::kString;
      value.text = json.get_ref<const std::string&>();
      break;
    case Json::value_t::array:
      value.kind = Kind::kList;
      for (const Json& item : json) value.items.push_back({{}, to_value(item)});
      break;
    case Json::value_t::object:
      value.kind = Kind::kDict;
      for (const auto& [key, item] : json.items()) value.items.push_back({key, to_value(item)});
      break;
    default:
      break;  // null
  }
  return value;
}

// Turn this: {"class_name": "__tuple__", "items": [3]}   Into this: (3,)
// and forget positions, which point into no call text.
void normalize(Value& value) {
  value.offset = Value::kNowhere;
  for (Argument& item : value.items) normalize(item.value);
  const Value* class_name = value.find("class_name");
  const Value* items = value.find("items");
  const bool is_tuple =
      class_name != nullptr && (class_name->text == "__tuple__" || class_name->text == "TensorShape");
  if (is_tuple && items != nullptr && items->is_sequence()) {
    Value tuple = *items;
    tuple.kind = Kind::kTuple;
    value = std::move(tuple);
  }
}

Result<Value> read_dictionary(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("The layer text has {} bytes; at most {} are read.", text.size(), kMaxTextBytes));
  }
  if (is_too_deep(text)) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("JSON may be nested {} deep at most.", kMaxNesting));
  }
  Value value;
  try {
    value = to_value(Json::parse(text.begin(), text.end()));
  } catch (const Json::exception& problem) {
    const auto* syntax = dynamic_cast<const Json::parse_error*>(&problem);
    Result<Statement> python = parse_statement(text);
    if (!python || python->value.kind != Kind::kDict || python->applied) {
      if (syntax == nullptr)
        return make_error(ErrorCode::kInvalidSpec, "The JSON text has a number out of range.");
      const std::size_t offset = std::max<std::size_t>(syntax->byte, 1) - 1;
      return make_error(ErrorCode::kInvalidSpec,
                        fmt::format("The JSON text is malformed at {}.", position_text(text, offset)));
    }
    value = std::move(python->value);
  }
  normalize(value);
  return value;
}

Dialect decide_dialect(const Value& config) {
  if (const Value* dtype = config.find("dtype"); dtype != nullptr) {
    const Value* class_name = dtype->find("class_name");
    if (class_name != nullptr && class_name->text == "DTypePolicy") return Dialect::kKeras3;
  }
  for (const std::string_view key :
       {"kernel_initializer", "depthwise_initializer", "pointwise_initializer", "bias_initializer"}) {
    const Value* initializer = config.find(key);
    const Value* params = initializer != nullptr ? initializer->find("config") : nullptr;
    if (params != nullptr && params->find("input_axes") != nullptr) return Dialect::kKeras3;
  }
  for (const std::string_view key : {"lora_rank", "lora_alpha", "quantization_config"}) {
    if (config.find(key) != nullptr) return Dialect::kKeras3;
  }
  return Dialect::kKeras2;
}

// The class of a bare config, by the keys that only it has. Keras 3 before 3.15 leaves output_padding out, so
// a name that Keras gave counts as well.
std::string_view guess_class(const Value& config) {
  if (config.find("units") != nullptr) return "Dense";
  const bool has_filters = config.find("filters") != nullptr;
  for (const std::string_view key : {"depth_multiplier", "depthwise_initializer", "pointwise_initializer"}) {
    if (config.find(key) != nullptr) return has_filters ? "SeparableConv1D" : "DepthwiseConv1D";
  }
  const Value* name = config.find("name");
  const bool is_named = name != nullptr && name_of(*name).starts_with("conv1d_transpose");
  return is_named || config.find("output_padding") != nullptr ? "Conv1DTranspose" : "Conv1D";
}

}  // namespace

Result<ParsedLayer> parse_config(std::string_view text, Rules rules) {
  Result<Value> layer = read_dictionary(text);
  if (!layer) return tl::unexpected(layer.error());
  ParsedLayer out;
  BindContext context{.rules = rules, .from_json = true, .notes = &out.notes};
  const Value* class_name = layer->find("class_name");
  const Value* config = layer->find("config");
  const bool is_bare = class_name == nullptr && config == nullptr;  // what get_config() returns
  if (is_bare) {
    config = &*layer;
  } else if (class_name == nullptr || class_name->kind != Kind::kString || config == nullptr ||
             config->kind != Kind::kDict) {
    return make_error(ErrorCode::kInvalidSpec,
                      "A layer object must have the string `class_name` and the object `config`.");
  }
  context.dialect = decide_dialect(*config);
  Result<LayerSpec> spec = bind_layer(
      context, is_bare ? guess_class(*config) : std::string_view(class_name->text), *config, config->items);
  if (!spec) return tl::unexpected(spec.error());
  out.spec = std::move(*spec);
  const Value* build = layer->find("build_config");
  const Value* shape = build != nullptr ? build->find("input_shape") : nullptr;
  if (shape != nullptr && shape->kind != Kind::kNone && out.spec.input_shape.empty()) {
    if (Result<void> done = bind_batch_input_shape(context, "build_config.input_shape", *shape, out.spec);
        !done) {
      return tl::unexpected(done.error());
    }
  }
  return out;
}

}  // namespace convsmith
