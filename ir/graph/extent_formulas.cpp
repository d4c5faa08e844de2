#include "ir/graph/extent_formulas.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>

namespace convsmith::ir {
namespace {

constexpr size_t kLongest = 100;

std::string plus(const std::string& text, int64_t number) {
  if (number == 0) return text;
  return number > 0 ? fmt::format("{} + {}", text, number) : fmt::format("{} - {}", text, -number);
}

// In brackets if it is more than a name or a number.
std::string factor(const std::string& text) {
  return text.find(' ') == std::string::npos ? text : "(" + text + ")";
}

// scale * ((times * of + shift) / divisor) + rest; rest is 0 where scale is 1, all of the latter where
// divisor is 1. A number where times is 0. C rounds towards 0 where the formulas round down: below 0, where
// there are no steps either way.
struct Formula {
  std::string of;
  int64_t times = 1;
  int64_t shift = 0;
  int64_t divisor = 1;
  int64_t scale = 1;
  int64_t rest = 0;

  std::string text() const {
    if (times == 0) return std::to_string(scale * (shift / divisor) + rest);
    std::string all = plus(times == 1 ? of : fmt::format("{} * {}", times, of), shift);
    if (divisor != 1) all = fmt::format("{} / {}", factor(all), divisor);
    if (scale != 1) all = fmt::format("{} * {}", scale, factor(all));
    return plus(all, rest);
  }

  bool is_short() const {
    const auto is_small = [](int64_t n) { return std::abs(n) < kMaxSteps; };
    return is_small(times) && is_small(shift) && is_small(divisor) && is_small(scale) && is_small(rest) &&
           text().size() <= kLongest;
  }
};

// f * by + add
Formula times_plus(Formula f, int64_t by, int64_t add) {
  if (f.divisor == 1) return {f.of, f.times * by, f.shift * by + add};
  if (by == 1 && f.scale == 1) {
    f.shift += f.divisor * add;
  } else {
    f.scale *= by;
    f.rest = f.rest * by + add;
  }
  return f;
}

// (f + add) / by. Turn this: (x / a + b) / c. Into this: (x + a * b) / (a * c).
Formula divided(const Formula& f, int64_t add, int64_t by) {
  if (by == 1) return times_plus(f, 1, add);
  if (f.scale != 1) return {factor(f.text()), 1, add, by};
  return {f.of, f.times, f.shift + f.divisor * add, f.divisor * by};
}

Formula through_window(const Formula& from, const Problem& window) {
  if (window.pad_same) return divided(from, window.stride - 1, window.stride);
  const int64_t room = window.pad_left + window.pad_right - (window.span() - 1);
  if (window.transposed) return times_plus(from, window.stride, 1 - room - window.stride);
  return divided(from, room + window.stride - 1, window.stride);
}

}  // namespace

std::vector<std::string> extent_formulas(const Graph& graph,
                                         const std::function<std::string(int64_t)>& input) {
  std::vector<std::optional<Formula>> formulas;
  std::vector<std::string> texts;
  const auto constant = [](int64_t n) { return Formula{"", 0, n}; };
  for (const Extent& e : graph.extents) {
    std::optional<Formula> formula;
    if (e.kind == Extent::Kind::kFixed) {
      formula = constant(e.value);
    } else if (e.kind == Extent::Kind::kInput) {
      const std::string name = input(e.value);
      const bool is_number = name.find_first_not_of("0123456789") == std::string::npos;
      formula = is_number ? constant(std::stoll(name)) : Formula{name};
    } else if (const auto& from = formulas[static_cast<size_t>(e.from)]) {
      formula =
          e.kind == Extent::Kind::kScaled ? times_plus(*from, e.value, 0) : through_window(*from, e.window);
    }
    if (formula && !formula->is_short()) formula.reset();
    texts.push_back(formula ? formula->text() : "");
    formulas.push_back(std::move(formula));
  }
  return texts;
}

std::string axis_formula(const Axis& axis, const std::vector<std::string>& formulas) {
  if (axis.extent < 0) return std::to_string(axis.size);
  const std::string& steps = formulas[static_cast<size_t>(axis.extent)];
  return axis.size == 1 || steps.empty() ? steps : fmt::format("{} * {}", axis.size, factor(steps));
}

}  // namespace convsmith::ir
