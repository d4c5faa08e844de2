// The back ends and instruction sets that this machine and build run. Used by verify, compare and the
// benchmarks.
#pragma once

#include <string>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/options.hpp"

namespace convsmith::cli {

struct BackEnd {
  Backend backend;
  Isa isa;
  bool operator==(const BackEnd&) const = default;
};
std::string back_end_name(BackEnd back_end);  // "xbyak avx2"

// Refuses a back end named by the user that can't make code here; what it leaves to kAuto is no mistake.
Result<void> check_named(Backend backend, Isa isa);

// Every pair that this machine and build run, the interpreter on the best instruction set first; kAuto does
// not restrict. `isa` beyond the CPU's leaves the interpreter alone.
std::vector<BackEnd> available_back_ends(Backend backend, Isa isa);

}  // namespace convsmith::cli
