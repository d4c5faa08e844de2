// The Xbyak back end: vir program in, AVX2 or AVX-512 machine code out. Pure: the bytes are
// position-independent and become code only once somebody publishes them (machine_kernel, an object
// file). Used by runtime/ and by the ahead-of-time writer.
#pragma once

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "codegen/x86/machine_code.hpp"
#include "convsmith/error.hpp"

namespace convsmith::x86 {

// The program is well formed. Errors: kUnavailable for a target without AVX2, kUnsupported for a program
// of another number of lanes or one whose vectors do not fit the registers.
Result<MachineCode> assemble(const vir::Program& program, const Target& target);

}  // namespace convsmith::x86
