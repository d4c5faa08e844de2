// The only lowering: a scheduled loop nest becomes one vir program, the complete layer for every
// batch, length and part of the output. Called by runtime/compile; fails with a sentence where the
// schedule (perhaps the user's own) does not fit the target.
#pragma once

#include <string>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"
#include "ir/nest/nest.hpp"

namespace convsmith {

// Sums under way at once in a lifted tile that slides, beside four vectors of inputs and what turns those, or
// what an activation of others needs.
int64_t most_lifted_sums(const Problem& problem, const Target& target);

// Address offsets inside a tile are 32-bit displacements.
inline constexpr int64_t kMaxOffset = int64_t{1} << 30;

// Products that a tile writes out one after the other.
inline constexpr int64_t kMostWrittenOut = 1024;

// The vectors of a window whose rows share them stand in so many sections.
inline constexpr int64_t kWindowSections = 2;

// The nest's numbers are all there (codegen/schedule/completed.hpp).
Result<vir::Program> lower(const ir::LoopNest& nest, const Target& target, std::string name);

}  // namespace convsmith
