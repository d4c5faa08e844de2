// JSON text as a tree of values. Called by parse_config and by the readers of model files.
//
// What is JSON is what Python writes and reads as such: NaN and the infinities are numbers, of a key that an
// object has twice the last value counts, and a byte order mark may stand in front. Memory and time are
// proportional to the text, and nesting is limited, so that recursion over the tree is safe.
#pragma once

#include <cstddef>
#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {

struct JsonProblem {
  Error error;
  bool is_syntax = false;  // the text is no JSON at all; something else may understand it
};

// Objects are dictionaries, arrays lists, and {"class_name": "__tuple__", "items": [...]} is a tuple. Values
// have no positions.
tl::expected<Value, JsonProblem> read_json(std::string_view text);

// Whether a text begins as an object does.
bool is_json_object(std::string_view text);

// Turn this: {"class_name": "__tuple__", "items": [3]}   Into this: (3,)
// and forget positions, which point into no call text.
void normalize_json(Value& value);

}  // namespace convsmith
