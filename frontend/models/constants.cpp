#include "frontend/models/constants.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace convsmith::models {
namespace {

using Kind = Value::Kind;

constexpr std::size_t kMaxRank = 8;

// Appends the numbers of nested lists to `out`; false unless all lists of one depth have one size, which the
// first of them says.
bool read_nested(const Value& value, std::size_t depth, Constant& out) {
  if (value.is_sequence()) {
    const auto size = static_cast<int64_t>(value.items.size());
    if (out.data.empty() && depth == out.shape.size()) out.shape.push_back(size);
    if (size == 0 || depth >= std::min(out.shape.size(), kMaxRank) || out.shape[depth] != size) return false;
    return std::all_of(value.items.begin(), value.items.end(),
                       [&](const Argument& item) { return read_nested(item.value, depth + 1, out); });
  }
  if (depth != out.shape.size() || (value.kind != Kind::kInt && value.kind != Kind::kFloat)) return false;
  const double number = value.kind == Kind::kInt ? static_cast<double>(value.integer) : value.number;
  out.data.push_back(static_cast<double>(static_cast<float>(number)));
  return true;
}

}  // namespace

Result<Constant> read_constant(const Value& value, std::string_view what) {
  const Value* array = &value;
  const Value* name = value.find("class_name");
  if (name != nullptr && (name->text == "__numpy__" || name->text == "__tensor__")) {
    const Value* config = value.find("config");
    const Value* inner = config != nullptr ? config->find("value") : nullptr;
    if (inner != nullptr) array = inner;
  }
  Constant out;
  if (read_nested(*array, 0, out)) return out;
  return make_error(
      ErrorCode::kInvalidData,
      fmt::format("{} must be a number or an array of numbers, got {}.", what, describe(value)));
}

Constant filled(const Constant& like, double number) {
  return {like.shape, std::vector<double>(like.data.size(), number)};
}

}  // namespace convsmith::models
