// The front door for text: call text ("Conv1D(32, 3, activation='relu')") or JSON (a layer's config).
// Called by the command line, the model readers and everybody who has text.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"

namespace convsmith {

struct ParsedLayer {
  LayerSpec spec;
  std::vector<std::string> notes;  // whole sentences: what was ignored or decided
};

// Text that begins with '{' is JSON, anything else call text. The spec has passed check_spec.
Result<ParsedLayer> parse_layer(std::string_view text, Rules rules = Rules::kCommon);

}  // namespace convsmith
