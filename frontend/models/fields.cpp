#include "frontend/models/fields.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "frontend/keras/check_spec.hpp"

namespace convsmith::models {
namespace {

using Kind = Value::Kind;

bool is_integer(const Value& value, int64_t least, int64_t most) {
  return value.kind == Kind::kInt && value.integer >= least && value.integer <= most;
}

}  // namespace

tl::unexpected<Error> Fields::refuse(std::string_view key, const Value& value, std::string_view wanted,
                                     ErrorCode code) {
  return make_error(code, fmt::format("`{}` {}, got {}.", key, wanted, describe(value)));
}

Result<int64_t> Fields::single(std::string_view key, int64_t otherwise, int64_t least, int64_t most) const {
  const Value* value = find(key);
  if (value == nullptr || value->kind == Kind::kNone) return otherwise;
  const bool is_list = value->is_sequence() && value->items.size() == 1;
  const Value& item = is_list ? value->items.front().value : *value;
  if (is_integer(item, least, most)) return item.integer;
  return refuse(key, *value, fmt::format("must be an integer from {} to {}", least, most));
}

Result<std::vector<int64_t>> Fields::integers(std::string_view key, int64_t least, int64_t most) const {
  const Value* value = find(key);
  if (value == nullptr) return make_error(ErrorCode::kInvalidData, fmt::format("`{}` is missing.", key));
  const bool fits = value->is_sequence() && value->items.size() <= 8 &&
                    std::all_of(value->items.begin(), value->items.end(),
                                [&](const Argument& item) { return is_integer(item.value, least, most); });
  if (!fits) return refuse(key, *value, fmt::format("must be a list of integers from {} to {}", least, most));
  std::vector<int64_t> out;
  for (const Argument& item : value->items) out.push_back(item.value.integer);
  return out;
}

Result<std::pair<int64_t, int64_t>> Fields::pair(std::string_view key, int64_t otherwise) const {
  const Value* value = find(key);
  if (value == nullptr) return std::pair(otherwise, otherwise);
  if (is_integer(*value, 0, kMaxSize)) return std::pair(value->integer, value->integer);
  const bool fits = value->is_sequence() && value->items.size() == 2 &&
                    is_integer(value->items[0].value, 0, kMaxSize) &&
                    is_integer(value->items[1].value, 0, kMaxSize);
  if (!fits) return refuse(key, *value, "must be an integer or two, none negative");
  return std::pair(value->items[0].value.integer, value->items[1].value.integer);
}

Result<int64_t> Fields::axis(std::string_view key, int64_t otherwise) const {
  const Value* value = find(key);
  if (value != nullptr && value->is_sequence() && value->items.size() > 1)
    return refuse(key, *value, "may be one axis only", ErrorCode::kUnsupported);
  return single(key, otherwise, -8, 8);
}

Result<std::vector<int64_t>> Fields::axes(std::string_view key) const {
  const Value* value = find(key);
  if (value != nullptr && value->is_sequence()) {
    Result<std::vector<int64_t>> axes = integers(key, -8, 8);
    const bool fits = axes && !axes->empty() && std::set(axes->begin(), axes->end()).size() == axes->size();
    return fits || !axes ? axes : refuse(key, *value, "must be a list of axes, no two alike");
  }
  Result<int64_t> axis = single(key, -1, -8, 8);
  if (!axis) return tl::unexpected(axis.error());
  return std::vector<int64_t>{*axis};
}

Result<double> Fields::number(std::string_view key, double otherwise) const {
  const Value* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->kind == Kind::kFloat) return value->number;
  if (value->kind == Kind::kInt) return static_cast<double>(value->integer);
  return refuse(key, *value, "must be a number");
}

Result<bool> Fields::flag(std::string_view key, bool otherwise) const {
  const Value* value = find(key);
  if (value == nullptr) return otherwise;
  if (value->kind == Kind::kBool) return value->integer != 0;
  return refuse(key, *value, "must be true or false");
}

Result<std::string> Fields::choice(std::string_view key,
                                   std::initializer_list<std::string_view> words) const {
  const Value* value = find(key);
  if (value == nullptr || value->kind == Kind::kNone) return std::string(*words.begin());
  if (value->kind == Kind::kString) {
    std::string lower = value->text;
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (std::find(words.begin(), words.end(), lower) != words.end()) return lower;
  }
  return refuse(key, *value, fmt::format("must be one of '{}'", fmt::join(words, "', '")));
}

Result<DataFormat> Fields::data_format() const {
  Result<std::string> word = choice("data_format", {"channels_last", "channels_first"});
  if (!word) return tl::unexpected(word.error());
  return *word == "channels_last" ? DataFormat::kChannelsLast : DataFormat::kChannelsFirst;
}

Result<Shape> Fields::shape(std::string_view key) const {
  const Value& value = *find(key);
  const bool fits = value.is_sequence() && value.items.size() <= 8 &&
                    std::all_of(value.items.begin(), value.items.end(), [](const Argument& item) {
                      return item.value.kind == Kind::kNone || is_integer(item.value, 0, kMaxAxis);
                    });
  if (!fits) return refuse(key, value, "must be a list of at most 8 sizes or null");
  Shape out;
  for (const Argument& item : value.items) {
    out.push_back(item.value.kind == Kind::kNone ? std::nullopt : std::optional(item.value.integer));
  }
  return out;
}

}  // namespace convsmith::models
