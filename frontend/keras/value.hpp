// A tree of Python literals: what call text and JSON have in common before arguments get a meaning.
// Made by parse_value (Python text) and parse_config (JSON); read by the binding of arguments.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace convsmith {

struct Argument;

struct Value {
  enum class Kind : uint8_t {
    kNone,
    kBool,
    kInt,
    kBigInt,  // does not fit 64 bits; `text` has the digits
    kFloat,
    kString,
    kName,  // a dotted name, such as tf.nn.relu
    kTuple,
    kList,
    kDict,
    kCall  // `text` is the dotted name that is called
  };
  static constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

  Kind kind = Kind::kNone;
  // A call that still waits for its first argument: lambda x: f(x, a=1), or partial(f, a=1).
  bool partial = false;
  std::size_t offset = kNowhere;  // into the text; JSON values are nowhere
  int64_t integer = 0;            // kBool, kInt
  double number = 0.0;            // kFloat
  std::string text;
  std::vector<Argument> items;  // elements, entries or arguments

  bool is_sequence() const { return kind == Kind::kTuple || kind == Kind::kList; }
  // The entry of a dictionary, or null.
  const Value* find(std::string_view key) const;
};

struct Argument {
  std::string name;  // empty: positional, or an element
  Value value;
};

inline const Value* Value::find(std::string_view key) const {
  for (const Argument& item : items) {
    if (kind == Kind::kDict && item.name == key) return &item.value;
  }
  return nullptr;
}

// The value as Python would show it, cut to a length that suits a message.
std::string describe(const Value& value);

// A Python float literal: the shortest that reads back as the same number.
std::string float_text(double number);

// A Python string literal in single quotes.
std::string quote(std::string_view text);

}  // namespace convsmith
