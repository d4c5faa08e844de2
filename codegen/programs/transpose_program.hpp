// The program that lets the rows and columns of matrices change places: channels last to channels first and
// back, Permute((2, 1)). Called by the runtime for OpKind::kTranspose.
//
// For each sample, out[column][row] = in[row][column]; both have neighbouring floats in their last axis. `in`
// and `out` may not overlap. Ranges of samples, rows and columns may be split over threads as they like;
// nothing outside them is read or written. All sizes are run-time values. Arguments (codegen/vir/args.def):
//   in, out                   sample 0, row 0, column 0
//   in_sample, out_sample     floats from one sample to the next
//   in_channel                floats from one row of the input to the next
//   out_channel               floats from one row of the output, a column of the input, to the next
//   sample_begin, sample_end  samples
//   step_begin, step_end      rows of the input
//   block_begin, block_end    columns of the input
//   scratch                   scratch_bytes of the program
#pragma once

#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"

namespace convsmith {

vir::Program transpose_program(const Target& target);

}  // namespace convsmith
