#include "frontend/json_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "frontend/parse_value.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;
using Json = nlohmann::json;

// Keeps the last of several entries with one name, and the order of those that stay.
void drop_repeated_keys(std::vector<Argument>& items) {
  std::vector<std::size_t> order(items.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    const int names = items[a].name.compare(items[b].name);
    return names != 0 ? names < 0 : a < b;
  });
  std::vector<bool> dropped(items.size(), false);
  bool any = false;
  for (std::size_t i = 0; i + 1 < order.size(); ++i) {
    if (items[order[i]].name != items[order[i + 1]].name) continue;
    dropped[order[i]] = true;
    any = true;
  }
  if (!any) return;
  std::vector<Argument> kept;
  for (std::size_t i = 0; i < items.size(); ++i) {
    if (!dropped[i]) kept.push_back(std::move(items[i]));
  }
  items = std::move(kept);
}

// Receives the parser's events; returning false stops it.
class Builder {
 public:
  explicit Builder(std::string_view text) : text_(text) {}

  bool null() { return add({}); }
  bool boolean(bool flag) {
    Value value;
    value.kind = Kind::kBool;
    value.integer = flag ? 1 : 0;
    return add(std::move(value));
  }
  bool number_integer(int64_t number) {
    Value value;
    value.kind = Kind::kInt;
    value.integer = number;
    return add(std::move(value));
  }
  bool number_unsigned(uint64_t number) {
    if (number <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return number_integer(static_cast<int64_t>(number));
    Value value;
    value.kind = Kind::kBigInt;
    value.text = fmt::format("{}", number);
    return add(std::move(value));
  }
  bool number_float(double number, const std::string& /*text*/) {
    Value value;
    value.kind = Kind::kFloat;
    value.number = number;
    return add(std::move(value));
  }
  bool string(std::string& text) {
    Value value;
    value.kind = Kind::kString;
    value.text = std::move(text);
    return add(std::move(value));
  }
  bool binary(Json::binary_t& /*bytes*/) { return false; }
  bool start_object(std::size_t /*size*/) { return open(Kind::kDict); }
  bool start_array(std::size_t /*size*/) { return open(Kind::kList); }
  bool key(std::string& name) {
    key_ = std::move(name);
    return true;
  }
  bool end_array() {
    Argument done = std::move(open_.back());
    open_.pop_back();
    key_ = std::move(done.name);
    return add(std::move(done.value));
  }
  bool end_object() {
    drop_repeated_keys(open_.back().value.items);
    return end_array();
  }
  bool parse_error(std::size_t position, const std::string& /*token*/, const Json::exception& problem) {
    if (dynamic_cast<const Json::parse_error*>(&problem) == nullptr) {
      problem_ = {{ErrorCode::kInvalidSpec, "The JSON text has a number out of range."}, true};
      return false;
    }
    const std::size_t offset = std::min(std::max<std::size_t>(position, 1) - 1, text_.size());
    problem_ = {{ErrorCode::kInvalidSpec,
                 fmt::format("The JSON text is malformed at {}.", position_text(text_, offset))},
                true};
    return false;
  }

  Value& root() { return root_; }
  JsonProblem& problem() { return problem_; }

 private:
  bool add(Value value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Value& parent = open_.back().value;
    parent.items.push_back({parent.kind == Kind::kDict ? std::move(key_) : std::string(), std::move(value)});
    return true;
  }
  bool open(Kind kind) {
    if (open_.size() >= static_cast<std::size_t>(kMaxNesting)) {
      problem_ = {{ErrorCode::kInvalidSpec, fmt::format("JSON may be nested {} deep at most.", kMaxNesting)},
                  false};
      return false;
    }
    open_.push_back({std::move(key_), {}});
    open_.back().value.kind = kind;
    return true;
  }

  std::string_view text_;
  std::string key_;
  std::vector<Argument> open_;  // the containers around the next value, with the keys that they will have
  Value root_;
  JsonProblem problem_;
};

}  // namespace

void normalize_json(Value& value) {
  value.offset = Value::kNowhere;
  for (Argument& item : value.items) normalize_json(item.value);
  const Value* class_name = value.find("class_name");
  const Value* items = value.find("items");
  const bool is_tuple =
      class_name != nullptr && (class_name->text == "__tuple__" || class_name->text == "TensorShape");
  if (is_tuple && items != nullptr && items->is_sequence()) {
    Value tuple = *items;
    tuple.kind = Kind::kTuple;
    value = std::move(tuple);
  }
}

tl::expected<Value, JsonProblem> read_json(std::string_view text) {
  Builder builder(text);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) {
    return tl::unexpected(std::move(builder.problem()));
  }
  normalize_json(builder.root());
  return std::move(builder.root());
}

}  // namespace convsmith
