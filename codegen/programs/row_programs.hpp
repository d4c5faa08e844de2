// The activations along the last axis in memory as programs over rows: softmax, log_softmax, sparsemax.
// Called by the runtime for OpKind::kSoftmax and its like. Formulas, accuracy, limits: docs/activations.md.
//
// A row is computed by one chain, wherever it stands and however the rows are split: the largest value (NaN
// if there is one); the sum in ascending order from +0; one division. So all numbers of lanes give the same
// bits. `in` and `out` are the same rows or do not overlap. All sizes are run-time values. Arguments
// (codegen/vir/args.def):
//   in, out                   row 0
//   steps                     floats of a row
//   in_sample, out_sample     floats from one row to the next
//   sample_begin, sample_end  rows; threads may split them as they like
//   scratch                   scratch_bytes of the program
#pragma once

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/activation.hpp"

namespace convsmith {

// kSoftmax, kLogSoftmax or kSparsemax. (kGlu is a problem: sigmoid, then a product.)
vir::Program row_program(ActivationKind kind, const Target& target);

}  // namespace convsmith
