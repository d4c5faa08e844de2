// The interpreter: the bit-exact definition of every vir operation, the fallback where no machine
// code may run, and the judge of the other back ends.
#pragma once

#include <memory>

#include "codegen/kernel.hpp"
#include "codegen/vir.hpp"

namespace convsmith::interp {

// The program is verified.
std::unique_ptr<Kernel> make_kernel(vir::Program program);

}  // namespace convsmith::interp
