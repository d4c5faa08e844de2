// The instruction set of nests and programs from files: what the caller names, else the one that has their
// number of lanes.
#pragma once

#include "cli/load_spec.hpp"
#include "convsmith/options.hpp"

namespace convsmith::cli {

// kAuto where none has.
Isa isa_of(const NestFile& file, Isa asked);
Isa isa_of(const VirFile& file, Isa asked);

}  // namespace convsmith::cli
