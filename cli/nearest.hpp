// "did you mean": the word of a list that is the most like one that somebody typed. Used by main.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace convsmith::cli {

// Empty where none is like it: more than a third of its letters would have to change.
std::string nearest(std::string_view typed, const std::vector<std::string>& words);

}  // namespace convsmith::cli
