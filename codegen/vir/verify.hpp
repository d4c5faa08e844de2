// Checks that a vir program is well formed. A program that lower or vmath built and that fails is a bug of
// ours; one that came as text is a user's mistake, hence the Result. What becomes of our own schedules is
// verified where it is interpreted, as the tests and `convsmith verify` do, and not on its way to machine
// code: that would take a tenth of the time that compiling takes. Of others' schedules, and in artifacts,
// every program is. Offsets of addresses are checked where they are encoded, too.
#pragma once

#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"

namespace convsmith::vir {

// Blocks nest and close; registers are in range and written on every path before they are read;
// loop counters are not written in their blocks; constants are in the range their operation allows.
Result<void> verify(const Program& program);

// Whether a verified program runs without others: it calls none and is none's part.
Result<void> verify_alone(const Program& program);

}  // namespace convsmith::vir
