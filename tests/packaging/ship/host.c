/* The same by the library: ./host SPEC, call text or the path of a model. */
#include <convsmith/convsmith.h>

#include "run.h"

static void check(convsmith_status status) {
  if (status == CONVSMITH_OK) return;
  fprintf(stderr, "%s\n", convsmith_last_error());
  exit(2);
}

int main(int argc, char **argv) {
  convsmith_model *model = NULL;
  convsmith_weights *weights = NULL;
  const float *arrays[8];
  size_t sizes[8];
  size_t count = 0, i, j;
  if (argc != 2) return 2;
  if (strchr(argv[1], '(') == NULL) {
    check(convsmith_load_model(argv[1], NULL, NULL, &model));
  } else {
    convsmith_compile_options options;
    memset(&options, 0, sizeof options);
    options.struct_size = sizeof options;
    options.rules = CONVSMITH_RULES_ANY;
    check(convsmith_compile(argv[1], &options, &model));
    for (; convsmith_weight_name(model, (int32_t)count) != NULL; ++count) {
      const int64_t *dims = convsmith_weight_dims(model, (int32_t)count);
      sizes[count] = 1;
      for (i = 0; i < (size_t)convsmith_weight_rank(model, (int32_t)count); ++i) sizes[count] *= (size_t)dims[i];
      arrays[count] = noise(sizes[count], (uint32_t)(count + 1));
    }
    check(convsmith_pack(model, arrays, sizes, count, &weights));
  }
  for (i = 0; i < sizeof kSteps / sizeof *kSteps; ++i) {
    for (j = 0; j < sizeof kBatches / sizeof *kBatches; ++j) {
      const int64_t steps = kSteps[i], batch = kBatches[j];
      const int64_t in_floats = convsmith_input_floats(model, 0, batch, &steps);
      const int64_t out_floats = convsmith_output_floats(model, 0, batch, &steps);
      const int64_t out_steps = convsmith_output_steps(model, &steps, 0);
      float *in = noise((size_t)in_floats, 99);
      float *out = (float *)malloc((size_t)out_floats * sizeof(float) + 1);
      const int status = (int)convsmith_run(model, weights, in, out, batch, steps, NULL);
      print_result(batch, steps, status, out_steps, out, (size_t)out_floats);
      free(out);
      free(in);
    }
  }
  return 0;
}
