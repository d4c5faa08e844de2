// The search behind the tune subcommand: which schedule runs a kernel the fastest on this machine. All
// candidates are compiled, held bit for bit against the chosen one (and that one against the interpreter),
// and then measured in turns: all of them briefly, the better half longer, until few are left, and the best
// of these against the chosen one alone. Used by tune_command.cpp and the tests.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "cli/verify/back_ends.hpp"
#include "ir/graph/graph.hpp"
#include "ir/nest/parts.hpp"
#include "runtime/tuning.hpp"

namespace convsmith::cli {

// One kernel in one call of a layer or model.
struct KernelCall {
  std::string name;  // "pass 2 of 9: conv1d + elu"; of a single kernel the operation's alone
  Problem layer;     // the operation's, whose rows the tensors have
  ir::Part part;
  int64_t batch = 1;
  int64_t steps = 0;  // of its input
  int64_t out_steps = 0;
  int64_t uses = 1;  // so many parts of the call are like it

  ir::RowRange rows() const { return ir::part_rows(part, out_steps).front(); }
  // Of one use, two for each multiply-add that is computed (computed_products); 0 where nothing is
  // multiplied.
  double operations() const;
};

// Those of a call that take time: each once, without the single rows at the ends of transposed layers.
std::vector<KernelCall> kernel_calls(const ir::Graph& graph, int64_t batch, int64_t steps);

struct TuneOptions {
  BackEnd back_end = {};  // machine code
  double seconds = 2;     // of measuring, for each kernel
  uint64_t seed = 0;
  // Called now and then with the number of schedules that are still in the race; may be empty.
  std::function<void(size_t left)> progress = {};
  // Asked now and then: whether to give up. May be empty.
  std::function<bool()> stop = {};
};

struct TunedKernel {
  KernelCall call;
  size_t candidates = 0;  // that were measured
  ir::Schedule chosen;
  ir::Schedule best;                    // the chosen one unless another is clearly faster
  double chosen_us = 0;                 // the shortest time
  double best_us = 0;                   // the same, by the median quotient of neighbouring calls
  double peak_gflops = 0;               // measured in turns with them
  std::vector<std::string> mismatches;  // schedules with other bits, as whole sentences

  double ratio() const { return chosen_us / best_us; }
  // Of the peak, for one of the two times; 0 where operations are not counted.
  double peak_share(double us) const;
};

// Nothing where it was stopped.
Result<std::optional<TunedKernel>> tune_kernel(const KernelCall& call, const TuneOptions& options);

TuningEntry tuning_entry(const TunedKernel& tuned, BackEnd back_end);

}  // namespace convsmith::cli
