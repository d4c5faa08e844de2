#include "frontend/models/model_form.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "frontend/keras/layer_class.hpp"
#include "frontend/models/layer_ops.hpp"
#include "frontend/models/operators.hpp"

namespace convsmith::models {
namespace {

bool has_input_shape(const Value& layer) {
  const Value* config = layer.find("config");
  return text_of(layer.find("class_name")) == "InputLayer" || config->find("batch_input_shape") != nullptr ||
         config->find("batch_shape") != nullptr;
}

// Whether a layer, or the first one of a Sequential model, says the shape of its input.
bool begins_with_shape(const Value& layer) {
  if (form_of(layer) != Form::kSequential) return has_input_shape(layer);
  const Value* config = layer.find("config");
  const Value* layers = config->is_sequence() ? config : config->find("layers");
  return config->find("build_input_shape") != nullptr ||
         (is_list_of_layers(layers) && begins_with_shape(layers->items.front().value));
}

// Where no module is named, it is Keras's.
bool is_keras_module(std::string_view module) {
  return module.empty() || module.starts_with("keras") || module.starts_with("tf_keras") ||
         module.starts_with("tensorflow");
}

}  // namespace

std::string_view text_of(const Value* value) {
  const bool is_text = value != nullptr && value->kind == Value::Kind::kString;
  return is_text ? std::string_view(value->text) : std::string_view();
}

bool is_list_of_layers(const Value* value) {
  return value != nullptr && value->is_sequence() && !value->items.empty() &&
         std::all_of(value->items.begin(), value->items.end(), [](const Argument& item) {
           return !text_of(item.value.find("class_name")).empty() && item.value.find("config") != nullptr;
         });
}

Form form_of(const Value& object) {
  const std::string_view class_name = text_of(object.find("class_name"));
  if (class_name == "Sequential") return Form::kSequential;
  if (class_name == "Functional" || class_name == "Model") return Form::kFunctional;
  const Value* config = object.find("config");
  if (config == nullptr) return Form::kNone;
  if (is_list_of_layers(config)) return Form::kSequential;
  const Value* layers = config->find("layers");
  if (!is_list_of_layers(layers)) return Form::kNone;
  if (config->find("input_layers") != nullptr && config->find("output_layers") != nullptr)
    return Form::kFunctional;
  const bool begins_with_input = has_input_shape(layers->items.front().value);
  return begins_with_input || config->find("build_input_shape") != nullptr ? Form::kSequential : Form::kNone;
}

bool is_own_class(std::string_view class_name) {
  return class_name != "Sequential" && class_name != "Functional" && class_name != "Model";
}

Form form_of_file(const Value& object) {
  const Form form = form_of(object);
  const Value* config = object.find("config");
  const Value* layers = config != nullptr ? config->find("layers") : nullptr;
  if (form != Form::kNone || !is_list_of_layers(layers)) return form;
  // Keras 2 writes these two of a Sequential; what else there is would be a class's own.
  const bool is_plain = std::all_of(config->items.begin(), config->items.end(), [](const Argument& item) {
    return item.name == "name" || item.name == "layers";
  });
  return is_plain && begins_with_shape(layers->items.front().value) ? Form::kSequential : Form::kNone;
}

bool is_saved_own_class(const Value& object) {
  const std::string_view class_name = text_of(object.find("class_name"));
  if (class_name.empty() || object.find("config") == nullptr || is_keras_layer(canonical_class(class_name)))
    return false;
  const Value* module = object.find("module");
  const bool is_null = module != nullptr && module->kind == Value::Kind::kNone;
  return is_null || !is_keras_module(text_of(module)) || object.find("keras_version") != nullptr;
}

bool is_operator(const Value& object, std::string_view written) {
  const Value* module = object.find("module");
  if (module != nullptr) return is_operator_module(text_of(module));
  constexpr std::string_view kShared[] = {"Add", "Subtract", "Multiply", "Maximum", "Minimum", "Average"};
  const Value* nodes = object.find("inbound_nodes");
  if (std::find(std::begin(kShared), std::end(kShared), written) == std::end(kShared) || nodes == nullptr)
    return false;
  return std::any_of(nodes->items.begin(), nodes->items.end(), [](const Argument& node) {
    const Value* args = node.value.find("args");
    return args != nullptr && !(args->items.size() == 1 && args->items[0].value.is_sequence());
  });
}

std::string class_of(const Value& object, std::string_view written) {
  const std::string_view registered = text_of(object.find("registered_name"));
  if (registered.find('>') != std::string_view::npos) return std::string(registered);
  const std::string_view module = text_of(object.find("module"));
  if (is_operator(object, written)) return operator_name(written);
  return is_keras_module(module) ? std::string(canonical_class(written))
                                 : fmt::format("{}.{}", module, written);
}

}  // namespace convsmith::models
