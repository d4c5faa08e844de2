// Numbers of steps as formulas of the inputs' steps, in C's integer arithmetic: for people, and for
// compilers. Called by print and by the header of an artifact.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

// By extent: "(steps + 7) / 8 * 8"; empty where that would fill more than a line. It is right wherever all
// numbers of steps in between are at least 1. `input` names the steps of an input, or gives their number
// where there is only one.
std::vector<std::string> extent_formulas(const Graph& graph,
                                         const std::function<std::string(int64_t)>& input);

// The same for one axis of a shape.
std::string axis_formula(const Axis& axis, const std::vector<std::string>& formulas);

}  // namespace convsmith::ir
