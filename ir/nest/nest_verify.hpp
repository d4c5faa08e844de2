// Checks that a nest computes its problem in strict order and has a shape that lower can compile.
#pragma once

#include "convsmith/error.hpp"
#include "ir/nest/nest.hpp"

namespace convsmith::ir {

// Every dimension runs to step 1; each step divides the step outside it; the reduction is in
// ascending (tap, channel) order inside all loops that a tile needs; lanes, tile and unroll loops
// appear at most once a dimension and are innermost of theirs.
Result<void> verify(const LoopNest& nest);

// What lower needs beyond that: a band loop, one lanes loop, serial output loops outside, then tile
// and lanes loops, then the reduction.
Result<void> verify_lowerable(const LoopNest& nest);

}  // namespace convsmith::ir
