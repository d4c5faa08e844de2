#include "frontend/keras/parse_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "frontend/base/utf8.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
bool is_name_part(char c) {
  return is_name_start(c) || is_digit(c);
}

int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Statement> statement() {
    skip_assignment();
    Statement out;
    Result<Value> value = parse_value();
    if (!value) return tl::unexpected(value.error());
    out.value = std::move(*value);
    while (out.value.kind == Kind::kCall && peek() == '(') {
      Value ignored;
      if (Result<void> done = parse_items(ignored, ')'); !done) return tl::unexpected(done.error());
      out.applied = true;
    }
    if (peek() == ';') ++at_;
    if (peek() != '\0' || at_ < text_.size()) return fail("Unexpected text after the end of the layer", at_);
    return out;
  }

 private:
  tl::unexpected<Error> fail(std::string_view what, std::size_t offset) const {
    return make_error(ErrorCode::kInvalidSpec, fmt::format("{} at {}.", what, position_text(text_, offset)));
  }

  // The next character that is neither space nor comment; '\0' at the end.
  char peek() {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        if (at_ == text_.size()) break;
      } else if (c == '\\' && at_ + 1 < text_.size() && text_[at_ + 1] == '\n') {
        ++at_;
      } else if (c != ' ' && c != '\t' && c != '\n' && c != '\r' && c != '\f') {
        return c;
      }
    }
    return '\0';
  }

  void skip_assignment() {
    peek();
    const std::size_t start = at_;
    if (!read_name().empty() && peek() == '=' && at_ + 1 < text_.size() && text_[at_ + 1] != '=') {
      ++at_;
    } else {
      at_ = start;
    }
  }

  std::string_view read_name() {
    const std::size_t start = at_;
    while (at_ < text_.size()) {
      if (at_ > start && text_[at_] == '.' && at_ + 1 < text_.size() && is_name_start(text_[at_ + 1])) {
        ++at_;
      } else if (at_ == start || text_[at_ - 1] == '.' ? is_name_start(text_[at_])
                                                       : is_name_part(text_[at_])) {
        ++at_;
      } else {
        break;
      }
    }
    return text_.substr(start, at_ - start);
  }

  Result<Value> parse_value() {
    if (++depth_ > kMaxNesting) {
      return fail(fmt::format("Expressions may be nested {} deep at most; this is too deep", kMaxNesting),
                  at_);
    }
    Result<Value> value = parse_any();
    --depth_;
    return value;
  }

  Result<Value> parse_any() {
    const char c = peek();
    Value value;
    value.offset = at_;
    if (c == '(') return parse_group(std::move(value));
    if (c == '[' || c == '{') {
      value.kind = c == '[' ? Kind::kList : Kind::kDict;
      if (Result<void> done = parse_items(value, c == '[' ? ']' : '}'); !done)
        return tl::unexpected(done.error());
      return value;
    }
    if (c == '\'' || c == '"') return parse_string(std::move(value), /*raw=*/false);
    if (is_digit(c) || c == '.' || c == '-' || c == '+') return parse_number(std::move(value));
    if (is_name_start(c)) return parse_name(std::move(value));
    if (c == '*') return fail("Unpacking with '*' is not supported; write the arguments out", at_);
    if (c == '\0' && at_ >= text_.size()) return fail("The text ends where a value is expected", at_);
    return fail("Expected a value", at_);
  }

  // A parenthesis: one value stays that value unless a comma makes it a tuple.
  Result<Value> parse_group(Value value) {
    value.kind = Kind::kTuple;
    bool comma = false;
    if (Result<void> done = parse_items(value, ')', &comma); !done) return tl::unexpected(done.error());
    if (value.items.size() == 1 && !comma) return std::move(value.items.front().value);
    return value;
  }

  // Everything from an opening bracket to `close`. What an item looks like follows from value.kind:
  // dictionaries have keys, calls may have names, tuples and lists have neither.
  Result<void> parse_items(Value& value, char close, bool* saw_comma = nullptr) {
    const std::size_t open = at_++;
    while (peek() != close) {
      Argument item;
      if (Result<void> done = parse_item_name(value, item); !done) return done;
      Result<Value> element = parse_value();
      if (!element) return tl::unexpected(element.error());
      item.value = std::move(*element);
      if (value.kind == Kind::kCall && item.name.empty() && !value.items.empty() &&
          !value.items.back().name.empty()) {
        return fail("A positional argument follows a keyword argument", item.value.offset);
      }
      value.items.push_back(std::move(item));
      const char next = peek();
      if (next == ',') {
        ++at_;
        if (saw_comma != nullptr) *saw_comma = true;
      } else if (next != close) {
        if (at_ >= text_.size()) {
          return fail(fmt::format("The text ends before the '{}' of the bracket that opens", close), open);
        }
        return fail(fmt::format("Expected ',' or '{}'", close), at_);
      }
    }
    ++at_;
    return {};
  }

  Result<void> parse_item_name(const Value& value, Argument& item) {
    if (value.kind == Kind::kDict) {
      Result<Value> key = parse_value();
      if (!key) return tl::unexpected(key.error());
      if (key->kind != Kind::kString)
        return fail("Expected a string as the key of a dictionary", key->offset);
      if (peek() != ':') return fail("Expected ':' after the key of a dictionary", at_);
      ++at_;
      item.name = std::move(key->text);
    } else if (value.kind == Kind::kCall && is_name_start(peek())) {
      const std::size_t start = at_;
      const std::string_view name = read_name();
      if (peek() == '=' && name.find('.') == std::string_view::npos) {
        ++at_;
        item.name = name;
      } else {
        at_ = start;
      }
    }
    return {};
  }

  Result<Value> parse_name(Value value) {
    const std::string_view name = read_name();
    if (name == "None") return value;
    if (name == "True" || name == "False") {
      value.kind = Kind::kBool;
      value.integer = name == "True" ? 1 : 0;
      return value;
    }
    if (name == "lambda") return parse_lambda(value.offset);
    const bool at_quote = at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"');
    if (at_quote) {
      if (name != "r" && name != "R" && name != "u" && name != "U") {
        return fail("Only plain strings are supported, without a prefix", value.offset);
      }
      return parse_string(std::move(value), /*raw=*/name == "r" || name == "R");
    }
    if (const std::optional<double> number = named_number(name)) {
      value.kind = Kind::kFloat;
      value.number = *number;
      return value;
    }
    value.kind = Kind::kName;
    value.text = name;
    if (peek() != '(') return value;
    value.kind = Kind::kCall;
    if (Result<void> done = parse_items(value, ')'); !done) return tl::unexpected(done.error());
    if (const std::optional<double> number = called_number(value)) {
      Value out;
      out.kind = Kind::kFloat;
      out.offset = value.offset;
      out.number = *number;
      return out;
    }
    const bool partial = value.text == "partial" || value.text == "functools.partial";
    if (partial && !value.items.empty() && value.items.front().value.kind == Kind::kName) {
      value.text = std::move(value.items.front().value.text);
      value.items.erase(value.items.begin());
      value.partial = true;
    }
    return value;
  }

  // float('inf')
  static std::optional<double> called_number(const Value& call) {
    const bool fits = call.text == "float" && call.items.size() == 1 && call.items[0].name.empty() &&
                      call.items[0].value.kind == Kind::kString;
    if (!fits) return std::nullopt;
    std::string_view word = call.items[0].value.text;
    const bool negative = word.starts_with('-');
    if (negative) word.remove_prefix(1);
    const std::optional<double> number = named_number(word);
    return number && negative ? -*number : number;
  }

  // Turn this: lambda x: f(x, a=1)   Into this: the call f(a=1), partial.
  Result<Value> parse_lambda(std::size_t offset) {
    peek();
    const std::string_view parameter = read_name();
    if (peek() != ':') return fail("Expected ':' after the parameter of the lambda", at_);
    ++at_;
    Result<Value> body = parse_value();
    if (!body) return body;
    const bool fits = body->kind == Kind::kCall && !body->partial && !body->items.empty() &&
                      body->items.front().name.empty() && body->items.front().value.kind == Kind::kName &&
                      body->items.front().value.text == parameter;
    if (!fits)
      return fail("Only a lambda of the form 'lambda x: f(x, ...)' is supported, unlike the one", offset);
    body->items.erase(body->items.begin());
    body->partial = true;
    body->offset = offset;
    return body;
  }

  // What Python prints for a number that is not finite, and what people write for it.
  static std::optional<double> named_number(std::string_view name) {
    const std::size_t dot = name.rfind('.');
    const std::string_view module = dot == std::string_view::npos ? "" : name.substr(0, dot);
    if (!module.empty() && module != "math" && module != "np" && module != "numpy") return std::nullopt;
    name.remove_prefix(dot == std::string_view::npos ? 0 : dot + 1);
    if (name == "inf" || name == "Infinity") return std::numeric_limits<double>::infinity();
    if (name == "nan" || name == "NaN") return std::numeric_limits<double>::quiet_NaN();
    return std::nullopt;
  }

  Result<Value> parse_number(Value value) {
    const bool negative = text_[at_] == '-';
    if (negative || text_[at_] == '+') ++at_;
    if (is_name_start(peek())) {
      const std::size_t start = at_;
      const std::optional<double> number = named_number(read_name());
      if (!number) return fail("Malformed number", start);
      value.kind = Kind::kFloat;
      value.number = negative ? -*number : *number;
      return value;
    }
    std::string digits;  // without underscores
    bool is_float = false;
    const std::size_t start = at_;
    const bool hex = text_.substr(at_, 2) == "0x" || text_.substr(at_, 2) == "0X";
    if (hex) at_ += 2;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      const bool exponent = !hex && (c == 'e' || c == 'E');
      const bool sign = (c == '-' || c == '+') && !hex && !digits.empty() && (digits.back() | 0x20) == 'e';
      if (c == '_' && at_ > start) continue;
      if (!is_digit(c) && !(hex && hex_digit(c) >= 0) && !(c == '.' && !hex) && !exponent && !sign) break;
      is_float = is_float || c == '.' || exponent;
      digits.push_back(c);
    }
    if (at_ < text_.size() && is_name_part(text_[at_])) return fail("Malformed number", start);
    const char* end = digits.data() + digits.size();
    std::from_chars_result read{};
    if (is_float) {
      value.kind = Kind::kFloat;
      read = std::from_chars(digits.data(), end, value.number);
      if (read.ec == std::errc::result_out_of_range) {
        return fail(fmt::format("The number {} is out of range", digits), start);
      }
      if (negative) value.number = -value.number;
    } else {
      value.kind = Kind::kInt;
      read = std::from_chars(digits.data(), end, value.integer, hex ? 16 : 10);
      if (negative) value.integer = -value.integer;
      if (read.ec == std::errc::result_out_of_range) {
        value.kind = Kind::kBigInt;
        value.text = fmt::format("{}{}{}", negative ? "-" : "", hex ? "0x" : "", digits);
      }
    }
    if (read.ptr != end || read.ec == std::errc::invalid_argument) return fail("Malformed number", start);
    return value;
  }

  Result<Value> parse_string(Value value, bool raw) {
    value.kind = Kind::kString;
    const char delimiter = text_[at_++];
    if (text_.substr(at_, 2) == std::string(2, delimiter)) {
      return fail("Strings in triple quotes are not supported", value.offset);
    }
    while (at_ < text_.size() && text_[at_] != delimiter && text_[at_] != '\n') {
      if (text_[at_] == '\\' && raw && at_ + 1 < text_.size()) {
        value.text.append(text_.substr(at_, 2));
        at_ += 2;
      } else if (text_[at_] == '\\') {
        if (Result<void> done = parse_escape(value.text); !done) return tl::unexpected(done.error());
      } else {
        value.text.push_back(text_[at_++]);
      }
    }
    if (at_ >= text_.size() || text_[at_] != delimiter) {
      return fail("The closing quote is missing for the string that opens", value.offset);
    }
    ++at_;
    return value;
  }

  Result<void> parse_escape(std::string& out) {
    const std::size_t start = at_++;
    if (at_ >= text_.size()) return fail("The text ends inside an escape", start);
    const char c = text_[at_++];
    static constexpr std::string_view kNames = "\\'\"abfnrtv0", kMeanings = "\\'\"\a\b\f\n\r\t\v\0";
    static_assert(kNames.size() == 11);
    if (const std::size_t index = kNames.find(c); index != std::string_view::npos) {
      out.push_back(c == '0' ? '\0' : kMeanings[index]);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      const std::size_t count = c == 'x' ? 2 : c == 'u' ? 4 : 8;
      uint32_t code = 0;
      for (std::size_t i = 0; i < count; ++i, ++at_) {
        const int digit = at_ < text_.size() ? hex_digit(text_[at_]) : -1;
        if (digit < 0) return fail(fmt::format("Expected {} hexadecimal digits in the escape", count), start);
        code = code * 16 + static_cast<uint32_t>(digit);
      }
      if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000))
        return fail("No such character in the escape", start);
      append_utf8(out, code);
    } else if (c != '\n') {  // a backslash before a line break joins the lines
      out.push_back('\\');
      out.push_back(c);
    }
    return {};
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace

Result<Statement> parse_statement(std::string_view text) {
  if (text.size() > kMaxTextBytes) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("The layer text has {} bytes; at most {} are read.", text.size(), kMaxTextBytes));
  }
  return Parser(text).statement();
}

std::string position_text(std::string_view text, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const std::size_t line_break = before.rfind('\n');
  const std::string_view line = line_break == std::string_view::npos ? before : before.substr(line_break + 1);
  const auto column = 1 + std::count_if(line.begin(), line.end(), [](char c) {
                        return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
                      });
  if (line_break == std::string_view::npos) return fmt::format("column {}", column);
  return fmt::format("line {}, column {}", 1 + std::count(before.begin(), before.end(), '\n'), column);
}

}  // namespace convsmith
