// convsmith for C (C99 or later) and for every language that calls C functions. C++ has convsmith.hpp, of
// which this is a thin cover.
//
//   convsmith_model *layer = NULL;
//   convsmith_weights *weights = NULL;
//   const float *arrays[] = {kernel, bias};               // as Keras keeps them
//   const size_t sizes[] = {3 * 128 * 32, 32};            // floats of each
//   if (convsmith_compile("Conv1D(32, 3, input_shape=(None, 128))", NULL, &layer) != CONVSMITH_OK ||
//       convsmith_pack(layer, arrays, sizes, 2, &weights) != CONVSMITH_OK ||
//       convsmith_run(layer, weights, input, output, batch, steps, NULL) != CONVSMITH_OK)
//     fprintf(stderr, "%s\n", convsmith_last_error());
//   convsmith_weights_destroy(weights);
//   convsmith_model_destroy(layer);
//
// Rules that hold for every function:
// - Arrays are dense float32 in C order, without alignment; outputs must not overlap inputs or each other.
//   `batch` counts samples, `steps` the steps of each.
// - What can fail returns a status; each status but CONVSMITH_OK leaves a sentence in convsmith_last_error().
//   Functions that give a number give -1 instead, and leave the sentence too.
// - A null pointer is an error unless the function says what it means there. `*out` becomes null if nothing
//   is made. Destroy functions accept null.
// - Models, weights and thread pools never change once made: any number of threads may use them at the same
//   time, as long as none destroys them meanwhile. Compiling, loading and packing are thread-safe.
// - No C++ exception leaves a function.
// - Structs that begin with struct_size may grow at their end. Set struct_size to sizeof of the struct and
//   all else to 0, which means the default. Both older (smaller) and newer (larger) structs are accepted, the
//   latter as long as what this version does not know is 0.
//
// Values, functions and struct members that are here stay as they are as long as CONVSMITH_ABI_VERSION does.
#ifndef CONVSMITH_CONVSMITH_H
#define CONVSMITH_CONVSMITH_H

#include <stddef.h>
#include <stdint.h>

#include "convsmith/export.h"

