// The interpreter: the bit-exact definition of every vir operation, the fallback where no machine
// code may run, and the judge of the other back ends.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "codegen/kernel.hpp"
#include "codegen/vir.hpp"

namespace convsmith::interp {

// Verifies the program: every test of lowering passes here.
std::unique_ptr<Kernel> make_kernel(vir::Program program);

// Calls one of verified functions that call each other by name, and gives its result. Of a C function, `args`
// has its parameters. `data` gives the addresses of the data that they name.
using DataLookup = std::function<void*(const std::string& name)>;
int64_t run_function(std::span<const vir::Program> functions, std::string_view name, const KernelArgs& args,
                     const DataLookup& data);

}  // namespace convsmith::interp
