// A problem as text: the call text of a layer, and behind it what no single layer of Keras says:
//
//   Conv1D(64, 3, padding='same', input_shape=(None, 64)) with Pass(combine='add', after='relu', rows=(0,
//   128, 0))
//
// Names kernels in the cache and heads nests; parse_problem(problem_text(p)) gives p again.
#pragma once

#include <string>
#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/problem.hpp"

namespace convsmith::ir {

std::string problem_text(const Problem& problem);
Result<Problem> parse_problem(std::string_view text);

std::string_view reduce_name(Reduce reduce);     // "max"
std::string_view combine_name(Combine combine);  // "add"

}  // namespace convsmith::ir
