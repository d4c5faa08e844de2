// The first two stages of explain: what the user said and what is to be computed, in words.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "frontend/problem.hpp"

namespace convsmith::cli {

struct Facts {
  std::string text;
  nlohmann::ordered_json json;
};

Facts describe_spec(const ParsedLayer& layer);
Facts describe_problem(const Problem& problem);
// Of a layer: its contractions one after the other, and what is done behind them.
Facts describe_problem(const LayerProblem& layer);

}  // namespace convsmith::cli
