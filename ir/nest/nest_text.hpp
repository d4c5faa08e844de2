// A nest as text, for dumps, tests and as input. The problem is its text, the loops stand outside
// in; what follows '#' is a comment. parse(print(nest)) gives the nest again.
//
//   nest keras.layers.Conv1D(64, 5, padding='same', input_shape=(None, 64)) {
//     for n
//     for g = 0..1
//     band
//     for f = 0..64 step 32
//     for o step 14
//     tile o1 = 0..14
//     tile f1 = 0..32 step 16
//     lanes f2 = 0..16
//     for r = taps*64 step 2
//     unroll r1 = 0..2
//   }
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "ir/nest/nest.hpp"

namespace convsmith::ir {

std::string print(const LoopNest& nest);

// The parsed nest is verified. Errors name the line.
Result<LoopNest> parse_nest(std::string_view text);

// Several nests, one behind the other. Where a line `layer TEXT` stands before them they are all the nests of
// that layer, in the order in which it is computed.
struct NestList {
  std::string layer;  // call text; empty: not given
  std::vector<LoopNest> nests;
};
// At least one.
Result<NestList> parse_nests(std::string_view text);

}  // namespace convsmith::ir
