// The C header of an artifact.
#include <fmt/format.h>

#include <algorithm>

#include "ir/graph/extent_formulas.hpp"
#include "ir/graph/graph_work.hpp"
#include "runtime/aot/artifact.hpp"
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

// Numbers of steps by the symbols that the functions of the header have for them.
class Sizes {
 public:
  explicit Sizes(const ir::Graph& graph)
      : g_(graph),
        one_(graph.inputs.size() == 1 && graph.outputs.size() == 1),
        formulas_(
            ir::extent_formulas(graph, [&](int64_t input) { return steps(static_cast<size_t>(input)); })) {}

  bool has_one_input_and_output() const { return one_; }

  // The steps of an input: a symbol, or the only number that there may be.
  std::string steps(size_t input) const {
    if (pinned(input)) return std::to_string(*g_.pinned_steps[input]);
    return symbol(input);
  }
  std::string symbol(size_t input) const { return one_ ? "steps" : fmt::format("steps[{}]", input); }
  bool pinned(size_t input) const { return input < g_.pinned_steps.size() && g_.pinned_steps[input]; }

  std::string input_shape(size_t i) const { return shape(g_.inputs[i], g_.input_shapes, i, "..."); }
  std::string output_shape(size_t i) const { return shape(g_.outputs[i], g_.output_shapes, i, call(i)); }
  std::string output_steps(size_t i) const { return steps_of(g_.outputs[i], call(i)); }

  // What must be equal, because layers combine tensors: "8 * ((steps + 7) / 8) == steps (add)".
  std::vector<std::string> conditions() const {
    std::vector<std::string> all;
    for (const ir::SameSteps& pair : g_.same_steps) {
      const std::string& a = formulas_[static_cast<size_t>(pair.a)];
      const std::string& b = formulas_[static_cast<size_t>(pair.b)];
      if (a.empty() || b.empty() || a == b) continue;
      const std::string equation = fmt::format("{} == {}", a, b);
      const auto is_same = [&](const std::string& known) { return known.starts_with(equation + " ("); };
      if (std::none_of(all.begin(), all.end(), is_same))
        all.push_back(fmt::format("{} ({})", equation, comment_text(pair.name)));
    }
    for (const ir::BatchSteps& met : g_.batch_steps) {
      const std::string& steps = formulas_[static_cast<size_t>(met.extent)];
      const std::string_view number = steps.empty() ? "the steps that it meets" : std::string_view(steps);
      all.push_back(fmt::format("batch == 1 or batch == {} ({})", number, comment_text(met.name)));
    }
    return all;
  }

 private:
  // What gives the number where its formula is too long.
  std::string call(size_t output) const {
    return one_ ? "NAME_output_steps(steps)" : fmt::format("NAME_output_steps(steps, {})", output);
  }
  std::string steps_of(int tensor, const std::string& otherwise) const {
    const std::string& formula =
        formulas_[static_cast<size_t>(g_.tensors[static_cast<size_t>(tensor)].steps)];
    return formula.empty() ? otherwise : formula;
  }

  // "(batch, steps, 3)"; a model's shapes as its file has them.
  std::string shape(int tensor, const std::vector<std::vector<ir::Axis>>& shapes, size_t i,
                    const std::string& otherwise) const {
    const ir::GraphTensor& t = g_.tensors[static_cast<size_t>(tensor)];
    if (i >= shapes.size()) {
      const std::string own = steps_of(tensor, otherwise);
      return t.layout == Layout::kChannelsLast ? fmt::format("(batch, {}, {})", own, t.channels)
                                               : fmt::format("(batch, {}, {})", t.channels, own);
    }
    std::string text = "(batch";
    for (const ir::Axis& axis : shapes[i]) {
      const std::string size = ir::axis_formula(axis, formulas_);
      const bool is_steps = axis.extent == t.steps && axis.size == 1;
      text += ", " + (!size.empty() ? size : is_steps ? otherwise : "...");
    }
    return text + ")";
  }

  const ir::Graph& g_;
  bool one_;
  std::vector<std::string> formulas_;
};

