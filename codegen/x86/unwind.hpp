// How debuggers and profilers find their way out of our functions: DWARF call frame information, as the
// .eh_frame section of an object holds it. DWARF 5 section 6.4, System V ABI for AMD64 section 4.2.4.
#pragma once

#include <span>

#include "codegen/code_image.hpp"
#include "codegen/x86/machine_code.hpp"

namespace convsmith::x86 {

CodeImage::Unwind unwind_table(std::span<const MachineCode> codes,
                               std::span<const CodeImage::Function> functions);

}  // namespace convsmith::x86
