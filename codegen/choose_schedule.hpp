// The only file with heuristics: which schedule a problem gets on a target. Correctness never
// depends on it, since every schedule computes the same bits.
#pragma once

#include "codegen/target.hpp"
#include "frontend/problem.hpp"
#include "ir/schedule.hpp"

namespace convsmith {

// `weights_of`: where kernels for several targets read the same packed weights, the target for whose kernel
// their order is chosen; the others follow it.
ir::Schedule choose_schedule(const Problem& problem, const Target& target,
                             const Target* weights_of = nullptr);

}  // namespace convsmith
