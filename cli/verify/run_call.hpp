// Runs one call of one compiled graph with its arrays at awkward places. Used by check_graph.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cli/verify/check_graph.hpp"
#include "cli/verify/placed_array.hpp"

namespace convsmith::cli {

struct CallOutput {
  Arrays values;      // by output, dense
  std::string error;  // a status that should not be, or a write outside of an array; else empty
};

class CallRunner {
 public:
  // `call` is kept by reference. `guard`: inputs, outputs, packed weights and workspace lie beside pages that
  // may not be touched.
  CallRunner(std::shared_ptr<const CompiledGraph> graph, const FilledCall& call, bool guard);

  // As the public interface does.
  CallOutput run(const ParallelFor& parallel);

  // Of a graph that is a single kernel: the range of samples, steps and filter blocks cut at random places,
  // rows lying apart, which is what streams and threads may ask of a kernel.
  bool has_parts() const;
  CallOutput run_in_parts();

 private:
  Place next_place(size_t unit);
  // `values`: the outputs' sizes, filled with nothing yet.
  Arrays empty_outputs() const;
  bool is_too_short() const;

  std::shared_ptr<const CompiledGraph> graph_;
  const FilledCall& call_;
  bool guard_;
  Random random_;
  std::vector<int64_t> extents_;
  std::vector<std::unique_ptr<PlacedArray>> packed_;
  std::shared_ptr<PackedGraph> weights_;
};

}  // namespace convsmith::cli
