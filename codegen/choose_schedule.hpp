// The only file with heuristics: which schedule a problem gets on a target. Correctness never
// depends on it, since every schedule computes the same bits.
#pragma once

#include "codegen/target.hpp"
#include "frontend/problem.hpp"
#include "ir/schedule.hpp"

namespace convsmith {

ir::Schedule choose_schedule(const Problem& problem, const Target& target);

}  // namespace convsmith
