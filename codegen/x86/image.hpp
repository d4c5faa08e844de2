// Functions that call each other as one image: each assembled, placed one after the other, calls resolved.
// Called by the ahead-of-time compiler.
#pragma once

#include <span>

#include "codegen/code_image.hpp"
#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"

namespace convsmith::x86 {

// Verified functions. Errors: those of assemble().
Result<CodeImage> assemble_image(std::span<const vir::Program> functions, const Target& target);

}  // namespace convsmith::x86
