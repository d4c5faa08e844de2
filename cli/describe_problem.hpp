// The first two stages of explain: what the user said and what is to be computed, in words.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "frontend/parse_layer.hpp"
#include "frontend/problem.hpp"

namespace convsmith::cli {

struct Facts {
  std::string text;
  nlohmann::ordered_json json;
};

Facts describe_spec(const ParsedLayer& layer);
Facts describe_problem(const Problem& problem);

}  // namespace convsmith::cli
