// Links an object in memory into code memory. Called by module.cpp.
#pragma once

#include <llvm/Support/MemoryBufferRef.h>

#include <string_view>

#include "codegen/code_memory.hpp"
#include "convsmith/error.hpp"

namespace convsmith::llvm_backend {

struct LinkedCode {
  CodeBlock block;         // code and its constants
  const std::byte* entry;  // in the execute view of the block
};

// `object` is ELF for x86-64 and needs no symbol from outside. Everything it allocates goes into one
// block, so distances fit 32 bits wherever the arena lies.
Result<LinkedCode> link_object(llvm::MemoryBufferRef object, std::string_view entry, CodeMemory& memory);

}  // namespace convsmith::llvm_backend
