#include "frontend/models/weight_names.hpp"

#include <algorithm>
#include <iterator>
#include <map>
#include <string_view>

namespace convsmith::models {
namespace {

struct Alias {
  std::string_view weight;
  std::string_view written;
};
constexpr Alias kAliases[] = {
    {"kernel", "W"},
    {"kernel", "depthwise_kernel"},  // of DepthwiseConv1D, whose name for it Keras 3 changed
    {"depthwise_kernel", "kernel"},
    {"bias", "b"},
    {"alpha", "alphas"},
    {"moving_mean", "running_mean"},
    {"moving_variance", "running_std"},
};

// A name of a file in parts. Keras 1 put "_" between layer and weight, and had no group for the layer.
struct FileName {
  std::string layers;  // "/block/conv1d/"; "/" if there are none
  std::string weight;  // "kernel", or "conv1d_W"
};

FileName split(std::string_view name) {
  const std::size_t colon = name.rfind(':');  // of TensorFlow's numbers of outputs
  if (colon != std::string_view::npos && name.find_first_not_of("0123456789", colon + 1) == name.npos)
    name = name.substr(0, colon);
  const std::size_t slash = name.rfind('/');
  if (slash == std::string_view::npos) return {"/", std::string(name)};
  return {"/" + std::string(name.substr(0, slash)) + "/", std::string(name.substr(slash + 1))};
}

// "kernel_1" -> "kernel"
std::string_view without_number(std::string_view text) {
  const std::size_t end = text.find_last_not_of("0123456789");
  const bool has_number = end != std::string_view::npos && end + 1 < text.size() && end > 0;
  return has_number && text[end] == '_' ? text.substr(0, end) : text;
}

// The layers of a name if it ends in this spelling of a weight.
std::optional<std::string> layers_before(const FileName& name, std::string_view spelling) {
  for (const std::string_view text : {std::string_view(name.weight), without_number(name.weight)}) {
    if (text == spelling) return name.layers;
    // No kernel had a name of that form, but "pointwise_kernel" is one.
    if (spelling == "kernel" || !text.ends_with(spelling) || text.size() < spelling.size() + 2) continue;
    const std::string_view before = text.substr(0, text.size() - spelling.size());
    if (before.back() == '_') return name.layers + std::string(before.substr(0, before.size() - 1)) + "/";
  }
  return std::nullopt;
}

std::optional<std::string> layers_of(const FileName& name, const std::string& weight) {
  std::optional<std::string> layers = layers_before(name, weight);
  for (const Alias& alias : kAliases) {
    if (!layers && alias.weight == weight) layers = layers_before(name, alias.written);
  }
  return layers;
}

bool has(const std::string& layers, const std::string& layer) {
  return layers.find("/" + layer + "/") != std::string::npos;
}

// How many names around the weight the file's name has, 0 if it means another layer.
std::size_t agreement(const FileName& name, const WeightName& weight, bool needs_layer) {
  const std::optional<std::string> layers = layers_of(name, weight.weight);
  if (!layers) return 0;
  const bool is_layer = std::any_of(weight.layer.begin(), weight.layer.end(),
                                    [&](const std::string& layer) { return has(*layers, layer); });
  if (needs_layer && !is_layer && *layers != "/") return 0;
  const auto around = std::count_if(weight.around.begin(), weight.around.end(),
                                    [&](const std::string& model) { return has(*layers, model); });
  return 1 + (is_layer ? 1 : 0) + static_cast<std::size_t>(around);
}

bool is_one_layer(std::span<const WeightName> weights) {
  return std::all_of(weights.begin(), weights.end(), [&](const WeightName& weight) {
    return weight.around == weights.front().around && weight.layer == weights.front().layer;
  });
}

}  // namespace

std::optional<std::vector<std::size_t>> match_names(std::span<const std::string> names,
                                                    std::span<const WeightName> weights) {
  const bool needs_layer = !weights.empty() && !is_one_layer(weights);
  std::vector<std::vector<std::size_t>> candidates;
  for (const std::string& name : names) {
    const FileName file = split(name);
    std::size_t best = 1;
    std::vector<std::size_t>& fitting = candidates.emplace_back();
    for (std::size_t i = 0; i < weights.size(); ++i) {
      const std::size_t score = agreement(file, weights[i], needs_layer);
      if (score > best) fitting.clear();
      best = std::max(best, score);
      if (score == best) fitting.push_back(i);
    }
    if (fitting.empty()) return std::nullopt;
  }
  std::vector<std::size_t> out(names.size());
  std::vector<bool> is_taken(weights.size(), false);
  for (const bool is_certain : {true, false}) {
    for (std::size_t i = 0; i < names.size(); ++i) {
      if ((candidates[i].size() == 1) != is_certain) continue;
      const auto found = std::find_if(candidates[i].begin(), candidates[i].end(),
                                      [&](std::size_t weight) { return !is_taken[weight]; });
      if (found == candidates[i].end()) return std::nullopt;
      out[i] = *found;
      is_taken[*found] = true;
    }
  }
  return out;
}

bool may_be_renamed(std::span<const std::string> names, std::span<const WeightName> weights) {
  using Layer = std::pair<std::vector<std::string>, std::vector<std::string>>;
  std::map<std::string, Layer> layer_of;
  std::map<Layer, std::string> name_of;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::optional<std::string> layers = layers_of(split(names[i]), weights[i].weight);
    if (!layers) return false;
    const Layer layer{weights[i].around, weights[i].layer};
    if (layer_of.emplace(*layers, layer).first->second != layer) return false;
    if (name_of.emplace(layer, *layers).first->second != *layers) return false;
  }
  return true;
}

}  // namespace convsmith::models
