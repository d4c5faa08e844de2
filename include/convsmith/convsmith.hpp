// convsmith: a compiler for 1-D convolution layers.
//
//   auto layer = convsmith::compile("Conv1D(32, 3, activation='relu', input_shape=(None, 128))");
//   if (!layer) { std::puts(layer.error().message.c_str()); return 1; }
//   auto weights = layer->pack(kernel, bias);               // as Keras keeps them
//   layer->run(*weights, input, output, batch, steps);      // any batch, any number of steps
//
// Every back end, instruction set, number of threads and schedule gives the same 32-bit results.
// Compiling and packing are thread-safe; a CompiledLayer and its PackedWeights are immutable values that
// any number of threads may run at the same time.
#pragma once

#include "convsmith/language.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "convsmith/activation.hpp"
#include "convsmith/error.hpp"
#include "convsmith/export.h"
#include "convsmith/layer_spec.hpp"
#include "convsmith/options.hpp"
#include "convsmith/shared.hpp"

namespace convsmith {

struct CompileOptions {
  Backend backend = Backend::kAuto;
  Isa isa = Isa::kAuto;
  Rules rules = Rules::kCommon;
  // Input shape with batch axes, where it is not in the spec; only channels must be known.
  Shape input_shape = {};
  // Replaces the chosen schedule (docs/nest.md).
  std::string schedule = {};
  // A file that `convsmith tune` wrote: kernels that it knows get its schedules. Empty: the one that
  // CONVSMITH_TUNING names, if any. Layers that are compiled already stay as they are when the file changes.
  std::string tuning = {};
  bool operator==(const CompileOptions&) const = default;
};

// Somebody's thread pool: `run` calls task(context, i) for every i below count, in any order and on any
// threads, and returns when all are done.
struct ParallelFor {
  void (*run)(void* pool, void (*task)(void* context, size_t i), void* context, size_t count) = nullptr;
  void* pool = nullptr;
  int threads = 1;  // how many tasks may run at the same time
};

// The built-in thread pool.
class CONVSMITH_API ThreadPool {
 public:
  // 0: as many as the process may use (or CONVSMITH_NUM_THREADS).
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  ThreadPool(ThreadPool&&) noexcept;
  ThreadPool& operator=(ThreadPool&&) noexcept;
  int threads() const;
  ParallelFor parallel_for() const;

 private:
  struct Impl;
  Shared<Impl> impl_;
};

struct RunOptions {
  // workspace_bytes(...) bytes aligned as malloc does; null: memory kept per thread from its first call.
  void* workspace = nullptr;
  ParallelFor parallel = {};
  // Every thread of a call rounds and flushes as the thread that calls, whose control word is the same
  // afterwards.
  Denormals denormals = Denormals::kKeep;
};

enum class RunStatus {
  kOk,
  kNullPointer,   // an array that would be touched is null, or the weights are empty
  kBadSize,       // batch or steps is negative or beyond 2^40
  kEmptyOutput,   // there are input steps, but too few for one output step
  kWrongWeights,  // packed for another layer or schedule
  kWrongSteps,    // a layer of a model fixes the number of steps, or inputs or the batch do not match
  kNoMemory,      // no workspace was given, and there is no memory for one
};
CONVSMITH_API const char* describe(RunStatus status);

struct CONVSMITH_API PackedGraph;  // marked, since g++ hides what a template makes of a hidden type
struct CONVSMITH_API LayerData;

// Weights in the order in which one compiled layer reads them.
class CONVSMITH_API PackedWeights {
 public:
  PackedWeights() = default;

 private:
  friend class CompiledLayer;
  Shared<const PackedGraph> data_;
};

class CONVSMITH_API CompiledLayer {
 public:
  // Copies weights that lie as Keras keeps them: of weight_shapes(), in that order.
  Result<PackedWeights> pack(std::span<const std::span<const float>> weights) const;
  // The same for layers with one kernel; bias is empty without one.
  Result<PackedWeights> pack(std::span<const float> kernel, std::span<const float> bias) const;

  // input (batch, steps, channels) -> output (batch, output_steps(steps), filters); for channels_first
  // (batch, channels, steps) -> (batch, filters, output_steps(steps)). For Dense, every axis before the last
  // one may count as batch. Dense arrays, no alignment needed; output must not overlap input. On one thread:
  // no allocation (with memory of the caller's, or after the thread's first call of that size), no lock, no
  // system call.
  RunStatus run(const PackedWeights& weights, const float* input, float* output, int64_t batch, int64_t steps,
                const RunOptions& options = {}) const noexcept;

  // Output steps for `steps` input steps; 0 where there is none.
  int64_t output_steps(int64_t steps) const;
  int64_t channels() const;
  // Channels of the output.
  int64_t filters() const;
  // What Keras's get_weights() gives: names and shapes.
  const std::vector<WeightShape>& weight_shapes() const;
  // The output shape for an input shape with batch axes, in the layer's layout.
  Result<Shape> output_shape(const Shape& input_shape) const;
  // Bytes of memory that a run uses beside its arrays. Depends on batch and steps only for layers of several
  // passes (SeparableConv1D, activations such as softmax, channels_first where it is transposed inside).
  size_t workspace_bytes(int64_t batch, int64_t steps, int threads = 1) const;

  const LayerSpec& spec() const;
  // What was picked where the options said kAuto.
  Backend backend() const;
  Isa isa() const;
  // Bytes of machine code; 0 for the interpreter.
  size_t code_bytes() const;

 private:
  friend class Engine;
  explicit CompiledLayer(Shared<const LayerData> data) : data_(std::move(data)) {}
  Shared<const LayerData> data_;
};

// Compiles layers and caches them. Thread-safe; two threads never compile the same kernel twice.
class CONVSMITH_API Engine {
 public:
  // Least recently used layers beyond `cache_bytes` of code are forgotten (those in use live on).
  explicit Engine(size_t cache_bytes = size_t{64} << 20);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Call text or a layer's JSON config.
  Result<CompiledLayer> compile(std::string_view text, const CompileOptions& options = {});
  Result<CompiledLayer> compile(const LayerSpec& spec, const CompileOptions& options = {});

  struct Stats {
    uint64_t hits;      // layers found in the cache
    uint64_t compiles;  // kernels made by this process
    size_t bytes;       // of code and tables that the cache keeps alive
    uint64_t loads;     // kernels from the folder CONVSMITH_CACHE_DIR, which were no compiles
  };
  Stats stats() const;

 private:
  struct Impl;
  Shared<Impl> impl_;
};

// Where machine code lives in this process. What the host allows is found out once.
enum class CodeMemoryKind {
  kNone,     // nowhere: the interpreter answers, about a thousand times slower
  kShared,   // in pages that are mapped twice, to be written in one place and run in another
  kPrivate,  // the host gives no memfd: in private pages, written first and made executable then
};
CONVSMITH_API CodeMemoryKind code_memory_kind();

// The process-wide engine.
CONVSMITH_API Engine& default_engine();
CONVSMITH_API Result<CompiledLayer> compile(std::string_view text, const CompileOptions& options = {});
CONVSMITH_API Result<CompiledLayer> compile(const LayerSpec& spec, const CompileOptions& options = {});

}  // namespace convsmith
