/* A stand-in for what `convsmith compile` makes, named `two_taps`: y[t] = k[0] x[t] + k[1] x[t + 1] + bias for
 * one channel. By -D: PACKED takes the weights from the caller, MULTI has two inputs and two outputs (each its
 * own convolution), NO_PARALLEL leaves a function out, INFO replaces the info text. It goes through its
 * workspace, and answers 6 if it gets none. */
#include <stddef.h>
#include <stdint.h>

typedef struct convsmith_parallel_for {
  void (*run)(void *pool, void (*task)(void *context, size_t i), void *context, size_t count);
  void *pool;
  int64_t threads;
} convsmith_parallel_for;

#ifdef PACKED
#define WEIGHTS_ARGUMENT const void *packed,
#define WEIGHTS ((const float *)packed)
#define WEIGHTS_TEXT "weights: packed\narrays: 2 2 1\n"
int64_t two_taps_packed_bytes(void) { return 12; }
int two_taps_pack(const float *kernel, const float *bias, void *packed) {
  float *w = packed;
  w[0] = kernel[0];
  w[1] = kernel[1];
  w[2] = bias[0];
  return 0;
}
#else
#define WEIGHTS_ARGUMENT
#define WEIGHTS embedded
#define WEIGHTS_TEXT "weights: embedded\n"
static const float embedded[3] = {2, 3, 5};
#endif

typedef struct job {
  const float *in, *weights;
  float *out, *workspace;
  int64_t steps;
} job;

static void run_sample(void *context, size_t i) {
  const job *j = context;
  const float *x = j->in + (int64_t)i * j->steps;
  float *y = j->out + (int64_t)i * (j->steps - 1);
  float *w = j->workspace + (int64_t)i * j->steps;
  for (int64_t t = 0; t < j->steps; ++t) w[t] = x[t];
  for (int64_t t = 0; t + 1 < j->steps; ++t)
    y[t] = j->weights[0] * w[t] + j->weights[1] * w[t + 1] + j->weights[2];
}

static int run(const float *weights, const float *in, float *out, int64_t batch, int64_t steps,
               void *workspace, const convsmith_parallel_for *parallel) {
  job j = {in, weights, out, workspace, steps};
  if (in == NULL || out == NULL) return 1;
  if (batch < 0 || steps < 0) return 2;
  if (steps < 2) return 3;
  if (workspace == NULL) return 6;
  if (steps == 77) return 99; /* no status at all */
  if (parallel != NULL) {
    parallel->run(parallel->pool, run_sample, &j, (size_t)batch);
  } else {
    for (int64_t i = 0; i < batch; ++i) run_sample(&j, (size_t)i);
  }
  return 0;
}

static int64_t bytes(int64_t batch, int64_t steps) { return steps == 78 ? -1 : batch * steps * 4; }

#ifndef MULTI
#define PORTS "inputs: 1\noutputs: 1\nin_channels: 1\nout_channels: 1\n"
int64_t two_taps_output_steps(int64_t steps) { return steps < 0 ? -1 : steps < 2 ? 0 : steps - 1; }
int64_t two_taps_workspace_bytes(int64_t batch, int64_t steps) { return bytes(batch, steps); }
int64_t two_taps_parallel_workspace_bytes(int64_t batch, int64_t steps, int64_t threads) {
  return bytes(batch, steps) + 0 * threads;
}
int two_taps_run(WEIGHTS_ARGUMENT const float *in, float *out, int64_t batch, int64_t steps, void *workspace) {
  return run(WEIGHTS, in, out, batch, steps, workspace, NULL);
}
#ifndef NO_PARALLEL
int two_taps_run_parallel(WEIGHTS_ARGUMENT const float *in, float *out, int64_t batch, int64_t steps,
                          void *workspace, const convsmith_parallel_for *parallel) {
  return run(WEIGHTS, in, out, batch, steps, workspace, parallel);
}
#endif
#else
#define PORTS "inputs: 2\noutputs: 2\nin_channels: 1 1\nout_channels: 1 1\n"
int64_t two_taps_output_steps(const int64_t *steps, int64_t output) { return steps[output] - 1; }
int64_t two_taps_workspace_bytes(int64_t batch, const int64_t *steps) {
  return bytes(batch, steps[0]) + bytes(batch, steps[1]);
}
int64_t two_taps_parallel_workspace_bytes(int64_t batch, const int64_t *steps, int64_t threads) {
  return bytes(batch, steps[0]) + bytes(batch, steps[1]) + 0 * threads;
}
int two_taps_run_parallel(WEIGHTS_ARGUMENT const float *const *in, float *const *out, int64_t batch,
                          const int64_t *steps, void *workspace, const convsmith_parallel_for *parallel) {
  const int status = run(WEIGHTS, in[0], out[0], batch, steps[0], workspace, parallel);
  if (status != 0) return status;
  return run(WEIGHTS, in[1], out[1], batch, steps[1], workspace, parallel);
}
int two_taps_run(WEIGHTS_ARGUMENT const float *const *in, float *const *out, int64_t batch,
                 const int64_t *steps, void *workspace) {
  const int status = run(WEIGHTS, in[0], out[0], batch, steps[0], workspace, NULL);
  if (status != 0) return status;
  return run(WEIGHTS, in[1], out[1], batch, steps[1], workspace, NULL);
}
#endif

const char *two_taps_info(void) {
#ifdef INFO
  return INFO;
#else
  return "name: two_taps\nspec: Conv1D(1, 2, input_shape=(None, 1))\nversion: 0.1.0\n" PORTS WEIGHTS_TEXT;
#endif
}
