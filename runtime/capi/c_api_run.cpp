// The C functions around a call: sizes, threads, run.
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "frontend/keras/check_spec.hpp"
#include "runtime/capi/c_api_error.hpp"
#include "runtime/capi/c_api_model.hpp"

namespace convsmith::c_api {

namespace {

constexpr const char* kBadSizes = "batch and steps must be at least 0 and at most 2^40.";

bool is_size(int64_t size) {
  return size >= 0 && size <= kMaxAxis;
}

std::span<const int64_t> steps_of(const convsmith_model& model, const int64_t* steps) {
  return {steps, static_cast<size_t>(model.info.inputs)};
}

bool are_sizes(int64_t batch, std::span<const int64_t> steps) {
  return is_size(batch) && std::all_of(steps.begin(), steps.end(), is_size);
}

// A question about sizes: checks what all of them have in common, then asks.
template <class Ask>
int64_t ask(const char* function, const convsmith_model* model, int64_t batch, const int64_t* steps,
            const Ask& answer) noexcept {
  return guard_number([&]() -> int64_t {
    if (model == nullptr) return null_argument(function, "model"), -1;
    if (steps == nullptr) return null_argument(function, "steps"), -1;
    if (!are_sizes(batch, steps_of(*model, steps))) return fail(CONVSMITH_BAD_SIZE, kBadSizes), -1;
    return answer(steps_of(*model, steps));
  });
}

bool check_index(const char* what, size_t index, int32_t count) {
  if (index < static_cast<size_t>(count)) return true;
  fail(CONVSMITH_INVALID_ARGUMENT, fmt::format("{} is {}; the model has {} of them.", what, index, count));
  return false;
}

int64_t product(int64_t batch, const std::vector<int64_t>& shape) {
  int64_t floats = batch;
  for (const int64_t size : shape) {
    if (size < 0) return -1;  // unknown, and has been said
    if (__builtin_mul_overflow(floats, size, &floats))
      return fail(CONVSMITH_BAD_SIZE, "The array has more floats than 64 bits can count."), -1;
  }
  return floats;
}

convsmith_status check_parallel(const convsmith_parallel_for* parallel) {
  if (parallel == nullptr) return CONVSMITH_OK;
  if (parallel->run == nullptr) return fail(CONVSMITH_NULL_POINTER, "run of convsmith_parallel_for is null.");
  if (parallel->threads >= 1) return CONVSMITH_OK;
  return fail(
      CONVSMITH_INVALID_ARGUMENT,
      fmt::format("threads of convsmith_parallel_for is {}; it must be at least 1.", parallel->threads));
}

convsmith_status check_denormals(int32_t denormals) {
  if (denormals == CONVSMITH_DENORMALS_KEEP || denormals == CONVSMITH_DENORMALS_FLUSH) return CONVSMITH_OK;
  return fail(
      CONVSMITH_INVALID_ARGUMENT,
      fmt::format("denormals of convsmith_run_options is {}; it must be 0 (CONVSMITH_DENORMALS_KEEP) or "
                  "1 (CONVSMITH_DENORMALS_FLUSH).",
                  denormals));
}

convsmith_status run(const convsmith_model& model, convsmith_call call,
                     const convsmith_run_options* options) noexcept {
  return guard([&] {
    convsmith_run_options given;
    if (auto bad = read_options(options, given, "convsmith_run_options"); bad != CONVSMITH_OK) return bad;
    if (auto bad = check_parallel(given.parallel); bad != CONVSMITH_OK) return bad;
    if (auto bad = check_denormals(given.denormals); bad != CONVSMITH_OK) return bad;
    if (!are_sizes(call.batch, call.steps)) return fail(CONVSMITH_BAD_SIZE, kBadSizes);
    call.workspace = given.workspace;
    call.parallel = given.parallel;
    if (given.denormals == CONVSMITH_DENORMALS_FLUSH) call.denormals = convsmith::Denormals::kFlush;
    return model.run(call);
  });
}

convsmith_status wrong_count(const convsmith_model& model, size_t inputs, size_t outputs) {
  return fail(CONVSMITH_BAD_SIZE,
              fmt::format("The model has {} inputs and {} outputs; the call has {} and {}.",
                          model.info.inputs, model.info.outputs, inputs, outputs));
}

bool has_counts(const convsmith_model& model, size_t inputs, size_t outputs) {
  return static_cast<size_t>(model.info.inputs) == inputs &&
         static_cast<size_t>(model.info.outputs) == outputs;
}

}  // namespace

}  // namespace convsmith::c_api

