// The `# run` line (vir_file.hpp) that goes with a program whose meaning is known, so that what explain
// prints is a file that runs: a call of one sample with few steps. Used by pipeline.cpp.
#pragma once

#include <string>

#include "cli/vir_file.hpp"
#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "ir/nest/nest.hpp"

namespace convsmith::cli {

// Without the '#': "run in=256 weights=256 out=256 steps=16".
std::string run_line_text(const VirCall& call);

// Of the program of a nest.
std::string nest_run_line(const ir::LoopNest& nest, const vir::Program& program, const Target& target);
// Of a program over rows (codegen/programs/row_programs.hpp), or of the transpose.
std::string rows_run_line(bool transpose, const vir::Program& program);

}  // namespace convsmith::cli
