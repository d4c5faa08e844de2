// The main function of the benchmark programs: their options, then those of Google Benchmark.
#pragma once

#include <string>

namespace convsmith::bench {

struct Options {
  std::string backend;  // empty: not given
  std::string isa;
  std::string shapes;  // path of the table
};

// To be defined by each program: registers its benchmarks.
void add_benchmarks(const Options& options);

}  // namespace convsmith::bench
