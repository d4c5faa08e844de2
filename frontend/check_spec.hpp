// The checks that a spec must pass whoever made it: sizes, combinations, names, and what the chosen rules
// refuse. Called at the end of parsing and again by make_problem.
#pragma once

#include <cstdint>
#include <string>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"

namespace convsmith {

inline constexpr int64_t kMaxSize = (int64_t{1} << 31) - 1;  // of each size argument
inline constexpr int64_t kMaxAxis = int64_t{1} << 40;        // of batch axes and steps
inline constexpr int64_t kMaxFloats = int64_t{1} << 40;      // products of sizes stay below it

// "must be an integer from 1 to 2147483647"
std::string size_limits_text();

Result<void> check_spec(const LayerSpec& spec, Rules rules);

}  // namespace convsmith
