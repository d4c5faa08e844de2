// What every back end makes of a vir program: something that runs one call of a layer.
#pragma once

#include <cstddef>
#include <cstdint>

namespace convsmith {

// One call. Plain old data: compiled code reads it by slot, eight bytes each.
struct KernelArgs {
#define ARG(enumerator, text, type, meaning) type enumerator;
#include "codegen/args.def"
#undef ARG
};

using KernelFunction = void (*)(const KernelArgs*);

class Kernel {
 public:
  virtual ~Kernel() = default;
  // Allocates nothing, locks nothing, calls no system.
  virtual void run(const KernelArgs& args) const noexcept = 0;
  // Bytes of machine code, 0 for the interpreter.
  virtual size_t code_bytes() const = 0;
};

}  // namespace convsmith
