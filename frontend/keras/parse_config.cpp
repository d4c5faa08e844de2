#include "frontend/keras/parse_config.hpp"

#include <fmt/format.h>

#include <utility>

#include "frontend/keras/bind_layer.hpp"
#include "frontend/keras/json_value.hpp"
#include "frontend/keras/parse_value.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;

Result<Value> read_dictionary(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("The layer text has {} bytes; at most {} are read.", text.size(), kMaxTextBytes));
  }
  tl::expected<Value, JsonProblem> json = read_json(text);
  if (json) return std::move(*json);
  if (!json.error().is_syntax) return tl::unexpected(std::move(json.error().error));
  Result<Statement> python = parse_statement(text);
  if (!python || python->value.kind != Kind::kDict || python->applied) {
    return tl::unexpected(std::move(json.error().error));
  }
  normalize_json(python->value);
  return std::move(python->value);
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
