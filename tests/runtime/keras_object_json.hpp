// Keras objects out of golden JSON.
#pragma once

#include <string>
#include <vector>

#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"
#include "tests/support/golden_arrays.hpp"

namespace convsmith::golden {

// {"class_name": .., "config": {..}}
inline KerasObject to_object(const Json& json) {
  KerasObject out{json["class_name"].get<std::string>()};
  for (const auto& [key, value] : json["config"].items()) {
    if (key == "axis") {
      out.params.emplace_back(key, value.is_array() ? value.get<std::vector<int64_t>>()
                                                    : std::vector<int64_t>{value.get<int64_t>()});
    } else if (value.is_string()) {
      out.params.emplace_back(key, value.get<std::string>());
    } else if (!value.is_null()) {
      out.params.emplace_back(key, value.get<double>());
    }
  }
  return out;
}

inline Tensor to_tensor(const Arrays<float>& arrays, const Json& json) {
  const std::span<const float> data = arrays.get(json);
  return {json["shape"].get<std::vector<int64_t>>(), {data.begin(), data.end()}};
}

}  // namespace convsmith::golden
