// The numbers of a nest that its schedule leaves open, filled in for a target: what `lower` compiles, and
// `explain` shows. Facts of the register tile or of scratch that each have a best value, which a search may
// change; see kStepNumbers for their meaning.
#pragma once

#include "codegen/target.hpp"
#include "ir/nest/nest.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith {

// What the nest says itself stays. One that is not lowerable (ir/nest/nest_verify.hpp) stays as it is.
ir::LoopNest completed(ir::LoopNest nest, const Target& target);

// The schedule that makes `nest`, a completed one, with all of its numbers: steps and numbers that `schedule`
// leaves open are added.
ir::Schedule with_numbers(ir::Schedule schedule, const ir::LoopNest& nest);

}  // namespace convsmith
