// Reads the golden cases made with real Keras and turns their arguments into call text.
#pragma once

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "convsmith/layer_spec.hpp"
#include "tests/support/places.hpp"

namespace convsmith::golden {

using Json = nlohmann::ordered_json;

inline std::vector<Json> read_lines(const std::string& name) {
  std::ifstream file(places::test_data(name));
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
  return rows;
}

// A JSON value as Python writes it.
inline std::string python_text(const Json& json) {
  if (json.is_null()) return "None";
  if (json.is_boolean()) return json.get<bool>() ? "True" : "False";
  if (json.is_string()) return std::string("'").append(json.get<std::string>()).append("'");
  if (!json.is_structured()) return json.dump();
  std::string out = json.is_object() ? "{" : "[";
  for (const auto& [key, item] : json.items()) {
    if (json.is_object()) out.append("'").append(key).append("': ");
    out.append(python_text(item)).append(", ");
  }
  out.push_back(json.is_object() ? '}' : ']');
  return out;
}

inline std::string call_text(const Json& class_name, const Json& kwargs) {
  std::string out = class_name.get<std::string>() + "(";
  for (const auto& [key, value] : kwargs.items())
    out.append(key).append("=").append(python_text(value)).append(", ");
  return out + ")";
}

inline Shape to_shape(const Json& json) {
  Shape shape;
  for (const Json& axis : json) {
    shape.push_back(axis.is_null() ? std::optional<int64_t>() : std::optional<int64_t>(axis.get<int64_t>()));
  }
  return shape;
}

}  // namespace convsmith::golden
