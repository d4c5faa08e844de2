// A model whose skip connection meets for multiples of `stride` only: x + repeat(max of stride steps), as
// JSON. It has no weights.
#pragma once

#include <string>

namespace convsmith::test {

inline std::string unet_json(int stride, const std::string& steps = "null") {
  const std::string s = std::to_string(stride);
  return R"({"class_name": "Functional", "config": {"name": "unet", "layers": [
    {"class_name": "InputLayer", "name": "x", "inbound_nodes": [],
     "config": {"name": "x", "batch_input_shape": [null, )" +
         steps + R"(, 2]}},
    {"class_name": "MaxPooling1D", "name": "down", "inbound_nodes": [[["x", 0, 0, {}]]],
     "config": {"name": "down", "pool_size": [)" +
         s + R"(], "strides": [)" + s + R"(], "padding": "valid"}},
    {"class_name": "UpSampling1D", "name": "up", "inbound_nodes": [[["down", 0, 0, {}]]],
     "config": {"name": "up", "size": )" +
         s + R"(}},
    {"class_name": "Add", "name": "skip", "inbound_nodes": [[["x", 0, 0, {}], ["up", 0, 0, {}]]],
     "config": {"name": "skip"}}],
    "input_layers": [["x", 0, 0]], "output_layers": [["skip", 0, 0]]}})";
}

}  // namespace convsmith::test
