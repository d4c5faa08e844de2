#include "frontend/keras/json_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "frontend/base/utf8.hpp"
#include "frontend/keras/parse_value.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

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

// Reads as Python's json module does: NaN, Infinity and -Infinity are numbers, 1e400 is infinite, integers
// have any length, and half a surrogate pair is a character (here U+FFFD, which all texts may hold).
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text), at_(text.starts_with(kByteOrderMark) ? 3 : 0) {}

  tl::expected<Value, JsonProblem> read() {
    Value root;
    if (read_value(root)) skip_space();
    if (!failed_ && at_ < text_.size()) fail();
    if (failed_) return tl::unexpected(std::move(problem_));
    return root;
  }

 private:
  bool fail(std::string sentence, bool is_syntax) {
    if (!failed_) problem_ = {{ErrorCode::kInvalidSpec, std::move(sentence)}, is_syntax};
    failed_ = true;
    return false;
  }
  bool fail() {
    return fail(fmt::format("The JSON text is malformed at {}.", position_text(text_, at_)), true);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() { at_ = std::min(text_.find_first_not_of(" \t\r\n", at_), text_.size()); }
  bool take(std::string_view word) {
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }

  bool read_value(Value& out) {
    skip_space();
    const char c = peek();
    if (c == '{' || c == '[') return read_container(out, c == '{' ? Kind::kDict : Kind::kList);
    if (c == '"') {
      out.kind = Kind::kString;
      return read_string(out.text);
    }
    if (take("null")) return true;
    if (c == 't' || c == 'f') {
      out.kind = Kind::kBool;
      out.integer = c == 't' ? 1 : 0;
      return take(c == 't' ? "true" : "false") || fail();
    }
    constexpr double kInfinity = std::numeric_limits<double>::infinity();
    if (take("NaN")) return set_float(out, std::numeric_limits<double>::quiet_NaN());
    if (take("Infinity")) return set_float(out, kInfinity);
    if (take("-Infinity")) return set_float(out, -kInfinity);
    return read_number(out);
  }

  static bool set_float(Value& out, double number) {
    out.kind = Kind::kFloat;
    out.number = number;
    return true;
  }

  bool read_container(Value& out, Kind kind) {
    if (++depth_ > kMaxNesting)
      return fail(fmt::format("JSON may be nested {} deep at most.", kMaxNesting), false);
    out.kind = kind;
    const char close = kind == Kind::kDict ? '}' : ']';
    ++at_;
    skip_space();
    while (peek() != close) {
      Argument item;
      if (kind == Kind::kDict && !read_key(item.name)) return false;
      if (!read_value(item.value)) return false;
      out.items.push_back(std::move(item));
      skip_space();
      if (peek() == close) break;
      if (!take(",")) return fail();
      skip_space();
      if (peek() == close) return fail();
    }
    ++at_;
    --depth_;
    if (kind == Kind::kDict) drop_repeated_keys(out.items);
    return true;
  }

  bool read_key(std::string& out) {
    if (peek() != '"') return fail();
    if (!read_string(out)) return false;
    skip_space();
    return take(":") || fail();
  }

  bool skip_digits() {
    const std::size_t start = at_;
    at_ = std::min(text_.find_first_not_of("0123456789", at_), text_.size());
    return at_ > start || fail();
  }

  bool read_number(Value& out) {
    const std::size_t start = at_;
    take("-");
    if (!take("0") && !skip_digits()) return false;
    bool is_float = false;
    if (take(".")) {
      is_float = true;
      if (!skip_digits()) return false;
    }
    if (peek() == 'e' || peek() == 'E') {
      is_float = true;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!skip_digits()) return false;
    }
    const std::string token(text_.substr(start, at_ - start));
    const char* const end = token.data() + token.size();
    if (is_float) {
      double number = 0;
      // Out of range is infinite or 0, which from_chars leaves open and strtod knows.
      if (std::from_chars(token.data(), end, number).ec != std::errc())
        number = std::strtod(token.c_str(), nullptr);
      return set_float(out, number);
    }
    out.kind = Kind::kInt;
    if (std::from_chars(token.data(), end, out.integer).ec == std::errc()) return true;
    out.kind = Kind::kBigInt;
    out.text = token;
    return true;
  }

  bool read_string(std::string& out) {
    ++at_;
    while (true) {
      const auto c = static_cast<unsigned char>(peek());
      if (c == '"') break;
      if (c < 0x20) return fail();  // the end, too
      if (c == '\\') {
        if (!read_escape(out)) return false;
        continue;
      }
      const std::size_t length = utf8_length(text_.substr(at_));
      if (length == 0) return fail();
      out.append(text_.substr(at_, length));
      at_ += length;
    }
    ++at_;
    return true;
  }

  bool read_escape(std::string& out) {
    ++at_;
    constexpr std::string_view kNames = "\"\\/bfnrt";
    constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
    if (const std::size_t index = kNames.find(peek());
        index != std::string_view::npos && at_ < text_.size()) {
      out.push_back(kMeanings[index]);
      ++at_;
      return true;
    }
    uint32_t code = 0;
    if (!take("u")) return fail();
    if (!read_hex(code)) return false;
    const std::size_t behind = at_;
    uint32_t low = 0;
    if (code >= 0xD800 && code < 0xDC00 && take("\\u")) {
      if (!read_hex(low)) return false;
      const bool is_pair = low >= 0xDC00 && low < 0xE000;
      if (is_pair) code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
      if (!is_pair) at_ = behind;
    }
    append_utf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : code);
    return true;
  }

  bool read_hex(uint32_t& code) {
    const std::string_view digits = text_.substr(at_, 4);
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
    if (digits.size() < 4 || read.ec != std::errc() || read.ptr != digits.data() + 4) return fail();
    at_ += 4;
    return true;
  }

  std::string_view text_;
  std::size_t at_;
  int depth_ = 0;
  bool failed_ = false;
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
  tl::expected<Value, JsonProblem> value = Reader(text).read();
  if (value) normalize_json(*value);
  return value;
}

bool is_json_object(std::string_view text) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const std::size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '{';
}

}  // namespace convsmith
