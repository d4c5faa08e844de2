// A run of floats to a place before it, which it may overlap: what a rolling buffer keeps goes to its front.
//
//   in, out   where the run begins, and where it goes: out <= in
//   steps     floats
#pragma once

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith {

vir::Program move_program(const Target& target);

}  // namespace convsmith
