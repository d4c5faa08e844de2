// "Did you mean ...?" Used wherever a word is none of those that are known.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace convsmith {

// The words that are likely meant, the nearest first, at most three; upper and lower case and underscores are
// alike. A typed word that none is near to gives none.
std::vector<std::string_view> nearest(std::string_view typed, std::span<const std::string_view> words);

// "Did you mean 'silu' or 'glu'?", or nothing.
std::string did_you_mean(std::string_view typed, std::span<const std::string_view> words);
std::string did_you_mean(std::string_view typed, const std::vector<std::string>& words);

}  // namespace convsmith
