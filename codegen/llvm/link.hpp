// Links an object in memory into an image that runs at any address. Called by module.cpp.
#pragma once

#include <llvm/Support/MemoryBufferRef.h>

#include <span>
#include <string>

#include "codegen/code_image.hpp"
#include "convsmith/error.hpp"

namespace convsmith::llvm_backend {

// `object` is ELF for x86-64 or AArch64. What it refers to outside of itself stays open in the image, whose
// functions are those named, in that order.
Result<CodeImage> link_object(llvm::MemoryBufferRef object, std::span<const std::string> functions);

}  // namespace convsmith::llvm_backend
