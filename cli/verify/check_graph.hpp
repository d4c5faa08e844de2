// Holds one call of a compiled graph, of a layer or of a model, on all back ends against the interpreter, bit
// for bit: on several threads, in parts, with its arrays at awkward places. Called by check_layer and
// check_model.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/verify/back_ends.hpp"
#include "cli/verify/random_layer.hpp"
#include "convsmith/convsmith.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith::cli {

// NaNs as one pattern: their sign and payload are not promised.
uint32_t canonical_bits(float x);

struct Variant {
  BackEnd back_end;
  std::shared_ptr<const CompiledGraph> graph;
};

// A call with its arrays; `weights` are those of the graph, in its order.
struct FilledCall {
  Call call;
  std::vector<int64_t> steps;  // by input
  Arrays inputs;
  std::vector<std::span<const float>> weights;
};

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

// Says what is wrong with the first variant's outputs; empty if nothing is. It runs in the control word of
// the call.
using Judge = std::function<std::string(const Arrays& outputs)>;

// The first thing that is wrong, if anything is. The first variant is an interpreter, whose outputs `judge`
// sees; all others must give the same bits.
std::optional<Finding> check_variants(const std::vector<Variant>& variants, const FilledCall& call,
                                      const Judge& judge, const CheckOptions& options, Pools& pools);

// "3 of 12 outputs differ, ..."; empty if none does.
std::string describe_difference(const Arrays& expected, const Arrays& found);

// Fills the variants, each made by `compile`. Where the first back end that fits is no interpreter, one with
// its instruction set is put before it. What does not fit is an error, or goes to `skipped` where that is
// given.
using CompileVariant = std::function<Result<std::shared_ptr<const CompiledGraph>>(BackEnd)>;
Result<std::vector<Variant>> compile_variants(const std::vector<BackEnd>& back_ends,
                                              const CompileVariant& compile,
                                              std::vector<std::string>* skipped = nullptr);

// Which schedule: a text, which need not fit every back end and is for layers of one nest, or groups of
// passes (runtime/graph_schedule.hpp); or else those of a tuning file, where it has some, and the chosen
// ones; or the chosen ones with chunks of steps so small that short inputs have several of them; or others
// that a search would try.
struct ScheduleChoice {
  std::string text = {};
  bool small_chunks = false;
  const Tuning* tuning = nullptr;
  std::optional<uint64_t> candidate =
      {};  // its number, for each nest; counted on from the first behind the last
};

// The graph with chains of operations that run a few steps at a time, so that short inputs have several
// chunks.
std::shared_ptr<const CompiledGraph> with_short_chains(const CompiledGraph& graph);

}  // namespace convsmith::cli
