// What was measured: layers, and on each of them convsmith and its peers. A plain value that goes to JSON and
// back; every share and ratio is worked out from it here and nowhere else. Made by measure_row, or read from
// a file; read by the reports and by find_slower.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/shapes.hpp"
#include "convsmith/error.hpp"
#include "frontend/problem.hpp"

namespace convsmith::bench {

inline constexpr const char* kOurs = "convsmith";

// Where the arrays of a call live between two of its runs.
enum class Level { kL1, kL2, kL3, kMemory };
inline constexpr int kLevels = 4;
std::string level_name(Level level);

// One library on one layer.
struct Entry {
  std::string name;     // "oneDNN nhwc"
  std::string library;  // "oneDNN"; kOurs
  Layout layout = Layout::kChannelsLast;
  double min_us = 0;
  double p50_us = 0;
  double create_us = 0;   // from a description and weights to something that runs
  double difference = 0;  // largest from ours, of the largest value of ours
  double ours_us = 0;     // ours in the same rounds, where those were not the row's own; else 0
  std::string problem;    // why the figures must not be used; empty: they may

  bool is_valid() const { return problem.empty() && min_us > 0; }
};

struct Row {
  std::string name;
  LayerClass layer_class = LayerClass::kDense;
  int64_t batch = 1;
  int64_t steps = 0;
  double operations = 0;         // taps in the padding included
  double operations_inside = 0;  // without them
  double bytes = 0;              // input, weights and output, once each
  Level level = Level::kL1;
  double peak_gflops = 0;
  // Bytes read and written: by copying in that level, or by this layer's own traffic, whichever is faster.
  double bandwidth_gbs = 0;
  double call_us = 0;          // what the shortest call costs, where limits are to have it
  std::string layer;           // as a row of bench/shapes.csv, where no table has it
  std::vector<Entry> entries;  // one for each library, way and layout; ours as well

  const Entry* ours(Layout layout = Layout::kChannelsLast) const;  // null without a valid one
  double gflops(const Entry& entry) const { return operations / entry.min_us * 1e-3; }
  double peak_share(const Entry& entry) const { return peak_gflops > 0 ? gflops(entry) / peak_gflops : 0; }
  // The shortest time that the machine allows; below 5 us with `call_us`.
  double limit_us() const;
  double limit_share(const Entry& entry) const { return limit_us() / entry.min_us; }
  // A peer's time over ours in its layout; 0 where there is none.
  double ratio(const Entry& peer) const;
  // Of ours; 0 where there is none.
  double limit_share(Layout layout) const;
  // Of the best peer; 0 where there is none.
  double best_ratio(Layout layout, const std::string& library = {}) const;
  // The valid peer of the layout with the smallest ratio, of `library` if it is not empty; null without one.
  const Entry* best_peer(Layout layout, const std::string& library = {}) const;
};

struct Table {
  std::string cpu;
  std::string backend;
  std::string isa;
  std::vector<std::string> versions;   // "oneDNN 2.6.3"
  std::vector<double> bandwidths_gbs;  // by level
  std::vector<Row> rows;
  double core_share = 0;  // CPU time over wall time of the run: below 1 others were on the core; 0: not known

  const Row* find(const std::string& name) const;
  // All but ours, in the order of their first appearance.
  std::vector<std::string> libraries() const;
};

nlohmann::json to_json(const Table& table);
// Errors (kInvalidData): no JSON, or not of this form.
Result<Table> table_from_json(const std::string& text, const std::string& path);
// Puts the peers of `other`, which were measured elsewhere beside ours, into the rows of the same names. Ours
// in their rounds goes along, so that ratios stay those of one run.
void merge(Table& table, const Table& other);

}  // namespace convsmith::bench
