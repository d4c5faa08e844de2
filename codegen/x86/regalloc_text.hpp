// The register allocation of a program as text: one line for each instruction, with the machine register or
// stack slot of every operand. For dumps.
#pragma once

#include <string>

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith::x86 {

// The program is well formed. Where it does not fit the registers the text is the reason.
std::string print_allocation(const vir::Program& program, const Target& target);

}  // namespace convsmith::x86
