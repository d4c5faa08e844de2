// Short ways to write the JSON of models.
#pragma once

#include <fmt/format.h>

#include <string>

namespace convsmith::json_models {

inline std::string conv(const std::string& name, const std::string& more = {}) {
  return fmt::format(R"({{"class_name":"Conv1D","config":{{"name":"{}","filters":2,"kernel_size":[3]{}}}}})",
                     name, more);
}

inline std::string sequential(const std::string& layers, const std::string& version = "2.4.0") {
  return fmt::format(
      R"({{"class_name":"Sequential","config":{{"name":"net","layers":[{}]}},"keras_version":"{}"}})", layers,
      version);
}

// With an input (null, 8, 3) in front.
inline std::string with_input(const std::string& layers, const std::string& version = "2.4.0") {
  return sequential(
      R"({"class_name":"InputLayer","config":{"name":"x","batch_input_shape":[null,8,3]}},)" + layers,
      version);
}

// A layer of a Functional model.
inline std::string call(const std::string& class_name, const std::string& name, const std::string& nodes,
                        const std::string& config = {}) {
  return fmt::format(R"({{"class_name":"{}","name":"{}","config":{{"name":"{}"{}}},"inbound_nodes":{}}})",
                     class_name, name, name, config, nodes);
}

inline std::string functional(const std::string& layers, const std::string& output,
                              const std::string& input = R"(["x",0,0])") {
  return fmt::format(
      R"({{"class_name":"Model","config":{{"name":"net","layers":[{},{}],"input_layers":[{}],"output_layers":[{}]}},"keras_version":"2.2.4"}})",
      call("InputLayer", "x", "[]", R"(,"batch_input_shape":[null,8,3])"), layers, input, output);
}

}  // namespace convsmith::json_models
