#include "frontend/model_spec.hpp"

#include <fmt/format.h>

#include <map>
#include <set>

namespace convsmith {
namespace {

std::vector<std::string> distinct_names(const ModelSpec& model, const std::vector<int>& nodes,
                                        std::vector<std::string> names) {
  if (names.size() != nodes.size()) {
    names.clear();
    for (const int node : nodes) {
      const int layer = model.nodes[static_cast<std::size_t>(node)].layer;
      names.push_back(model.layers[static_cast<std::size_t>(layer)].name);
    }
  }
  std::set<std::string> taken;
  std::map<std::string, int> next;  // number, by name
  for (std::string& name : names) {
    const std::string base = name;
    while (!taken.insert(name).second) name = fmt::format("{}_{}", base, ++next[base]);
  }
  return names;
}

}  // namespace

std::vector<std::string> input_names(const ModelSpec& model) {
  return distinct_names(model, model.inputs, model.given_input_names);
}

std::vector<std::string> output_names(const ModelSpec& model) {
  return distinct_names(model, model.outputs, model.given_output_names);
}

}  // namespace convsmith
