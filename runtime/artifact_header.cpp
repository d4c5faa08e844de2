// The C header of an artifact.
#include <fmt/format.h>

#include "runtime/artifact.hpp"
#include "runtime/compile.hpp"

namespace convsmith {

namespace {

// "NAME" of somebody else, until the artifact's own name is put in.
constexpr std::string_view kForeignName = "\x01";

constexpr const char* kShared = R"(#ifndef CONVSMITH_PARALLEL_FOR_DEFINED
#define CONVSMITH_PARALLEL_FOR_DEFINED
/* Somebody's thread pool: run() calls task(context, i) for every i below count, in any order and on any
   threads, and returns when all are done. At most `threads` of them are asked for at once. */
typedef struct convsmith_parallel_for {
  void (*run)(void *pool, void (*task)(void *context, size_t i), void *context, size_t count);
  void *pool;
  int64_t threads;
} convsmith_parallel_for;
#endif
)";

void replace_all(std::string& text, std::string_view what, std::string_view by) {
  for (size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += by.size())
    text.replace(at, what.size(), by);
}

// Foreign text, such as a layer's name from a model file, as a comment may hold it: one line of ASCII that
// ends no comment and begins none. What stands for the artifact's name stays what it is.
std::string comment_text(std::string text) {
  for (char& c : text) {
    if (c < ' ' || c > '~') c = '?';
  }
  replace_all(text, "*/", "*?");
  replace_all(text, "/*", "?*");
  replace_all(text, "NAME", kForeignName);
  return text;
}

std::string parameters(const std::vector<WeightShape>& weights) {
  std::string text;
  for (const WeightShape& weight : weights) text += fmt::format("const float *{}, ", weight.name);
  return text;
}

std::string shapes(const std::vector<WeightShape>& weights) {
  std::string text;
  for (const WeightShape& weight : weights)
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", weight.name, fmt::join(weight.shape, ", "));
  return text;
}

// "(batch, steps, 3)"; a model's shapes as its file has them.
std::string tensor_text(const ir::Graph& graph, int tensor, const std::vector<std::vector<ir::Axis>>& shapes,
                        size_t i) {
  const ir::GraphTensor& t = graph.tensors[static_cast<size_t>(tensor)];
  if (i >= shapes.size()) {
    return t.layout == Layout::kChannelsLast ? fmt::format("(batch, steps, {})", t.channels)
                                             : fmt::format("(batch, {}, steps)", t.channels);
  }
  std::string text = "(batch";
  for (const ir::Axis& axis : shapes[i]) {
    text += axis.extent < 0 ? fmt::format(", {}", axis.size)
                            : fmt::format(", {}steps", axis.size == 1 ? "" : fmt::format("{}*", axis.size));
  }
  return text + ")";
}

// What the arrays are.
std::string arrays_text(const ArtifactSource& source) {
  const ir::Graph& g = source.graph;
  const auto input = [&](size_t i) { return tensor_text(g, g.inputs[i], g.input_shapes, i); };
  const auto output = [&](size_t i) { return tensor_text(g, g.outputs[i], g.output_shapes, i); };
  std::string pinned;
  for (size_t i = 0; i < g.pinned_steps.size(); ++i) {
    if (g.pinned_steps[i])
      pinned += fmt::format(" * A layer inside needs {} steps{}.\n", *g.pinned_steps[i],
                            g.inputs.size() > 1 ? fmt::format(" of in[{}]", i) : "");
  }
  if (g.inputs.size() == 1 && g.outputs.size() == 1) {
    const bool has_steps = output(0).find("steps") != std::string::npos;
    return fmt::format(" * in {}, out {}{}: dense float32 arrays.\n", input(0), output(0),
                       has_steps ? " with NAME_output_steps(steps) steps" : "") +
           pinned;
  }
  std::string text =
      " * in, out and steps are arrays: a pointer for each input and output to dense float32 values, and a "
      "number\n"
      " * of steps for each input (1 for one without steps).\n";
  for (size_t i = 0; i < g.inputs.size(); ++i)
    text += fmt::format(" *   in[{}] {}: {}\n", i, input(i), comment_text(g.input_names[i]));
  for (size_t i = 0; i < g.outputs.size(); ++i)
    text += fmt::format(" *   out[{}] {}: {}\n", i, output(i), comment_text(g.output_names[i]));
  return text + pinned;
}

std::string variants_text(const std::vector<ArtifactVariant>& variants) {
  std::string text;
  for (const ArtifactVariant& variant : variants)
    text += fmt::format("{}{}", text.empty() ? "" : ", ", isa_name(variant.isa));
  return text;
}

}  // namespace

