// The only lowering: a scheduled loop nest becomes one vir program, the complete layer for every
// batch, length and part of the output. Called by runtime/compile; fails with a sentence where the
// schedule (perhaps the user's own) does not fit the target.
#pragma once

#include <algorithm>
#include <bit>
#include <string>

#include "codegen/target.hpp"
#include "codegen/vir.hpp"
#include "convsmith/error.hpp"
#include "ir/nest.hpp"

namespace convsmith {

// Sums under way at once in a lifted tile that slides, beside four vectors of inputs and what turns those.
inline int64_t most_lifted_sums(const Target& target) {
  return target.vector_registers - 8;
}

// Products that a tile writes out one after the other.
inline constexpr int64_t kMostWrittenOut = 1024;

// The vectors of a window whose rows share them stand in so many sections.
inline constexpr int64_t kWindowSections = 2;

// Bytes: channels-first rows a multiple of this apart share sets of the first cache, more of them than it has
// ways, if there are so many rows at all: a way is a page.
inline int64_t meeting_distance(const Problem& p, const Target& target) {
  const auto fitting = static_cast<uint64_t>(target.l1_bytes / p.group_channels());
  return std::max<int64_t>(64, static_cast<int64_t>(2 * std::bit_floor(fitting)));
}
inline bool rows_may_meet(const Problem& p, const Target& target) {
  constexpr int64_t kPage = 4096;
  return meeting_distance(p, target) <= kPage;
}

Result<vir::Program> lower(const ir::LoopNest& nest, const Target& target, std::string name);

}  // namespace convsmith
