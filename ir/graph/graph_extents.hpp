// Makes extents of a graph so that equal functions of the inputs' steps are one extent as far as simple
// rules tell. Called by the graph builder and by rewrites that make views.
#pragma once

#include <array>
#include <map>

#include "ir/graph/graph.hpp"

namespace convsmith::ir {

class ExtentTable {
 public:
  // Extents are added to `extents`, which must outlive the table and be changed by nobody else.
  explicit ExtentTable(std::vector<Extent>& extents);

  int fixed(int64_t steps);
  int input(int64_t number);
  int window(int from, const Problem& problem);
  int scaled(int from, int64_t factor);

 private:
  using Key = std::array<int64_t, 7>;
  static Key key_of(const Extent& extent);
  int intern(const Extent& extent);

  std::vector<Extent>& extents_;
  std::map<Key, int> index_;
};

// The value of one extent; `from` is that of the extent it is made from.
int64_t evaluate_extent(const Extent& extent, int64_t from, std::span<const int64_t> input_steps);

}  // namespace convsmith::ir
