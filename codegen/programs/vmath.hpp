// The activations as short straight-line vir programs, the same for every back end, so that all of
// them give the same bits. Called by lower for each output vector. Accuracy and the shape of each
// program: docs/activations.md.
//
// Promises: at most 2 ULP for exponential and tanh, 3 for sigmoid, 4 for the others, against exact
// arithmetic on all finite x whose exact result is not denormal; limits at +-inf; NaN in, NaN out;
// odd functions keep the sign of zero. Parameters are constants of the program.
#pragma once

#include "codegen/vir/builder.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/activation.hpp"

namespace convsmith {

// Appends the program for one vector and returns the register of the result: x itself for kLinear, a
// new one otherwise. x is not written. Elementwise kinds only; the others: row_programs.hpp. Needs at most
// vmath::kMaxLive registers at a time, x included.
vir::V emit_activation(vir::Builder& builder, const Activation& activation, vir::V x);

// log x for finite x >= 1, at most 2 ULP; NaN in, NaN out. The log of log_softmax, whose sums hold an exp(0).
vir::V emit_log(vir::Builder& builder, vir::V x);

// True where the program is a handful of additions, products, clamps and selections and needs at most
// two vectors beside x: it can be applied to accumulators while all the others stay in registers.
bool is_cheap(const Activation& activation);

namespace vmath {

constexpr int kMaxLive = 13;

// What one program costs: instructions without constants, constants, and the largest number of vector
// and mask registers that hold a value at the same time, x included until its last use.
struct Cost {
  int operations = 0;
  int constants = 0;
  int live_registers = 0;
  bool divides = false;  // has a division or a square root
};
Cost cost(const Activation& activation);

}  // namespace vmath
}  // namespace convsmith
