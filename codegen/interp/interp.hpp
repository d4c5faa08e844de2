// The interpreter: the bit-exact definition of every vir operation, the fallback where no machine
// code may run, and the judge of the other back ends.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "codegen/kernel.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith::interp {

// Verifies the program: every test of lowering passes here.
std::unique_ptr<Kernel> make_kernel(vir::Program program);

// Calls one of verified functions that call each other by name, and gives its result. Of a C function, `args`
// has its parameters. `data` gives the addresses of the data that they name.
using DataLookup = std::function<void*(const std::string& name)>;
int64_t run_function(std::span<const vir::Program> functions, std::string_view name, const KernelArgs& args,
                     const DataLookup& data);

// What one call may touch and how long it may run.
struct Bounds {
  std::array<int64_t, vir::kArgs> bytes{};  // of the arrays that pointer arguments point to
  int64_t operations = 0;                   // how many it may execute
};
// The operation at which a call was stopped, and what it would have done: "'v0 = load [p0+64]' reads 64 bytes
// at offset 64 of in, which has 96 bytes (24 floats)".
struct Fault {
  size_t instruction = 0;
  std::string what;
};
// Runs a verified program that stands alone (verify_alone) and checks each operation before it runs. A
// program that passes stays in its arrays on every back end, with whatever floats are in arrays at these
// addresses.
std::optional<Fault> run_checked(const vir::Program& program, const KernelArgs& args, const Bounds& bounds);

}  // namespace convsmith::interp
