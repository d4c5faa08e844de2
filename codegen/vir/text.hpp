// vir as text: the same form for dumps, tests and input. parse(print(p)) prints the same text again.
//
//   vir NAME lanes 16 scratch 0 {
//     p0 = arg.ptr in
//     i0 = int 5
//     loop i0 taps {
//       v0 = fma v1 v2 v0
//       store [p0+64] v0
//     }
//   }
#pragma once

#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"

namespace convsmith::vir {

std::string print(const Program& program);
std::string print(const Program& program, const Inst& inst);  // one line, no indentation

// The parsed program is verified. Errors name the line.
Result<Program> parse(std::string_view text);

// A program of a text that holds one or several, one behind the other.
struct Listing {
  Program program;
  std::vector<int> lines;  // of each instruction in the whole text, from 1
  std::string text;        // its own, with the comments before it; of the last one also those behind it
};
// At least one.
Result<std::vector<Listing>> parse_listings(std::string_view text);

}  // namespace convsmith::vir
