/* Runs something on data that both programs here make alike, and prints what comes out: "batch steps status
 * output_steps hash" a line. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t state;
static float *noise(size_t count, uint32_t seed) {
  float *values = (float *)malloc(count * sizeof(float) + 1);
  size_t i;
  state = seed * 2654435761u + 1u;
  for (i = 0; values != NULL && i < count; ++i) {
    state = state * 1664525u + 1013904223u;
    values[i] = (float)((int32_t)state >> 8) / 8388608.0f;
  }
  return values;
}

/* FNV-1a over the bits. */
static uint64_t hash_of(const float *values, size_t count) {
  uint64_t hash = 14695981039346656037u;
  size_t i;
  int j;
  for (i = 0; i < count; ++i) {
    uint32_t bits;
    memcpy(&bits, &values[i], sizeof bits);
    for (j = 0; j < 4; ++j) hash = (hash ^ (bits >> (8 * j) & 255u)) * 1099511628211u;
  }
  return hash;
}

static const int64_t kSteps[] = {0, 1, 5, 64, 203};
static const int64_t kBatches[] = {1, 3};

static void print_result(int64_t batch, int64_t steps, int status, int64_t out_steps, const float *out, size_t count) {
  printf("%" PRId64 " %" PRId64 " %d %" PRId64 " %016" PRIx64 "\n", batch, steps, status, out_steps,
         status == 0 ? hash_of(out, count) : 0);
}
