// The C functions of an artifact with code for several CPUs: each asks once for what the CPU can do, then
// jumps to its own name with the variant's behind it ("run.avx2"). Called by the ahead-of-time compiler.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/code_image.hpp"
#include "codegen/target.hpp"

namespace convsmith::x86 {

// What an entry gives on a CPU that runs none of the variants.
struct Entry {
  std::string name;
  int64_t without;          // a number,
  std::string_view data{};  // or the address of this data
};

// The name of the zeroed 32-bit word that keeps the choice.
inline constexpr std::string_view kVariantWord = "variant";

std::string variant_name(std::string_view function, Isa isa);

// One function an entry, in that order, then the one that asks. `isas` are x86-64's.
CodeImage dispatch(std::span<const Entry> entries, std::span<const Isa> isas);

}  // namespace convsmith::x86
