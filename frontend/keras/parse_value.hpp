// The Python-literal parser: numbers, strings, names, tuples, lists, dictionaries and calls, as far as
// they occur in layer definitions. It knows nothing of layers. Nesting is limited, so no text can
// exhaust the stack.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "convsmith/error.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith {

inline constexpr int kMaxNesting = 64;
inline constexpr std::size_t kMaxTextBytes = std::size_t{1} << 20;

struct Statement {
  Value value;
  bool applied = false;  // the value was called again, as in Conv1D(32, 3)(x)
};

// One expression, with an optional `name =` before it and calls after it, to the end of the text.
Result<Statement> parse_statement(std::string_view text);

// "column 17", or "line 2, column 5" behind a line break. Columns count characters from 1.
std::string position_text(std::string_view text, std::size_t offset);

}  // namespace convsmith
