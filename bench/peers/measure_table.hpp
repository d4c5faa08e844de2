// Measures many layers on one machine. Used by the main functions of peers_bench and hunt.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "bench/peers/measure_row.hpp"
#include "cli/common_options.hpp"
#include "runtime/compile.hpp"

namespace convsmith::bench {

class Bench {
 public:
  // `seconds` for each layer, all libraries together. Errors: kUnavailable where the back end or the loops
  // that measure bandwidth are not there.
  static Result<Bench> make(const cli::CommonOptions& common, bool with_peers, double seconds);

  // `done` sees the table behind each layer.
  Result<Table> measure(std::span<const Shape1d> shapes, const std::function<void(Table&)>& done = {});
  // Measures the layers that seem slower than `stored` again and keeps what was better: a busy moment is no
  // regression. `table` has a row for each shape.
  Result<void> measure_again(std::span<const Shape1d> shapes, const Table& stored, double tolerance,
                             Table& table);
  // One layer alone, for so many seconds.
  Result<Row> measure(const Shape1d& shape, double seconds);

 private:
  Bench(Choice choice, Machine machine, bool with_peers, double seconds);

  Choice choice_;
  Machine machine_;
  std::vector<Way> ways_;
  double seconds_;
};

}  // namespace convsmith::bench
