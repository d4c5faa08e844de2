#include "frontend/keras/nearest.hpp"

#include <algorithm>
#include <utility>

#include "frontend/keras/value.hpp"

namespace convsmith {
namespace {

constexpr std::size_t kLongest = 64;  // what is longer is no word

std::string plain(std::string_view word) {
  std::string out;
  for (const char c : word) {
    if (c != '_') out.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return out;
}

// Letters to insert, delete, replace or swap with their neighbour to turn one word into the other.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> d(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) {
    for (std::size_t j = 0; j <= b.size(); ++j) {
      if (i == 0 || j == 0) {
        d[i][j] = i + j;
        continue;
      }
      const std::size_t other = a[i - 1] != b[j - 1] ? 1 : 0;
      d[i][j] = std::min({d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + other});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
    }
  }
  return d[a.size()][b.size()];
}

}  // namespace

std::vector<std::string_view> nearest(std::string_view typed, std::span<const std::string_view> words) {
  constexpr std::size_t kMost = 3;
  const std::string wanted = plain(typed);
  std::vector<std::pair<std::size_t, std::string_view>> found;
  if (wanted.size() > kLongest) return {};
  for (const std::string_view word : words) {
    const std::string other = plain(word);
    const std::size_t far = distance(wanted, other);
    const std::size_t near_enough = std::max(wanted.size(), other.size()) / 3;
    const bool inside = other.size() >= 3 && wanted.size() >= 3 &&
                        (wanted.find(other) != std::string::npos || other.find(wanted) != std::string::npos);
    if (far <= near_enough || inside) found.emplace_back(far, word);
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::string_view> out;
  for (const auto& [far, word] : found) {
    if (out.size() == kMost || (far > 0 && found.front().first == 0)) break;
    const auto is_alike = [&](std::string_view other) { return plain(other) == plain(word); };
    if (std::none_of(out.begin(), out.end(), is_alike)) out.push_back(word);
  }
  return out;
}

std::string did_you_mean(std::string_view typed, std::span<const std::string_view> words) {
  const std::vector<std::string_view> found = nearest(typed, words);
  std::string list;
  for (std::size_t i = 0; i < found.size(); ++i)
    list += (i == 0 ? "" : i + 1 == found.size() ? " or " : ", ") + quote(found[i]);
  return list.empty() ? "" : "Did you mean " + list + "?";
}

std::string did_you_mean(std::string_view typed, const std::vector<std::string>& words) {
  return did_you_mean(typed, std::vector<std::string_view>(words.begin(), words.end()));
}

}  // namespace convsmith
