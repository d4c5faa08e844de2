// What every back end makes of a vir program: something that runs one call of a layer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace convsmith {

// One call. Plain old data: compiled code reads it by slot, eight bytes each.
struct KernelArgs {
#define ARG(enumerator, text, type, meaning) type enumerator;
#include "codegen/vir/args.def"
#undef ARG
};

using KernelFunction = void (*)(const KernelArgs*);

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Allocates nothing, locks nothing, calls no system.
  virtual void run(const KernelArgs& args) const noexcept = 0;
  // The machine code, position-independent, where it runs. Empty for the interpreter.
  struct Code {
    std::span<const uint8_t> bytes;
    size_t entry = 0;  // where its function begins
  };
  virtual Code code() const { return {}; }
  size_t code_bytes() const { return code().bytes.size(); }
};

}  // namespace convsmith
