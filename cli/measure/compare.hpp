// The comparison of back ends on one layer or model: what each costs to compile, how fast it runs, whether
// its bits are those of the interpreter. Used by the compare subcommand (compare.cpp) and its tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/measure/measure.hpp"
#include "cli/verify/check_graph.hpp"

namespace convsmith::cli {

struct CompareRow {
  BackEnd back_end;
  double compile_us = 0;
  std::optional<double> cache_hit_us;  // none where nothing is cached: nests and vector programs
  size_t code_bytes = 0;
  Timing timing;
  double operations = 0;  // floating-point operations of the timed call; 0: not known
  int64_t batch = 0;      // of the timed call
  int64_t steps = 0;
  bool bit_equal = false;
  int64_t max_ulp = 0;

  double gflops() const { return operations / timing.min_us * 1e-3; }
  // Of the peak of this row's own instruction set, which is at least what the row itself reached.
  double peak_share() const {
    return timing.peak_gflops > 0 ? std::min(gflops() / timing.peak_gflops, 1.0) : 0;
  }
};

struct Comparison {
  std::string spec;
  int64_t batch = 0;
  int64_t steps = 0;
  int threads = 1;
  std::string cpu;
  std::vector<CompareRow> rows;
  std::vector<std::string> notes;  // whole sentences

  double peak_gflops() const;  // the highest of the rows
};

nlohmann::json as_json(const Comparison& comparison);
std::string as_table(const Comparison& comparison);
// A self-contained page: bars of GF/s and of the share of the peak, then the table.
std::string as_html(const Comparison& comparison);

// How a row's output differs from what is expected: the largest distance in floats, counted along the number
// line (0: equal bits, all NaNs count as one).
int64_t largest_ulp(const std::vector<float>& expected, const std::vector<float>& found);

// Median times of `repeats` fresh compilations and of lookups in the cache.
struct CompileCost {
  double compile_us = 0;
  std::optional<double> cache_hit_us;
};

struct CompareCall {
  int64_t batch = 1;
  int64_t steps = 0;
  int threads = 1;
  uint64_t seed = 0;
  double seconds = 0.3;  // for each row
  Denormals denormals = Denormals::kKeep;
};
using CompileTimer = std::function<Result<CompileCost>(BackEnd)>;
// Fills rows and notes; operations are twice the multiply-adds. The first variant is the interpreter. Arrays
// begin at multiples of 64 bytes.
Result<void> compare_variants(const std::vector<Variant>& variants, const CompareCall& call,
                              const CompileTimer& compile_timer, Comparison& comparison);

// Model name of this CPU, as the system tells it.
std::string cpu_name();

}  // namespace convsmith::cli
