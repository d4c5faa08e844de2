// The checks that a spec must pass whoever made it: sizes, combinations, names, and what the chosen rules
// refuse. Called at the end of parsing and again by make_layer_problem.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"

namespace convsmith {

inline constexpr int64_t kMaxSize = (int64_t{1} << 31) - 1;  // of each size argument
inline constexpr int64_t kMaxAxis = int64_t{1} << 40;        // of batch axes and steps
inline constexpr int64_t kMaxFloats = int64_t{1} << 40;      // products of sizes stay below it

// "must be an integer from 1 to 2147483647"
std::string size_limits_text();

// "'valid', 'same' or 'causal'", without causal where a kind of layer does not have it.
std::string_view padding_names(LayerKind kind, Rules rules);

// Arguments that the kind does not have must be left at their defaults.
Result<void> check_spec(const LayerSpec& spec, Rules rules);

}  // namespace convsmith
