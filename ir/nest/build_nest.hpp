// The naive nest of a problem: six loops, obviously right, nothing tuned.
#pragma once

#include "ir/nest/nest.hpp"

namespace convsmith::ir {

LoopNest build_nest(const Problem& problem);

}  // namespace convsmith::ir
