// Writes the JSON that Keras itself reads: what get_config() of a layer returns. The counterpart of
// parse_config, which makes an equal spec of it. Called by the layer objects.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"

namespace convsmith {

// The keys are those of Keras 2 for Dialect::kKeras2, else those of Keras 3. kUnsupported for what Keras has
// no config for: explicit padding, and activations that only a lambda can express.
Result<std::string> layer_config(const LayerSpec& spec, Dialect dialect);

// {"class_name": .., "config": ..}, in Keras 3 with module, registered_name and build_config.
Result<std::string> layer_object(const LayerSpec& spec, Dialect dialect);

// The same for a layer without arguments of its own kind: `arguments` holds its class and parameters under
// Keras 3's names, infinity meaning None.
std::string simple_layer_config(const KerasObject& arguments, std::string_view name, Dialect dialect);

std::string input_layer_config(const Shape& shape, std::optional<int64_t> batch_size, std::string_view name,
                               Dialect dialect);

// {"class_name": .., "config": ..} around the text of a config.
std::string wrap_layer_config(std::string_view class_name, std::string_view config, Dialect dialect);

// The config of a Sequential of such objects. `input_shape` has the batch axis; empty: not built.
std::string sequential_config(std::string_view name, const std::vector<std::string>& layers,
                              const Shape& input_shape, Dialect dialect);

// "conv1d_transpose" for "Conv1DTranspose", as Keras makes names.
std::string to_snake_case(std::string_view class_name);

}  // namespace convsmith
