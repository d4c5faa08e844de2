// The table of layer shapes from published networks (shapes.csv) that the benchmarks go through.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "cli/shapes.hpp"

namespace convsmith::bench {

using Shape1d = cli::ShapeRow;

// The rows of the table. Prints what is wrong with it and exits.
inline std::vector<Shape1d> read_shapes(const std::string& path = CONVSMITH_BENCH_SHAPES) {
  auto rows = cli::read_shapes(path);
  if (rows) return std::move(*rows);
  std::fprintf(stderr, "%s\n", rows.error().message.c_str());
  std::exit(2);
}

}  // namespace convsmith::bench
