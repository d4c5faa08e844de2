/* Linked with an artifact called "shipped"; ARRAYS is its number of weight arrays. */
#include "run.h"
#include "shipped.h"

/* The numbers behind `key` in shipped_info(). */
static int64_t number(const char *key, int which) {
  const char *at = strstr(shipped_info(), key);
  char *end;
  int64_t value = 0;
  if (at == NULL) exit(3);
  for (at += strlen(key); which >= 0; --which, at = end) value = strtoll(at, &end, 10);
  return value;
}

int main(int argc, char **argv) {
  size_t i, j;
  if (argc > 1 && strcmp(argv[1], "variant") == 0) {
    const char *variant = strstr(shipped_info(), "variant: ");
    printf("%.*s\n", (int)strcspn(variant + 9, "\n"), variant + 9);
    return 0;
  }
#if ARRAYS > 0
  {
    float *weights[3];
    for (i = 0; i < ARRAYS; ++i)
      weights[i] = noise((size_t)number("\narrays: ", (int)i + 1), (uint32_t)(i + 1));
    void *packed = malloc((size_t)shipped_packed_bytes());
#if ARRAYS == 1
    if (shipped_pack(weights[0], packed) != 0) return 4;
#elif ARRAYS == 2
    if (shipped_pack(weights[0], weights[1], packed) != 0) return 4;
#else
    if (shipped_pack(weights[0], weights[1], weights[2], packed) != 0) return 4;
#endif
#define PACKED packed,
#else
  {
#define PACKED
#endif
    for (i = 0; i < sizeof kSteps / sizeof *kSteps; ++i) {
      for (j = 0; j < sizeof kBatches / sizeof *kBatches; ++j) {
        const int64_t steps = kSteps[i], batch = kBatches[j];
        const int64_t out_steps = shipped_output_steps(steps);
        const size_t count = (size_t)(batch * out_steps * number("\nout_channels: ", 0));
        float *in = noise((size_t)(batch * steps * number("\nin_channels: ", 0)), 99);
        float *out = (float *)malloc(count * sizeof(float) + 1);
        void *workspace = malloc((size_t)shipped_workspace_bytes(batch, steps) + 1);
        const int status = shipped_run(PACKED in, out, batch, steps, workspace);
        print_result(batch, steps, status, out_steps, out, count);
        free(workspace);
        free(out);
        free(in);
      }
    }
  }
  return 0;
}
