#include "frontend/models/missing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "frontend/keras/layer_class.hpp"
#include "frontend/models/layer_ops.hpp"
#include "frontend/models/substitutes.hpp"

namespace convsmith::models {
namespace {

constexpr std::size_t kMostNames = 3;
constexpr std::size_t kMostKinds = 12;
constexpr std::size_t kMostCures = 6;
constexpr std::size_t kMostText = 80;

std::string shortened(std::string text) {
  if (text.size() <= kMostText) return text;
  std::size_t end = kMostText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole characters only
  return text.substr(0, end) + "...";
}

std::string_view text_at(const Value& value, std::string_view key) {
  const Value* found = value.find(key);
  return found != nullptr && found->kind == Value::Kind::kString ? std::string_view(found->text)
                                                                 : std::string_view();
}

// "TimeDistributed(Bidirectional(LSTM))"
std::string wrapped_kind(std::string_view class_name, const Value& config) {
  const Value* inner = config.find("layer");
  const std::string_view inner_class = inner != nullptr ? text_at(*inner, "class_name") : std::string_view();
  if (inner_class.empty()) return std::string(class_name);
  const Value* inner_config = inner->find("config");
  static const Value kNothing;
  return fmt::format("{}({})", class_name,
                     wrapped_kind(inner_class, inner_config != nullptr ? *inner_config : kNothing));
}

std::set<std::string> cures_of(const LayerEntry& layer) {
  if (layer.class_name == "Lambda") {
    return {
        "A Lambda holds Python code; layers do the same work: GlobalAveragePooling1D for a mean over "
        "steps, "
        "Reshape for expand_dims and squeeze, Rescaling for a constant factor, Activation for a function."};
  }
  if (!function_of(layer).empty()) return substitutes_for(layer);
  if (is_keras_layer(layer.class_name)) return {};
  return {fmt::format(
      "{} is no class of Keras, and what it computes is in no file: in its place call Keras's layers "
      "in the model itself (keras.Model(inputs, outputs)).",
      shortened(layer.class_name))};
}

}  // namespace

std::string kind_of(const LayerEntry& layer) {
  const std::string_view function =
      layer.class_name == "TFOpLambda" ? function_of(layer) : std::string_view();
  return shortened(function.empty() ? wrapped_kind(layer.class_name, *layer.config)
                                    : fmt::format("{} {}", layer.class_name, function));
}

void MissingLayers::add(const LayerEntry& layer, const std::string& name, const std::string& why) {
  const std::string kind = why.empty() ? kind_of(layer) : std::string();
  Group& group = groups_[{why, kind}];
  if (++group.count <= kMostNames) group.names.push_back(quote(shortened(name)));
  if (why.empty() && group.cures.size() < kMostCures) group.cures.merge(cures_of(layer));
}

std::string MissingLayers::names_text(const Group& group) {
  const std::size_t more = group.count - group.names.size();
  return fmt::format("{}{}", fmt::join(group.names, ", "), more > 0 ? fmt::format(" and {} more", more) : "");
}

std::string MissingLayers::text() const {
  std::string kinds;
  std::string reasons;
  std::set<std::string> cures;
  std::size_t count = 0;
  for (const auto& [key, group] : groups_) {
    const auto& [why, kind] = key;
    if (++count > kMostKinds) continue;
    if (why.empty()) {
      kinds += fmt::format("{}{} ({})", kinds.empty() ? "" : ", ", kind, names_text(group));
      if (cures.size() < kMostCures) cures.insert(group.cures.begin(), group.cures.end());
    } else {
      reasons += fmt::format("{}Layer{} {}: {}", reasons.empty() && kinds.empty() ? "" : " ",
                             group.count == 1 ? "" : "s", names_text(group), why);
    }
  }
  const std::string others =
      count > kMostKinds ? fmt::format(" and {} other kinds", count - kMostKinds) : std::string();
  std::string text;
  if (!kinds.empty()) text = fmt::format("The model has layers that are not supported: {}{}.", kinds, others);
  for (const std::string& cure : cures) text += " " + cure;
  return text + reasons;
}

}  // namespace convsmith::models
