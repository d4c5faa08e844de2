// The environment variables that the library and the program read, what may stand in each, and whether what
// stands there is that. Who reads one asks the parser that is here or named here; `convsmith info` shows all.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "convsmith/error.hpp"

namespace convsmith {

struct EnvironmentVariable {
  const char* name;
  const char* legal;  // "0, 1 or 2"
  // A sentence that says what is wrong with a value, which is not empty.
  Result<void> (*check)(const std::string& value);
};
std::span<const EnvironmentVariable> environment_variables();

// CONVSMITH_VERBOSE
Result<int> parse_verbose_level(std::string_view text);
// CONVSMITH_NUM_THREADS
inline constexpr int kMostThreads = 1024;
Result<int> parse_thread_count(std::string_view text);

}  // namespace convsmith
