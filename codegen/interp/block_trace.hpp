// What interpreted programs did: which of their blocks a thread's calls entered, and so which operations ran.
// Used by verify, whose table of what was reached can't drift from the code that way.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "codegen/vir/vir.hpp"

namespace convsmith::interp {

// While one lives, the calls of kernels that its thread makes are noted. The programs must live as long.
class BlockTrace {
 public:
  BlockTrace();
  ~BlockTrace();
  BlockTrace(const BlockTrace&) = delete;
  BlockTrace& operator=(const BlockTrace&) = delete;

  // That of this thread, if any.
  static BlockTrace* current();
  // A flag for each instruction that opens a block, set where it was entered.
  char* entered(const vir::Program& program);

  // By label of a block, with N in place of numbers: "o.N" for "o1.14"; and by operation. Whether one ran, of
  // all that the programs have.
  using Reached = std::map<std::string, bool, std::less<>>;
  Reached blocks() const;
  Reached operations() const;

 private:
  BlockTrace* outer_;
  std::map<const vir::Program*, std::vector<char>> programs_;
};

}  // namespace convsmith::interp
