// The files of `run`: which input or output each belongs to, what can be wrong with them before anything is
// computed, and the writing of results. Used by run.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/run.hpp"

namespace convsmith::cli {

struct RunArguments {
  CommonOptions common;
  std::vector<std::string> inputs;
  FileFormat input_format = FileFormat::kAny;  // kAny: as their names or bytes say
  std::string weights;
  std::vector<std::string> outputs;
  FileFormat output_format = FileFormat::kAny;
  std::vector<std::string> expected;
  std::string clean;
  std::string columns;
  std::string plot;
  std::optional<double> tolerance;
  double rate = 0;
  int repeat = 1;
};

// An array that output number `output` is held against.
struct Judge {
  SignalFile file;
  Tensor tensor;
  size_t output = 0;
};

// Where output number `output` goes.
struct Target {
  SignalFile file;
  size_t output = 0;
};

// Names of inputs and outputs in the order in which they are taken; none for a layer.
struct PortNames {
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
};

struct RunFiles {
  std::vector<Target> outputs;
  std::vector<ReadInput> inputs;
  std::vector<Judge> expected;
  std::optional<Judge> clean;
  double rate = 0;  // steps a second of the first input; 0: not known
};

// Checks the names of all files that will be written, then reads all others.
Result<RunFiles> open_run_files(const RunArguments& arguments, const PortNames& names);

// Whether results of these shapes go into the files, and may be held against those that were read.
Result<void> check_shapes(const RunArguments& arguments, const RunFiles& files,
                          const std::vector<RunOutput>& outputs);

// One output, with its rate of steps a second (0: not known).
Result<void> write_target(const Target& target, const Tensor& output, Layout layout, double rate);

}  // namespace convsmith::cli
