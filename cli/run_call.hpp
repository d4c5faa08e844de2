// Runs one call of one compiled layer with its arrays at awkward places. Used by check_layer.
#pragma once

#include <string>
#include <vector>

#include "cli/placed_array.hpp"
#include "cli/random_layer.hpp"
#include "convsmith/convsmith.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith::cli {

struct CallOutput {
  std::vector<float> values;  // dense
  std::string error;          // a status that should not be, or a write outside of an array; else empty
};

class CallRunner {
 public:
  // References are kept. `guard`: arrays lie beside pages that may not be touched.
  CallRunner(const CompiledKernel& kernel, const CallData& data, const Call& call, bool guard);

  // As the public interface does.
  CallOutput run(const ParallelFor& parallel);

  // The range of samples, steps and filter blocks cut at random places, rows lying apart: what streams and
  // threads may ask of a kernel.
  CallOutput run_in_parts();

 private:
  Place next_place(size_t unit);

  const CompiledKernel& kernel_;
  const CallData& data_;
  const Call& call_;
  bool guard_;
  Random random_;
  int64_t output_steps_;
  std::vector<float> packed_;
};

}  // namespace convsmith::cli
