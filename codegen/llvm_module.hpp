// The contract between the library and the LLVM module (libconvsmith_llvm.so), which is opened on
// first use so that processes that never ask for LLVM never load it. The module exports one symbol,
// kLlvmModuleSymbol, of type LlvmModule. Opened by llvm_loader.cpp, filled in by llvm/module.cpp.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/code_image.hpp"
#include "codegen/kernel.hpp"
#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"

namespace convsmith {

struct LlvmModule {
  // Both sides must come from one build: the first member, read before anything else is trusted.
  uint64_t build_id;
  // Tells its machine code from that of any other build, and of any other LLVM below it (code_id.hpp).
  std::string (*code_id)();
  // Machine code for verified functions, which may call each other; where it is to be shipped, with unwind
  // tables and what hardened links ask for. Thread-safe, as all of these.
  Result<CodeImage> (*compile)(std::span<const vir::Program> functions, const Target& target, bool to_ship);
  // The LLVM IR as text, before code generation, and the assembly after it.
  std::string (*print_ir)(std::span<const vir::Program> functions, const Target& target, bool to_ship);
  Result<std::string> (*print_assembly)(std::span<const vir::Program> functions, const Target& target);
  // An archive (.a) with a symbol table, of one object.
  Result<std::vector<uint8_t>> (*make_archive)(const std::string& member, std::span<const uint8_t> object);
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
#include "codegen/vir/ops.def"
#undef OP
#define ARG(enumerator, text, type, meaning) add(text), add(#type);
#include "codegen/vir/args.def"
#undef ARG
  for (const size_t bytes : {sizeof(vir::Program), sizeof(vir::Inst), sizeof(Target), sizeof(CodeImage),
                             sizeof(KernelArgs), sizeof(Error), sizeof(LlvmModule)}) {
    hash = (hash ^ bytes) * 0x100000001b3;
  }
  return hash;
}

}  // namespace convsmith
