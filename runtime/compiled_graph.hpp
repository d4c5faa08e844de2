// A graph whose passes are compiled, its weights packed, and one call of it. A layer and a whole model are
// both graphs; the classes of the public headers stand before these functions.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "convsmith/convsmith.hpp"
#include "ir/graph/graph.hpp"
#include "ir/nest/parts.hpp"
#include "runtime/compile.hpp"
#include "runtime/kernel_cache.hpp"
#include "runtime/run_kernel.hpp"
#include "runtime/tuning.hpp"

namespace convsmith {

struct CompiledPart {
  ir::Part part;
  std::shared_ptr<const CompiledKernel> kernel;
};

// The parts of a nest; of the other kinds of operations one part without a problem.
struct CompiledOp {
  std::vector<CompiledPart> parts;
};

// Passes that run turn by turn, each as far as what has come of the group's input lets it. What lies between
// them are rolling buffers: of each, the steps that somebody still reads. All have stride 1, so how far each
// pass is behind the input is known.
struct RollingGroup {
  size_t first = 0;  // operations
  size_t last = 0;
  int64_t chunk = 0;         // steps of the input that come at a time
  std::vector<int64_t> lag;  // by operation from `first` on: steps that it is behind the input
  struct Buffer {
    int tensor = -1;             // a root
    bool keeps = false;          // whether some of its rows stay for the next chunk
    int64_t rows = 0;            // that are there at most
    std::vector<size_t> makers;  // operations
    struct Reader {
      size_t op;
      int64_t before;  // steps before its next output that it looks at
    };
    std::vector<Reader> readers;
  };
  std::vector<Buffer> buffers;
};

struct CompiledGraph {
  ir::Graph graph;
  Backend backend = Backend::kInterp;
  Isa isa = Isa::kBaseline;
  std::vector<CompiledOp> ops;
  // Where a tensor lives: the memory of its root, `offset` floats behind it.
  struct Place {
    enum class Kind : uint8_t { kInput, kOutput, kSlot };
    Kind kind = Kind::kSlot;
    int index = 0;  // of the input, output or slot
    int64_t offset = 0;
  };
  std::vector<Place> places;  // by tensor
  // Where it is not 0, calls of many samples run block by block of as many as have their slots in so many
  // bytes.
  int64_t samples_within = 0;
  // By operation: where it is not 0, the operation and the next one are a chain, run by so many steps, whole
  // rows (ir/nest/parts.hpp), at a time: the second one reads step by step what the first one makes and
  // nobody else reads, so that stays in a cache.
  std::vector<int64_t> chunks;
  // By operation: whether the operation before such a chain, a transpose that only the chain reads, belongs
  // to it, too: then only the input of a chunk is turned at a time.
  std::vector<bool> turns_input;
  std::vector<RollingGroup> rolling;           // in order
  std::shared_ptr<const CompiledKernel> move;  // codegen/programs/move_program, where some group can roll
  int slots = 0;
  std::vector<int> slot_tensors;  // those that live in slots of their own memory: their sizes make the slots'
  int64_t scratch_bytes = 0;      // of one thread
  size_t code_bytes = 0;
};

struct PackedGraph {
  std::shared_ptr<const CompiledGraph> graph;                         // the one it was packed for
  std::vector<std::vector<std::shared_ptr<const PackedData>>> parts;  // by operation and part
  std::vector<std::vector<float>> arrays;                             // operands that are arrays, by array
};

// Makes the kernels of a graph: of a problem without padding, or of a program that is no convolution.
class KernelMaker {
 public:
  virtual ~KernelMaker() = default;
  virtual KernelResult nest(const Problem& problem) = 0;
  virtual KernelResult program(const vir::Program& program) = 0;
};

Result<std::shared_ptr<const CompiledGraph>> compile_graph(ir::Graph graph, Backend backend, Isa isa,
                                                           KernelMaker& kernels);
// With kernels that run in this process, from the cache. A schedule, of the only nest or of the graph
// (graph_schedule.hpp), wins over `tuning`, which may be null.
Result<std::shared_ptr<const CompiledGraph>> compile_graph(ir::Graph graph, Backend backend, Isa isa,
                                                           std::string_view schedule, KernelCache& kernels,
                                                           const Tuning* tuning = nullptr);

// Gives each tensor its place: those of a rolling group live until its end.
void place_tensors(CompiledGraph& graph);

// `arrays` are those of the graph, in its order, with the sizes that it says.
std::shared_ptr<const PackedGraph> pack_graph(std::shared_ptr<const CompiledGraph> graph,
                                              std::span<const std::span<const float>> arrays);

// How many parts from j on differ in nothing but their phase, which grows by one: the single phases of a
// merged part.
size_t parts_alike(const std::vector<CompiledPart>& parts, size_t j);

// Whether two graphs of the same arrays read packed weights in the same order.
bool have_same_layout(const CompiledGraph& a, const CompiledGraph& b);

// Whether weights packed for another graph are laid out as this one reads them.
bool weights_fit(const CompiledGraph& graph, const PackedGraph& weights);

// Bytes that a call needs beside inputs, outputs and weights.
size_t workspace_bytes(const CompiledGraph& graph, int64_t batch, std::span<const int64_t> steps,
                       int threads);

// `steps` by input. The weights fit.
RunStatus run_graph(const CompiledGraph& graph, const PackedGraph& weights,
                    std::span<const float* const> inputs, std::span<float* const> outputs, int64_t batch,
                    std::span<const int64_t> steps, const RunOptions& options) noexcept;

}  // namespace convsmith
