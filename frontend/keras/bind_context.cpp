#include "frontend/keras/bind_context.hpp"

#include <fmt/format.h>

#include "frontend/keras/parse_value.hpp"

namespace convsmith {

tl::unexpected<Error> BindContext::fail(const Value& at, std::string_view sentence, ErrorCode code,
                                        std::string_view hint) const {
  const std::string place =
      at.offset == Value::kNowhere ? "" : fmt::format(" at {}", position_text(text, at.offset));
  return make_error(code, fmt::format("{}{}.{}{}", sentence, place, hint.empty() ? "" : " ", hint));
}

std::string_view generation_text(Rules rules) {
  return rules == Rules::kKeras2 ? " of Keras 2" : rules == Rules::kKeras3 ? " of Keras 3" : "";
}

Dialect dialect_of_package(std::string_view dotted_name, Dialect otherwise) {
  if (dotted_name.starts_with("tf_keras.")) return Dialect::kKeras2;
  if (dotted_name.starts_with("keras3.")) return Dialect::kKeras3;
  return otherwise;
}

std::string_view name_of(const Value& value) {
  if (value.kind == Value::Kind::kString) return value.text;
  if (value.kind == Value::Kind::kName || value.kind == Value::Kind::kCall) return last_component(value.text);
  return {};
}

SerializedObject read_serialized(const Value& value) {
  SerializedObject out;
  const Value* class_name = value.find("class_name");
  if (class_name == nullptr || class_name->kind != Value::Kind::kString) return out;
  const Value* config = value.find("config");
  if (config != nullptr && config->kind == Value::Kind::kString) {
    out.name = config->text;
    out.is_function = true;
    return out;
  }
  out.name = class_name->text;
  if (config != nullptr && config->kind == Value::Kind::kDict) out.config = config;
  return out;
}

}  // namespace convsmith