using namespace convsmith::c_api;

int64_t convsmith_output_steps(const convsmith_model* model, const int64_t* steps, size_t output) {
  return ask(__func__, model, 1, steps, [&](std::span<const int64_t> given) {
    return check_index("output", output, model->info.outputs) ? model->output_steps(given, output) : -1;
  });
}

int64_t convsmith_input_floats(const convsmith_model* model, size_t input, int64_t batch,
                               const int64_t* steps) {
  return ask(__func__, model, batch, steps, [&](std::span<const int64_t> given) {
    if (!check_index("input", input, model->info.inputs)) return int64_t{-1};
    return product(batch, model->input_shape(input, given));
  });
}

int64_t convsmith_output_floats(const convsmith_model* model, size_t output, int64_t batch,
                                const int64_t* steps) {
  return ask(__func__, model, batch, steps, [&](std::span<const int64_t> given) {
    if (!check_index("output", output, model->info.outputs)) return int64_t{-1};
    return product(batch, model->output_shape(output, given));
  });
}

int64_t convsmith_workspace_bytes(const convsmith_model* model, int64_t batch, const int64_t* steps,
                                  int64_t threads) {
  return ask(__func__, model, batch, steps, [&](std::span<const int64_t> given) -> int64_t {
    if (threads >= 1) return model->workspace_bytes(batch, given, threads);
    return fail(CONVSMITH_INVALID_ARGUMENT, fmt::format("threads is {}; it must be at least 1.", threads)),
           -1;
  });
}

convsmith_status convsmith_thread_pool_create(int64_t threads, convsmith_thread_pool** out) {
  if (out == nullptr) return null_argument(__func__, "out");
  *out = nullptr;
  return guard([&] {
    constexpr int64_t kMaxThreads = 4096;
    if (threads < 0 || threads > kMaxThreads) {
      return fail(CONVSMITH_INVALID_ARGUMENT,
                  fmt::format("threads is {}; it must be from 0 to {}.", threads, kMaxThreads));
    }
    convsmith::ThreadPool pool(static_cast<int>(threads));
    const convsmith::ParallelFor p = pool.parallel_for();
    *out = new convsmith_thread_pool{std::move(pool), {p.run, p.pool, p.threads}};
    return CONVSMITH_OK;
  });
}

void convsmith_thread_pool_destroy(convsmith_thread_pool* pool) {
  delete pool;
}

const convsmith_parallel_for* convsmith_thread_pool_parallel_for(const convsmith_thread_pool* pool) {
  if (pool != nullptr) return &pool->parallel;
  null_argument(__func__, "pool");
  return nullptr;
}

convsmith_status convsmith_run(const convsmith_model* model, const convsmith_weights* weights,
                               const float* input, float* output, int64_t batch, int64_t steps,
                               const convsmith_run_options* options) {
  if (model == nullptr) return null_argument(__func__, "model");
  if (!has_counts(*model, 1, 1)) return guard([&] { return wrong_count(*model, 1, 1); });
  return run(*model, {weights, {&input, 1}, {&output, 1}, batch, {&steps, 1}}, options);
}

convsmith_status convsmith_run_many(const convsmith_model* model, const convsmith_weights* weights,
                                    const float* const* inputs, size_t input_count, float* const* outputs,
                                    size_t output_count, int64_t batch, const int64_t* steps,
                                    const convsmith_run_options* options) {
  if (model == nullptr) return null_argument(__func__, "model");
  if (inputs == nullptr) return null_argument(__func__, "inputs");
  if (outputs == nullptr) return null_argument(__func__, "outputs");
  if (steps == nullptr) return null_argument(__func__, "steps");
  if (!has_counts(*model, input_count, output_count))
    return guard([&] { return wrong_count(*model, input_count, output_count); });
  return run(*model, {weights, {inputs, input_count}, {outputs, output_count}, batch, {steps, input_count}},
             options);
}
