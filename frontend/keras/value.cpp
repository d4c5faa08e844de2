#include "frontend/keras/value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace convsmith {
namespace {

constexpr std::size_t kMaxShown = 80;

void append(std::string& out, const Value& value);

void append_items(std::string& out, const Value& value) {
  bool first = true;
  for (const Argument& item : value.items) {
    if (out.size() > kMaxShown) return;
    if (!std::exchange(first, false)) out += ", ";
    if (value.kind == Value::Kind::kDict) {
      out += quote(item.name) + ": ";
    } else if (!item.name.empty()) {
      out += item.name + "=";
    }
    append(out, item.value);
  }
}

void append(std::string& out, const Value& value) {
  using Kind = Value::Kind;
  switch (value.kind) {
    case Kind::kNone:
      out += "None";
      return;
    case Kind::kBool:
      out += value.integer != 0 ? "True" : "False";
      return;
    case Kind::kInt:
      fmt::format_to(std::back_inserter(out), "{}", value.integer);
      return;
    case Kind::kFloat:
      out += float_text(value.number);
      return;
    case Kind::kString:
      out += quote(value.text);
      return;
    case Kind::kBigInt:
    case Kind::kName:
      out += value.text;
      return;
    case Kind::kTuple:
      out += '(';
      break;
    case Kind::kList:
      out += '[';
      break;
    case Kind::kDict:
      out += '{';
      break;
    case Kind::kCall:
      out += value.text + '(';
      break;
  }
  append_items(out, value);
  if (value.kind == Kind::kTuple && value.items.size() == 1) out += ',';
  out += value.kind == Kind::kList ? ']' : value.kind == Kind::kDict ? '}' : ')';
}

}  // namespace

std::string describe(const Value& value) {
  std::string out;
  append(out, value);
  if (out.size() > kMaxShown) {
    std::size_t end = kMaxShown - 3;
    while (end > 0 && (static_cast<unsigned char>(out[end]) & 0xC0) == 0x80) --end;  // whole characters only
    out.resize(end);
    out += "...";
  }
  return out;
}

std::string float_text(double number) {
  std::string digits = fmt::format("{}", number);
  if (digits.find_first_of(".en") == std::string::npos) digits += ".0";
  return digits;
}

std::string quote(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    const auto code = static_cast<unsigned char>(c);
    if (c == '\'' || c == '\\') {
      out.push_back('\\');
      out.push_back(c);
    } else if (code < 0x20 || code == 0x7F) {
      fmt::format_to(std::back_inserter(out), "\\x{:02x}", code);
    } else {
      out.push_back(c);
    }
  }
  return out + "'";
}

}  // namespace convsmith