// What the arrays are.
std::string arrays_text(const ir::Graph& g, const Sizes& sizes) {
  bool is_pinned = false;
  for (size_t i = 0; i < g.inputs.size(); ++i) is_pinned |= sizes.pinned(i);
  std::string text = is_pinned ? "Any batch, 0 to 2^40." : "Any batch and any number of steps, 0 to 2^40.";
  if (sizes.has_one_input_and_output()) {
    text += fmt::format(
        " `steps` are those of the input, here and in all functions.\n"
        " *   in:  {}, NAME_input_floats(batch, steps) floats\n"
        " *   out: {}, NAME_output_floats(batch, steps) floats\n"
        " * Dense arrays of float32 that do not overlap.\n",
        sizes.input_shape(0), sizes.output_shape(0));
  } else {
    text +=
        " in, out and steps are arrays: pointers to dense\n"
        " * arrays of float32 that do not overlap, and the steps of each input (1 for one without steps).\n";
    for (size_t i = 0; i < g.inputs.size(); ++i)
      text += fmt::format(" *   in[{0}]: {1}, NAME_input_floats(batch, steps, {0}) floats: {2}\n", i,
                          sizes.input_shape(i), comment_text(g.input_names[i]));
    for (size_t i = 0; i < g.outputs.size(); ++i)
      text += fmt::format(" *   out[{0}]: {1}, NAME_output_floats(batch, steps, {0}) floats: {2}\n", i,
                          sizes.output_shape(i), comment_text(g.output_names[i]));
  }
  for (size_t i = 0; i < g.inputs.size(); ++i) {
    if (sizes.pinned(i))
      text +=
          fmt::format(" * {} must be {}: a layer inside needs that many.\n", sizes.symbol(i), sizes.steps(i));
  }
  for (const std::string& condition : sizes.conditions())
    text += fmt::format(" * Layers inside need {}.\n", condition);
  return text;
}

// What a step sees, and what it costs.
std::string work_text(const ir::Graph& graph, const Sizes& sizes) {
  const bool one = sizes.has_one_input_and_output();
  std::string seen;
  const auto fields = ir::receptive_fields(graph);
  for (size_t i = 0; i < fields.size(); ++i) {
    const std::string of = one ? "the input" : fmt::format("in[{}]", i);
    seen += i == 0 ? "" : i + 1 < fields.size() ? ", " : " and ";
    seen += fields[i] ? fmt::format("at most {} step{} of {}", *fields[i], *fields[i] == 1 ? "" : "s", of)
                      : fmt::format("all steps of {}", of);
  }
  return fmt::format(" * A step of the output depends on {}. A step of the input costs {} multiply-adds.\n",
                     seen, ir::multiply_adds_per_step(graph));
}

std::string steps_text(const Sizes& sizes) {
  if (!sizes.has_one_input_and_output()) return "Steps of an output, as its shape above has them.";
  const std::string formula = sizes.output_steps(0);
  return sizes.pinned(0) || formula.starts_with("NAME") ? "Steps of the output."
                                                        : "Steps of the output: " + formula + ".";
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
  const Sizes sizes(source.graph);
  const bool one = sizes.has_one_input_and_output();
  const bool embedded = source.weights.empty();
  const std::string steps = one ? "int64_t steps" : "const int64_t *steps";
  const std::string run =
      fmt::format("{}{}, int64_t batch, {}, void *workspace", embedded ? "" : "const void *packed, ",
                  one ? "const float *in, float *out" : "const float *const *in, float *const *out", steps);
  const std::string spec = comment_text(source.spec);
  std::string text =
      fmt::format(R"(/* {} - made by convsmith {}; do not edit.
 *
 * Code for: {}. It needs nothing but this object: no library, no thread, no allocation. Any
 * number of threads may call it at once.
 *
{} */
#ifndef CONVSMITH_ARTIFACT_NAME_H
#define CONVSMITH_ARTIFACT_NAME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif

)",
                  spec, CONVSMITH_VERSION, variants_text(variants), work_text(source.graph, sizes));
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
/* {} * workspace: NAME_workspace_bytes(batch, steps) bytes with the alignment of malloc; null where that is 0. The
 * results are the same bits on every CPU, for every number of threads.
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

/* {}
 * 0 where there are too few for one, -1 for numbers below 0 or above 2^40. */
int64_t NAME_output_steps({});

/* Floats of a whole array, the batch included; -1 likewise. */
int64_t NAME_input_floats(int64_t batch, {});
int64_t NAME_output_floats(int64_t batch, {});

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
                      arrays_text(source.graph, sizes), run, run, run, run, steps_text(sizes),
                      one ? steps : steps + ", int64_t output", one ? steps : steps + ", int64_t input",
                      one ? steps : steps + ", int64_t output", steps, steps);
  replace_all(text, "NAME", options.name);
  replace_all(text, kForeignName, "NAME");
  return text;
}

}  // namespace convsmith
