// Whether convsmith got slower since a table was stored. Compared are quotients only, each taken within one
// run, so that another clock or another machine of the same kind does not count as a change. Used by main.
#pragma once

#include <string>
#include <vector>

#include "bench/peers/table.hpp"

namespace convsmith::bench {

struct Change {
  std::string row;
  std::string what;  // "share of the limit", "best peer's time over ours"
  double before = 0;
  double now = 0;
};

// What both tables have, both layouts: shares and ratios that are now below (1 - tolerance) x the stored
// ones.
std::vector<Change> find_slower(const Table& stored, const Table& now, double tolerance);

}  // namespace convsmith::bench
