// The layers of a model that are not supported, said all at once: one group for each kind, with a few names
// and a count, and what to use in their place. Made by build_spec.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "frontend/models/architecture.hpp"

namespace convsmith::models {

class MissingLayers {
 public:
  // `name` is that of the layer in the whole model. `why` is a sentence about its arguments, or empty where
  // no layer of this class is supported.
  void add(const LayerEntry& layer, const std::string& name, const std::string& why = {});
  bool empty() const { return groups_.empty(); }
  // A few sentences, whatever the number of layers.
  std::string text() const;

 private:
  struct Group {
    std::vector<std::string> names;  // the first ones
    std::size_t count = 0;
    std::set<std::string> cures;
  };
  static std::string names_text(const Group& group);

  std::map<std::pair<std::string, std::string>, Group> groups_;  // by `why` and kind
};

// "TimeDistributed(LSTM)", "TFOpLambda math.reduce_mean", or the class alone.
std::string kind_of(const LayerEntry& layer);

}  // namespace convsmith::models
