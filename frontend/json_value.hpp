// JSON text as a tree of values. Called by parse_config and by the readers of model files.
//
// Memory and time are proportional to the text, and nesting is limited, so that recursion over the tree is
// safe. Of a key that an object has twice the last value counts, as in Python.
#pragma once

#include <cstddef>
#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/value.hpp"

namespace convsmith {

struct JsonProblem {
  Error error;
  bool is_syntax = false;  // the text is no JSON at all; something else may understand it
};

// Objects are dictionaries, arrays lists, and {"class_name": "__tuple__", "items": [...]} is a tuple. Values
// have no positions.
tl::expected<Value, JsonProblem> read_json(std::string_view text);

// Turn this: {"class_name": "__tuple__", "items": [3]}   Into this: (3,)
// and forget positions, which point into no call text.
void normalize_json(Value& value);

}  // namespace convsmith
