// Holds one layer on all back ends against the interpreter, bit for bit, and the interpreter against the
// naive loop nest and the float64 reference. The core of verify, as a library so that tests can call it.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/coverage.hpp"
#include "cli/random_layer.hpp"
#include "convsmith/convsmith.hpp"
#include "ir/nest.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {

struct BackEnd {
  Backend backend;
  Isa isa;
  bool operator==(const BackEnd&) const = default;
};
std::string back_end_name(BackEnd back_end);  // "xbyak avx2"

// Every pair that this machine and build run, the interpreter on the best instruction set first; kAuto does
// not restrict. `isa` beyond the CPU's leaves the interpreter alone.
std::vector<BackEnd> available_back_ends(Backend backend, Isa isa);

// NaNs as one pattern: their sign and payload are not promised.
uint32_t canonical_bits(float x);

struct Variant {
  BackEnd back_end;
  std::shared_ptr<const CompiledKernel> kernel;
};

struct CheckedLayer {
  LayerSpec spec;
  Problem problem;
  ir::LoopNest naive;
  std::vector<ir::LoopNest> nests;  // scheduled, one for each of `isas`
  std::vector<Isa> isas;
  std::vector<Variant> variants;     // the first one is an interpreter, which judges the others
  std::vector<std::string> skipped;  // back ends that a schedule of the caller's does not fit, and why
};

// Which schedule: a text, which need not fit every back end, or else the chosen one; the latter with chunks
// of steps so small that short inputs have several of them.
struct ScheduleChoice {
  std::string text = {};
  bool small_chunks = false;
};
// Compiles the layer for every one of `back_ends`.
Result<CheckedLayer> make_checked_layer(const LayerSpec& spec, const Problem& problem,
                                        const std::vector<BackEnd>& back_ends,
                                        const ScheduleChoice& schedule = {});
// The same for a scheduled nest.
Result<CheckedLayer> make_checked_nest(const ir::LoopNest& nest, const std::vector<BackEnd>& back_ends);

std::vector<Coverage::Scheduled> scheduled_nests(const CheckedLayer& layer);

struct CheckOptions {
  bool guard = false;              // every array beside a page that may not be touched
  std::vector<int> threads = {1};  // more than one: on a quarter of the calls, most of them pretended
};

// Thread pools are kept from call to call.
class Pools {
 public:
  ParallelFor real(int threads);
  // The same cut into tasks, done one after the other, the last one first: no threads have to be woken.
  static ParallelFor pretended(int threads);

 private:
  std::vector<std::unique_ptr<ThreadPool>> pools_;  // by number of threads
};

// Which calls of many run on several threads: it follows from the call alone, so that one that failed is
// repeated with what it failed on.
bool runs_on_threads(const Call& call);
bool runs_on_real_threads(const Call& call);

struct Finding {
  std::optional<BackEnd> back_end;  // none: the interpreter disagrees with the references
  std::string what;
};

// The first thing that is wrong, if anything is.
std::optional<Finding> check_call(const CheckedLayer& layer, const Call& call, const CheckOptions& options,
                                  Pools& pools);

// The parts of check_call. `bits` is what the first variant gave.
std::optional<Finding> check_reference(const CheckedLayer& layer, const Call& call, const CallData& data,
                                       const std::vector<float>& output);

}  // namespace convsmith::cli