std::string artifact_header(const ArtifactSource& source, const ArtifactOptions& options,
                            const std::vector<ArtifactVariant>& variants) {
  const ir::Graph& g = source.graph;
  const bool one = g.inputs.size() == 1 && g.outputs.size() == 1;
  const bool embedded = source.weights.empty();
  const std::string steps = one ? "int64_t steps" : "const int64_t *steps";
  const std::string run =
      fmt::format("{}{}, int64_t batch, {}, void *workspace", embedded ? "" : "const void *packed, ",
                  one ? "const float *in, float *out" : "const float *const *in, float *const *out", steps);
  const std::string spec = comment_text(source.spec);
  std::string text = fmt::format(R"(/* {} - made by convsmith {}; do not edit.
 *
 * Code for: {}. It needs nothing but this object: no library, no thread, no allocation. Any
 * number of threads may call it at once.
 */
#ifndef CONVSMITH_ARTIFACT_NAME_H
#define CONVSMITH_ARTIFACT_NAME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

)",
                                 spec, CONVSMITH_VERSION, variants_text(variants));
  text += kShared;
  if (!embedded) {
    text += fmt::format(R"(
/* Bytes that NAME_pack fills; -1 on a CPU that runs none of the variants. They are the same on every CPU: what
 * was packed on one works on another. */
int64_t NAME_packed_bytes(void);

/* Copies weights as Keras keeps them, {},
 * to `packed`, which needs the alignment of malloc. Once, before the first run. Gives 0,
 * 1 where an array is null, or 7 as NAME_run. */
int NAME_pack({}void *packed);
)",
                        shapes(source.weights), parameters(source.weights));
  }
  text += fmt::format(R"(
/* Any batch and any number of steps, 0 to 2^40.
{} * They must not overlap. workspace: NAME_workspace_bytes(batch, steps) bytes with the alignment of malloc; null
 * where that is 0. The results are the same bits on every CPU, for every number of threads.
 *
 * Gives 0, or
 *   1  an array or the workspace is null
 *   2  batch or steps is below 0 or above 2^40
 *   3  there are steps, but too few for one output step
 *   5  the layers inside need another number of steps, or inputs do not match each other
 *   7  this CPU runs none of the variants
 */
int NAME_run({});

/* The same on several threads; parallel may be null. The workspace is that of
 * NAME_parallel_workspace_bytes(batch, steps, parallel->threads). Threads round and flush denormals as the
 * caller does while they work for it. */
int NAME_run_parallel({}, const convsmith_parallel_for *parallel);

/* The same two, but numbers below 2^-126 (denormals) count as zeros, in all threads. For audio and other
 * signals that fade away: many CPUs compute with such numbers a hundred times slower. The control word of the
 * caller (MXCSR, FPCR) is the same afterwards, whatever comes of the call. */
int NAME_run_flush({});
int NAME_run_parallel_flush({}, const convsmith_parallel_for *parallel);

/* Steps of the output for so many of the input, 0 where there is none; -1 for numbers below 0 or above 2^40. */
int64_t NAME_output_steps({});

/* Bytes of memory that a run uses beside its arrays (NAME_run refuses 2^60 and more); -1 for numbers below 0 or
 * above 2^40. */
int64_t NAME_workspace_bytes(int64_t batch, {});
int64_t NAME_parallel_workspace_bytes(int64_t batch, {}, int64_t threads);

/* Lines "key: value": what this is, and which variant this CPU runs. */
const char *NAME_info(void);

#ifdef __cplusplus
}}
#endif

#endif
)",
                      arrays_text(source), run, run, run, run, one ? steps : steps + ", int64_t output",
                      steps, steps);
  replace_all(text, "NAME", options.name);
  replace_all(text, kForeignName, "NAME");
  return text;
}

}  // namespace convsmith
