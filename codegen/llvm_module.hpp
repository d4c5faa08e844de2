// The contract between the library and the LLVM module (libconvsmith_llvm.so), which is opened on
// first use so that processes that never ask for LLVM never load it. The module exports one symbol,
// kLlvmModuleSymbol, of type LlvmModule. Opened by llvm_loader.cpp, filled in by llvm/module.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "codegen/code_memory.hpp"
#include "codegen/kernel.hpp"
#include "codegen/target.hpp"
#include "codegen/vir.hpp"
#include "convsmith/error.hpp"

namespace convsmith {

struct LlvmModule {
  // Both sides must come from one build: the first member, read before anything else is trusted.
  uint64_t build_id;
  // Machine code for the verified `program`, placed in `memory`. Thread-safe.
  Result<std::unique_ptr<Kernel>> (*compile)(const vir::Program& program, const Target& target,
                                             CodeMemory& memory);
  // The LLVM IR of `program` as text, before code generation. Thread-safe.
  std::string (*print_ir)(const vir::Program& program, const Target& target);
};

constexpr const char* kLlvmModuleSymbol = "convsmith_llvm_module";

// A hash (FNV-1a) of what both sides must agree on: compiler, operations, arguments, shared types.
constexpr uint64_t llvm_build_id() {
  uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&](std::string_view text) {
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    hash = (hash ^ 0xff) * 0x100000001b3;
  };
  add(__VERSION__);
#define OP(enumerator, text, signature, meaning) add(text), add(signature), add(meaning);
#include "codegen/vir_ops.def"
#undef OP
#define ARG(enumerator, text, type, meaning) add(text), add(#type);
#include "codegen/args.def"
#undef ARG
  for (const size_t bytes : {sizeof(vir::Program), sizeof(vir::Inst), sizeof(Target), sizeof(CodeMemory),
                             sizeof(CodeBlock), sizeof(KernelArgs), sizeof(Error), sizeof(LlvmModule)}) {
    hash = (hash ^ bytes) * 0x100000001b3;
  }
  return hash;
}

}  // namespace convsmith
