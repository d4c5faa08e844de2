/* Takes the noise out of an ECG: raw float32 samples (millivolts, 360 a second) from a file or standard input, raw
 * float32 samples to standard output.
 *
 *   ./denoise [FILE] > clean.f32
 *
 * ecg.h and ecg.o are the trained network ../ecg/model.keras, compiled by `convsmith compile` (see the Makefile). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "ecg.h"

/* All samples of the file; null if there is no memory for them. */
static float *read_all(FILE *file, size_t *count) {
  size_t room = 4096;
  float *samples = malloc(room * sizeof(float));
  *count = 0;
  while (samples != NULL) {
    *count += fread(samples + *count, sizeof(float), room - *count, file);
    if (*count < room) break;
    room *= 2;
    float *more = realloc(samples, room * sizeof(float));
    if (more == NULL) free(samples);
    samples = more;
  }
  return samples;
}

static int fail(const char *sentence) {
  fprintf(stderr, "denoise: %s\n", sentence);
  return EXIT_FAILURE;
}

int main(int argc, char **argv) {
  FILE *file = argc > 1 ? fopen(argv[1], "rb") : stdin;
  if (file == NULL) return perror(argv[1]), EXIT_FAILURE;
  size_t count;
  float *signal = read_all(file, &count);
  if (signal == NULL) return fail("not enough memory");
  if (ferror(file)) return fail("the signal can't be read");

  const int64_t steps = (int64_t)count;
  const int64_t out_steps = ecg_output_steps(steps);
  const int64_t workspace_bytes = ecg_workspace_bytes(1, steps);
  if (out_steps < 0 || workspace_bytes < 0) return fail("the signal is too long");
  float *clean = malloc((size_t)out_steps * sizeof(float) + 1);
  void *workspace = malloc((size_t)workspace_bytes + 1);
  if (clean == NULL || workspace == NULL) return fail("not enough memory");

  const int status = ecg_run(signal, clean, 1, steps, workspace); /* 1 sample of so many steps */
  if (status != 0) {
    fprintf(stderr, "denoise: ecg_run failed with status %d (see ecg.h)\n", status);
    return EXIT_FAILURE;
  }
  if (fwrite(clean, sizeof(float), (size_t)out_steps, stdout) != (size_t)out_steps || fflush(stdout) != 0)
    return fail("the result can't be written");
  free(workspace);
  free(clean);
  free(signal);
  return EXIT_SUCCESS;
}