#ifdef __cplusplus
extern "C" {
#endif

// Of this header. A library of the same number has all that is declared here, and perhaps more.
#define CONVSMITH_ABI_VERSION 1

// Of the library.
CONVSMITH_API int32_t convsmith_abi_version(void);
// "1.2.3"; never null.
CONVSMITH_API const char* convsmith_version(void);
// The same as 1 * 10000 + 2 * 100 + 3.
CONVSMITH_API int32_t convsmith_version_number(void);

// Where machine code lives in this process, by what the host allows: enum convsmith_code_memory_kind.
enum convsmith_code_memory_kind {
  CONVSMITH_CODE_MEMORY_NONE = 0,  // nowhere: the interpreter answers, about a thousand times slower
  CONVSMITH_CODE_MEMORY_SHARED =
      1,  // pages that are mapped twice, to be written in one place and run in another
  CONVSMITH_CODE_MEMORY_PRIVATE = 2  // private pages, written first and made executable then
};
CONVSMITH_API int32_t convsmith_code_memory(void);

typedef enum convsmith_status {
  CONVSMITH_OK = 0,
  // Of a run. The C++ RunStatus and the functions of artifacts have the same numbers.
  CONVSMITH_NULL_POINTER = 1,   // a pointer that is needed is null
  CONVSMITH_BAD_SIZE = 2,       // batch, steps or a count is negative, beyond 2^40 or not what the model has
  CONVSMITH_EMPTY_OUTPUT = 3,   // there are input steps, but too few for one output step
  CONVSMITH_WRONG_WEIGHTS = 4,  // packed for another layer or schedule
  CONVSMITH_WRONG_STEPS = 5,    // a layer of the model fixes the steps, or inputs or the batch do not match
  CONVSMITH_NO_MEMORY = 6,
  // Of making something.
  CONVSMITH_INVALID_SPEC = 100,      // the layer's text, its arguments or its schedule are wrong
  CONVSMITH_UNSUPPORTED = 101,       // legal in Keras, not computed by convsmith
  CONVSMITH_INVALID_DATA = 102,      // an array or file does not fit
  CONVSMITH_UNAVAILABLE = 103,       // the CPU, the host or this build lacks a back end
  CONVSMITH_IO = 104,                // a file could not be read
  CONVSMITH_INVALID_ARGUMENT = 110,  // an argument of a function here: a struct_size, a number of an enum
  CONVSMITH_INTERNAL = 111           // a mistake of convsmith's own
} convsmith_status;

// The sentence of this thread's last error; "" before the first one. Stays until the thread's next error:
// functions that succeed leave it alone. The pointer is valid until then.
CONVSMITH_API const char* convsmith_last_error(void);

// What can be run: a compiled layer, a compiled model file or an artifact.
typedef struct convsmith_model convsmith_model;
// A layer's weights in the order in which one model reads them.
typedef struct convsmith_weights convsmith_weights;
typedef struct convsmith_thread_pool convsmith_thread_pool;

enum convsmith_backend {
  CONVSMITH_BACKEND_AUTO = 0,
  CONVSMITH_BACKEND_XBYAK = 1,
  CONVSMITH_BACKEND_LLVM = 2,
  CONVSMITH_BACKEND_INTERP = 3
};
enum convsmith_isa {
  CONVSMITH_ISA_AUTO = 0,
  CONVSMITH_ISA_BASELINE = 1,  // any x86-64
  CONVSMITH_ISA_AVX2 = 2,
  CONVSMITH_ISA_AVX512 = 3
};
// What is accepted: what at least one of Keras 2 and 3 accepts, what that one does, or all that is defined.
enum convsmith_rules {
  CONVSMITH_RULES_COMMON = 0,
  CONVSMITH_RULES_KERAS2 = 1,
  CONVSMITH_RULES_KERAS3 = 2,
  CONVSMITH_RULES_ANY = 3
};

typedef struct convsmith_compile_options {
  size_t struct_size;
  int32_t backend;  // enum convsmith_backend
  int32_t isa;      // enum convsmith_isa
  int32_t rules;    // enum convsmith_rules
  // Layers only: the input's sizes with the batch axis, -1 for an unknown one, where the spec has none.
  int32_t input_rank;
  const int64_t* input_shape;
  // Layers only: replaces the schedule that would be chosen. Null: none.
  const char* schedule;
  // Layers and models: a file that `convsmith tune` wrote, whose schedules are used. Null or "": the one that
  // the environment variable CONVSMITH_TUNING names, if any.
  const char* tuning;
} convsmith_compile_options;

// One layer from call text ("Conv1D(32, 3, input_shape=(None, 128))") or the JSON of its config. Kernels are
// cached: the same layer again costs next to nothing. `options` may be null.
CONVSMITH_API convsmith_status convsmith_compile(const char* spec, const convsmith_compile_options* options,
                                                 convsmith_model** out);

// A file of Keras (.keras, .h5, or .json with a file of weights), its weights included. `weights_path` is for
// .json, or replaces the file's own weights; it and `options` may be null. The file may be anybody's: it is
// checked, not trusted.
CONVSMITH_API convsmith_status convsmith_load_model(const char* path, const char* weights_path,
                                                    const convsmith_compile_options* options,
                                                    convsmith_model** out);

// A shared library that `convsmith compile SPEC --name NAME -o x.so` made. `name` is its NAME, a C
// identifier. An artifact is code that runs with all rights of the process: load only what you trust. A file
// that others may write, or that belongs neither to the user nor to root, is refused, as is one that is no
// shared library for this machine, is cut short or has not the functions of an artifact; none of its
// functions is called before. (As with every shared library, its constructors run when it is opened;
// artifacts have none.) CONVSMITH_IO, CONVSMITH_INVALID_DATA.
CONVSMITH_API convsmith_status convsmith_load_artifact(const char* path, const char* name,
                                                       convsmith_model** out);

CONVSMITH_API void convsmith_model_destroy(convsmith_model* model);

enum convsmith_kind { CONVSMITH_KIND_LAYER = 1, CONVSMITH_KIND_MODEL = 2, CONVSMITH_KIND_ARTIFACT = 3 };

typedef struct convsmith_info {
  size_t struct_size;
  int32_t kind;     // enum convsmith_kind
  int32_t backend;  // enum convsmith_backend: what was picked; AUTO for an artifact
  int32_t isa;      // enum convsmith_isa, likewise
  int32_t inputs;
  int32_t outputs;
  int32_t weights;      // arrays that convsmith_pack needs; 0: a run takes no weights
  uint64_t code_bytes;  // of machine code; 0 for the interpreter and for artifacts
} convsmith_info;

// Set info->struct_size first; as much as fits is written behind it.
CONVSMITH_API convsmith_status convsmith_get_info(const convsmith_model* model, convsmith_info* info);
// For people: the call text of a layer, the passes of a model, the `key: value` lines of an artifact. Null
// for a null model. Lives as long as the model.
CONVSMITH_API const char* convsmith_describe(const convsmith_model* model);

// What inputs and outputs are called, in the order of convsmith_run_many: the keys, where the model was made
// with dictionaries, else the names of Keras's layers; "input" and "output" of a single layer. No two are
// alike. Null for another index. They live as long as the model.
CONVSMITH_API const char* convsmith_input_name(const convsmith_model* model, size_t index);
CONVSMITH_API const char* convsmith_output_name(const convsmith_model* model, size_t index);

// What Keras's get_weights() gives, by index: name and sizes. Null (name), -1 (rank) and null (sizes) are
// errors. Of an artifact only the number of floats is known: rank 1. What they point to lives as long as the
// model.
CONVSMITH_API const char* convsmith_weight_name(const convsmith_model* model, size_t index);
CONVSMITH_API int32_t convsmith_weight_rank(const convsmith_model* model, size_t index);
CONVSMITH_API const int64_t* convsmith_weight_dims(const convsmith_model* model, size_t index);

// Copies `count` arrays of `sizes` floats each, in Keras's order. The weights may outlive the model.
// CONVSMITH_INVALID_DATA if they are not what the model has.
CONVSMITH_API convsmith_status convsmith_pack(const convsmith_model* model, const float* const* arrays,
                                              const size_t* sizes, size_t count, convsmith_weights** out);
CONVSMITH_API void convsmith_weights_destroy(convsmith_weights* weights);

// Sizes. `steps` points to one number for each input (1 for an input without a steps axis).

// Steps of an output; 0 where there are too few input steps for one, 1 for an output without a steps axis.
CONVSMITH_API int64_t convsmith_output_steps(const convsmith_model* model, const int64_t* steps,
                                             size_t output);
// Floats of a whole array, the batch included.
CONVSMITH_API int64_t convsmith_input_floats(const convsmith_model* model, size_t input, int64_t batch,
                                             const int64_t* steps);
CONVSMITH_API int64_t convsmith_output_floats(const convsmith_model* model, size_t output, int64_t batch,
                                              const int64_t* steps);
// Bytes of memory that a run uses beside its arrays; 0: none. `threads` is that of the parallel-for, or 1.
CONVSMITH_API int64_t convsmith_workspace_bytes(const convsmith_model* model, int64_t batch,
                                                const int64_t* steps, int64_t threads);

// Somebody's threads: `run` calls task(context, i) for every i below count, in any order and on any threads,
// and returns when all are done. It must not throw. Artifacts declare the same struct.
#ifndef CONVSMITH_PARALLEL_FOR_DEFINED
#define CONVSMITH_PARALLEL_FOR_DEFINED
typedef struct convsmith_parallel_for {
  void (*run)(void* pool, void (*task)(void* context, size_t i), void* context, size_t count);
  void* pool;
  int64_t threads;  // how many tasks may run at the same time; at least 1
} convsmith_parallel_for;
#endif

// The built-in pool. 0: as many threads as the process may use (or CONVSMITH_NUM_THREADS). Several runs may
// share a pool; they then take turns.
CONVSMITH_API convsmith_status convsmith_thread_pool_create(int64_t threads, convsmith_thread_pool** out);
CONVSMITH_API void convsmith_thread_pool_destroy(convsmith_thread_pool* pool);
// Lives as long as the pool. Null for a null pool.
CONVSMITH_API const convsmith_parallel_for* convsmith_thread_pool_parallel_for(
    const convsmith_thread_pool* pool);

enum convsmith_denormals {
  CONVSMITH_DENORMALS_KEEP = 0,  // as the control word of the thread that calls has it
  CONVSMITH_DENORMALS_FLUSH = 1  // numbers below 2^-126 count as zeros, in all threads of the call
};

typedef struct convsmith_run_options {
  size_t struct_size;
  // convsmith_workspace_bytes(...) bytes aligned as malloc does; null: memory kept by this thread.
  void* workspace;
  const convsmith_parallel_for* parallel;  // null: this thread alone
  int32_t denormals;  // enum convsmith_denormals; the thread's control word is the same afterwards
} convsmith_run_options;

// One input and one output: (batch, steps, channels) -> (batch, output steps, filters), for channels_first
// with the last two axes exchanged; other shapes as the model file says. `weights` are null for what has its
// own. `options` may be null. Every back end, instruction set and number of threads gives the same bits. On
// one thread, a run that succeeds allocates nothing (with a workspace, or after the thread's first call of
// that size), takes no lock and makes no system call.
CONVSMITH_API convsmith_status convsmith_run(const convsmith_model* model, const convsmith_weights* weights,
                                             const float* input, float* output, int64_t batch, int64_t steps,
                                             const convsmith_run_options* options);
// The same for any number of inputs and outputs, in the model's order; `steps` by input.
CONVSMITH_API convsmith_status convsmith_run_many(const convsmith_model* model,
                                                  const convsmith_weights* weights,
                                                  const float* const* inputs, size_t input_count,
                                                  float* const* outputs, size_t output_count, int64_t batch,
                                                  const int64_t* steps, const convsmith_run_options* options);

#ifdef __cplusplus
}
#endif

#endif
