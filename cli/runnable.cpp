// From what SPEC is to something that runs: one function for each kind of subject.
#include <fmt/format.h>

#include <chrono>

#include "cli/file_isa.hpp"
#include "cli/run.hpp"
#include "cli/verify/nest_file.hpp"
#include "convsmith/model.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/weight_shapes.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/compile.hpp"
#include "runtime/layer_data.hpp"
#include "runtime/model.hpp"
#include "runtime/objects/initialize_weights.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith::cli {
namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

Shape open_shape(const std::vector<int64_t>& shape) {
  return {shape.begin(), shape.end()};
}

double size_of(const std::vector<int64_t>& shape) {
  double size = 1;
  for (const int64_t axis : shape) size *= static_cast<double>(axis);
  return size;
}

// Where the number of output steps has become a straight line of the number of input steps.
constexpr int64_t kManySteps = int64_t{1} << 24;

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

std::string drawn_text(const CommonOptions& options) {
  return fmt::format("drawn from the initializers, seed {}", options.seed);
}

Layout layout_of(const LayerSpec& spec) {
  return spec.data_format == DataFormat::kChannelsLast ? Layout::kChannelsLast : Layout::kChannelsFirst;
}

Result<LayerInput> arrange_for(ReadInput input, bool dense, Layout layout) {
  const SignalFile& file = input.file;
  if (dense) return arrange_features(std::move(input.signal.tensor), file.path);
  Result<LayerInput> arranged = arrange_input(std::move(input.signal.tensor), file.format, layout, file.path);
  if (arranged && arranged->single) {
    const bool rows = file.format != FileFormat::kNpy || layout == Layout::kChannelsLast;
    print_note(fmt::format("{} is taken as one sample of {}.", file.path,
                           rows ? "(steps, channels)" : "(channels, steps)"));
  }
  return arranged;
}

Result<LayerInput> only_input(std::vector<ReadInput> inputs, bool dense, Layout layout) {
  if (inputs.size() != 1)
    return refuse(fmt::format("--input is given {} times; a layer has one.", inputs.size()));
  return arrange_for(std::move(inputs[0]), dense, layout);
}

// Weights twice: as Keras keeps them, and packed.
Result<void> check_sizes(const std::vector<WeightShape>& weights, const std::vector<int64_t>& output) {
  double floats = size_of(output);
  for (const WeightShape& weight : weights) floats += 2 * size_of(weight.shape);
  return check_memory("The layer with this input", floats * sizeof(float));
}

// The shape that was declared fixes the channels; the number of steps is free.
Result<void> check_declared(const LayerSpec& spec, const CommonOptions& options, const Shape& shape) {
  if (spec.input_shape.empty() && options.input_shape.empty()) return {};
  const Result<LayerProblem> declared = layer_problem_for(spec, options);
  if (!declared) return tl::unexpected(declared.error());
  if (const auto output = output_shape(*declared, shape); !output) return tl::unexpected(output.error());
  const Shape& own = options.input_shape.empty() ? spec.input_shape : options.input_shape;
  if (spec.kind == LayerKind::kDense) return {};
  const size_t from_end = spec.data_format == DataFormat::kChannelsLast ? 2 : 1;
  const std::optional<int64_t> steps = own[own.size() - from_end];
  const std::optional<int64_t> found = shape[shape.size() - from_end];
  if (steps && steps != found) {
    print_note(
        fmt::format("The input has {} steps, not the {} of the declared shape: all of them are computed.",
                    *found, *steps));
  }
  return {};
}

Result<std::vector<int64_t>> find_output_shape(const LayerProblem& problem, const Shape& input) {
  const Result<Shape> shape = output_shape(problem, input);
  if (!shape) return tl::unexpected(shape.error());
  std::vector<int64_t> sizes;
  for (const std::optional<int64_t>& axis : *shape) sizes.push_back(*axis);
  return sizes;
}

// The input of a layer, its problem and what comes out, all checked.
struct LayerCall {
  LayerInput input;
  Shape shape;
  LayerProblem problem;
  std::vector<int64_t> output;
  std::vector<Tensor> weights;
};

Result<LayerCall> prepare_layer(const LayerSpec& spec, std::vector<ReadInput> inputs,
                                const CommonOptions& options, const std::string& weights_path) {
  Result<LayerInput> input = only_input(std::move(inputs), spec.kind == LayerKind::kDense, layout_of(spec));
  if (!input) return tl::unexpected(input.error());
  Shape shape = open_shape(input->tensor.shape);
  if (Result<void> done = check_declared(spec, options, shape); !done) return tl::unexpected(done.error());
  Result<LayerProblem> problem = make_layer_problem(spec, shape, options.rules);
  if (!problem) return tl::unexpected(problem.error());
  Result<std::vector<int64_t>> output = find_output_shape(*problem, shape);
  if (!output) return tl::unexpected(output.error());
  const int64_t channels = problem->chain.front().channels;
  const std::vector<WeightShape> shapes = weight_shapes(spec, channels);
  if (Result<void> done = check_sizes(shapes, *output); !done) return tl::unexpected(done.error());
  Result<std::vector<Tensor>> weights = weights_path.empty()
                                            ? initialize_weights(spec, channels, options.seed)
                                            : read_weights(weights_path, shapes);
  if (!weights) return tl::unexpected(weights.error());
  return LayerCall{std::move(*input), std::move(shape), std::move(*problem), std::move(*output),
                   std::move(*weights)};
}

Result<PackedWeights> pack(const CompiledLayer& layer, const std::vector<Tensor>& weights) {
  std::vector<std::span<const float>> arrays;
  for (const Tensor& weight : weights) arrays.emplace_back(weight.data);
  return layer.pack(arrays);
}

// Output steps for one more input step, of long inputs.
double steps_ratio(const ir::Graph& graph) {
  const auto output_steps = [&](int64_t steps) {
    const auto& output = graph.tensors[static_cast<size_t>(graph.outputs[0])];
    return ir::evaluate_extents(graph, {&steps, 1})[static_cast<size_t>(output.steps)];
  };
  return static_cast<double>(output_steps(2 * kManySteps) - output_steps(kManySteps)) /
         static_cast<double>(kManySteps);
}

Result<Runnable> make_layer(const LayerSpec& spec, std::vector<ReadInput> inputs,
                            const CommonOptions& options, const std::string& weights_path) {
  Result<LayerCall> call = prepare_layer(spec, std::move(inputs), options, weights_path);
  if (!call) return tl::unexpected(call.error());
  const Clock::time_point begin = Clock::now();
  const Result<CompiledLayer> layer = compile(spec, {.backend = options.backend,
                                                     .isa = options.isa,
                                                     .rules = options.rules,
                                                     .input_shape = call->shape,
                                                     .schedule = options.schedule,
                                                     .tuning = options.tuning});
  const double compile_us = microseconds_since(begin);
  if (!layer) return tl::unexpected(layer.error());
  const Result<PackedWeights> packed = pack(*layer, call->weights);
  if (!packed) return tl::unexpected(packed.error());
  const Result<ir::Graph> graph = ir::build_graph(spec, call->problem.chain.front().channels, options.rules);
  const int64_t far = layer->output_steps(2 * kManySteps) - layer->output_steps(kManySteps);
  const double ratio = static_cast<double>(far) / static_cast<double>(kManySteps);
  const auto run = [layer = *layer, packed = *packed, batch = call->input.batch, steps = call->input.steps](
                       std::span<const float* const> in, std::span<float* const> out,
                       const RunOptions& run_options) {
    return layer.run(packed, in[0], out[0], batch, steps, run_options);
  };
  Runnable result{.kind = "layer",
                  .text = to_call_text(spec),
                  .weights = weights_path.empty() ? drawn_text(options) : weights_path,
                  .inputs = {},
                  .input_names = {"input"},
                  .input_layout = layout_of(spec),
                  .outputs = {{"output", std::move(call->output), layout_of(spec), ratio}},
                  .backend = layer->backend(),
                  .isa = layer->isa(),
                  .code_bytes = layer->code_bytes(),
                  .passes = graph ? ir::passes_over_memory(*graph) : 1,
                  .compile_us = compile_us,
                  .run = run};
  result.inputs.push_back(std::move(call->input));
  return result;
}

// What a nest's weights are called and shaped like.
std::vector<WeightShape> nest_weights(const Problem& p) {
  std::vector<WeightShape> shapes;
  if (p.has_weights()) shapes.push_back({"kernel", {p.taps, p.group_channels(), p.filters}});
  if (p.has_bias) shapes.push_back({"bias", {p.filters}});
  return shapes;
}

Result<std::vector<Tensor>> find_nest_weights(const Problem& p, const CommonOptions& options,
                                              const std::string& path) {
  if (!path.empty()) return read_weights(path, nest_weights(p));
  // A nest says nothing of initializers: it gets Keras's defaults.
  const LayerSpec spec{
      .filters = p.filters, .kernel_size = p.taps, .groups = p.groups, .use_bias = p.has_bias};
  Result<std::vector<Tensor>> drawn = initialize_weights(spec, p.channels, options.seed);
  if (drawn && !p.has_weights()) drawn->erase(drawn->begin());
  return drawn;
}

// All the nests of a layer.
Result<Runnable> make_nests(const NestFile& file, std::vector<ReadInput> inputs, const CommonOptions& options,
                            const std::string& weights_path) {
  const auto layers = layers_of(file);
  if (!layers) return tl::unexpected(in_file(options.spec, layers.error()));
  if (layers->size() > 1) {
    return refuse(
        fmt::format("{} holds {} nests, each a layer of its own; run takes one, or all of one layer "
                    "behind a line 'layer ...'.",
                    options.spec, layers->size()));
  }
  const NestedLayer& nested = layers->front();
  CommonOptions any = options;
  any.rules = Rules::kAny;
  Result<LayerCall> call = prepare_layer(nested.spec, std::move(inputs), any, weights_path);
  if (!call) return tl::unexpected(call.error());
  const Result<Choice> choice = choose_backend(options.backend, isa_of(file, options.isa));
  if (!choice) return tl::unexpected(choice.error());
  KernelCache kernels;
  const Clock::time_point begin = Clock::now();
  const auto graph = compile_nests(nested, {choice->backend, choice->isa}, kernels);
  const double compile_us = microseconds_since(begin);
  if (!graph) return tl::unexpected(in_file(options.spec, graph.error()));
  std::vector<std::span<const float>> arrays;
  for (const Tensor& weight : call->weights) arrays.emplace_back(weight.data);
  const auto run = [graph = *graph, packed = pack_graph(*graph, arrays), batch = call->input.batch,
                    steps = call->input.steps](std::span<const float* const> in, std::span<float* const> out,
                                               const RunOptions& run_options) {
    return run_graph(*graph, *packed, in, out, batch, {&steps, 1}, run_options);
  };
  Runnable result{
      .kind = "nests",
      .text = to_call_text(nested.spec),
      .weights = weights_path.empty() ? drawn_text(options) : weights_path,
      .inputs = {},
      .input_names = {"input"},
      .input_layout = layout_of(nested.spec),
      .outputs = {{"output", std::move(call->output), layout_of(nested.spec), steps_ratio(nested.graph)}},
      .backend = choice->backend,
      .isa = choice->isa,
      .code_bytes = (*graph)->code_bytes,
      .passes = ir::passes_over_memory(nested.graph),
      .compile_us = compile_us,
      .run = run};
  result.inputs.push_back(std::move(call->input));
  return result;
}

Result<Runnable> make_nest(const NestFile& file, std::vector<ReadInput> inputs, const CommonOptions& options,
                           const std::string& weights_path) {
  if (Result<void> done = check_scheduled(options); !done) return tl::unexpected(done.error());
  if (file.layer || file.nests.size() > 1) return make_nests(file, std::move(inputs), options, weights_path);
  const ir::LoopNest& nest = file.nests.front();
  const Problem& p = nest.problem;
  if (p.combine != Combine::kNone)
    return refuse(
        fmt::format("{} is a nest with an operand, a second input that no file gives; run the model or "
                    "verify the nest.",
                    options.spec));
  Result<LayerInput> input = only_input(std::move(inputs), false, p.layout);
  if (!input) return tl::unexpected(input.error());
  const Shape shape = open_shape(input->tensor.shape);
  Result<std::vector<int64_t>> output = find_output_shape({.chain = {p}, .row = {}}, shape);
  if (!output) return tl::unexpected(output.error());
  if (input->steps > 0 && p.output_steps(input->steps) == 0) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The output would be empty: the kernel reaches over {} steps, and the input is {}.",
                    p.span(), convsmith::shape_text(shape)));
  }
  if (Result<void> done = check_sizes(nest_weights(p), *output); !done) return tl::unexpected(done.error());
  const Result<std::vector<Tensor>> weights = find_nest_weights(p, options, weights_path);
  if (!weights) return tl::unexpected(weights.error());
  const Result<Choice> choice = choose_backend(options.backend, isa_of(file, options.isa));
  if (!choice) return tl::unexpected(choice.error());
  const auto& memory = process_code_memory();
  if (choice->backend != Backend::kInterp && !memory) return tl::unexpected(memory.error());
  const Clock::time_point begin = Clock::now();
  const auto compiled = compile_nest(nest, choice->backend, choice->isa, memory ? *memory : nullptr);
  const double compile_us = microseconds_since(begin);
  if (!compiled) return tl::unexpected(compiled.error());
  const std::vector<float> none;
  const auto packed = pack_weights(*compiled, p.has_weights() ? weights->front().data : none,
                                   p.has_bias ? weights->back().data : none);
  const auto run = [kernel = *compiled, packed, batch = input->batch, steps = input->steps](
                       std::span<const float* const> in, std::span<float* const> out,
                       const RunOptions& run_options) {
    return run_kernel(*kernel, packed->data, in[0], out[0], batch, steps, run_options);
  };
  Runnable result{.kind = "nest",
                  .text = ir::problem_text(p),
                  .weights = weights_path.empty() ? drawn_text(options) : weights_path,
                  .inputs = {},
                  .input_names = {"input"},
                  .input_layout = p.layout,
                  .outputs = {{"output", std::move(*output), p.layout, 1.0 / static_cast<double>(p.stride)}},
                  .backend = choice->backend,
                  .isa = choice->isa,
                  .code_bytes = (*compiled)->kernel->code_bytes(),
                  .compile_us = compile_us,
                  .run = run};
  result.inputs.push_back(std::move(*input));
  return result;
}

Result<std::vector<LayerInput>> arrange_all(const CompiledModel& model, std::vector<ReadInput> inputs) {
  const std::vector<Shape> samples = model.input_shapes();
  if (samples.size() != inputs.size()) {
    std::string list;
    for (size_t i = 0; i < samples.size(); ++i) {
      list += fmt::format("{}{} {}", i == 0 ? "" : ", ", printable(model.input_names()[i]),
                          convsmith::shape_text(samples[i]));
    }
    return refuse(fmt::format("--input is given {} time{}; the model has {} input{}, in this order: {}.",
                              inputs.size(), inputs.size() == 1 ? "" : "s", samples.size(),
                              samples.size() == 1 ? "" : "s", list));
  }
  std::vector<LayerInput> arranged;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const SignalFile& file = inputs[i].file;
    Result<LayerInput> input = arrange_sample(std::move(inputs[i].signal.tensor), file.format, samples[i],
                                              model.fixed_steps()[i], file.path);
    if (!input) return tl::unexpected(input.error());
    if (i > 0 && input->batch != arranged[0].batch) {
      return make_error(ErrorCode::kInvalidData,
                        fmt::format("--input {}: it has {} samples, and the first input has {}.", file.path,
                                    input->batch, arranged[0].batch));
    }
    arranged.push_back(std::move(*input));
  }
  return arranged;
}

// By output: its shape and what its steps are.
Result<std::vector<RunOutput>> find_outputs(const CompiledModel& model, int64_t batch,
                                            const std::vector<int64_t>& steps) {
  std::vector<int64_t> near(steps);
  std::vector<int64_t> far(steps);
  for (size_t i = 0; i < steps.size(); ++i) {
    if (model.fixed_steps()[i]) continue;
    near[i] = kManySteps;
    far[i] = 2 * kManySteps;
  }
  const auto shapes = model.output_shapes(batch, steps);
  const auto near_shapes = model.output_shapes(1, near);
  const auto far_shapes = model.output_shapes(1, far);
  const std::vector<Shape> samples = model.output_shapes();
  std::vector<RunOutput> outputs;
  double floats = static_cast<double>(model.workspace_bytes(batch, steps)) / sizeof(float);
  for (size_t i = 0; i < shapes.size(); ++i) {
    const bool first = is_channels_first(samples[i]);
    const size_t axis = first ? 2 : 1;
    double ratio = 1;
    if (axis < shapes[i].size() && !samples[i][axis - 1])
      ratio =
          static_cast<double>(far_shapes[i][axis] - near_shapes[i][axis]) / static_cast<double>(kManySteps);
    outputs.push_back(
        {model.output_names()[i], shapes[i], first ? Layout::kChannelsFirst : Layout::kChannelsLast, ratio});
    floats += size_of(shapes[i]);
  }
  if (Result<void> done = check_memory("The model with this input", floats * sizeof(float)); !done)
    return tl::unexpected(done.error());
  return outputs;
}

Result<std::shared_ptr<const ModelSpec>> with_weights(const LoadedModelSpec& loaded,
                                                      const CommonOptions& options) {
  if (find_layer_without_weights(*loaded.spec) == nullptr) return loaded.spec;
  const auto rows = Model(loaded.spec).summary();
  if (!rows) return tl::unexpected(rows.error());
  double floats = 0;
  for (const LayerSummary& row : *rows) floats += static_cast<double>(row.parameters);
  if (Result<void> done = check_memory("The model with its weights", 3 * floats * sizeof(float)); !done)
    return tl::unexpected(done.error());
  ModelSpec drawn = *loaded.spec;
  if (Result<void> done = draw_weights(drawn, options.rules, options.seed); !done)
    return tl::unexpected(done.error());
  return std::make_shared<const ModelSpec>(std::move(drawn));
}

Result<Runnable> make_model(const LoadedModelSpec& loaded, std::vector<ReadInput> inputs,
                            const CommonOptions& options, const std::string& weights_path) {
  if (const Result<void> fits = check_for_model(options); !fits) return tl::unexpected(fits.error());
  const auto spec = with_weights(loaded, options);
  if (!spec) return tl::unexpected(spec.error());
  const Clock::time_point begin = Clock::now();
  const Result<CompiledModel> model = compile(Model(*spec), {.backend = options.backend,
                                                             .isa = options.isa,
                                                             .rules = options.rules,
                                                             .tuning = options.tuning,
                                                             .schedule = options.schedule});
  const double compile_us = microseconds_since(begin);
  if (!model) return tl::unexpected(model.error());
  Result<std::vector<LayerInput>> arranged = arrange_all(*model, std::move(inputs));
  if (!arranged) return tl::unexpected(arranged.error());
  std::vector<int64_t> steps;
  for (const LayerInput& input : *arranged) steps.push_back(input.steps);
  const int64_t batch = arranged->front().batch;
  if (Result<void> taken = model->check(batch, steps); !taken) return tl::unexpected(taken.error());
  Result<std::vector<RunOutput>> outputs = find_outputs(*model, batch, steps);
  if (!outputs) return tl::unexpected(outputs.error());
  const auto run = [model = *model, batch, steps](std::span<const float* const> in,
                                                  std::span<float* const> out,
                                                  const RunOptions& run_options) {
    return model.run(in, out, batch, steps, run_options);
  };
  const bool first = is_channels_first(model->input_shapes()[0]);
  const std::string source = *spec != loaded.spec ? drawn_text(options) : weights_path;
  return Runnable{.kind = "model",
                  .text = loaded.spec->name,
                  .weights = source.empty() ? options.spec : source,
                  .inputs = std::move(*arranged),
                  .input_names = model->input_names(),
                  .input_layout = first ? Layout::kChannelsFirst : Layout::kChannelsLast,
                  .outputs = std::move(*outputs),
                  .backend = model->backend(),
                  .isa = model->isa(),
                  .code_bytes = model->code_bytes(),
                  .passes = model->passes(),
                  .compile_us = compile_us,
                  .run = run};
}

}  // namespace

Result<Runnable> make_runnable(Subject subject, std::vector<ReadInput> inputs, const CommonOptions& options,
                               const std::string& weights) {
  if (const auto* layer = std::get_if<ParsedLayer>(&subject))
    return make_layer(layer->spec, std::move(inputs), options, weights);
  if (const auto* nests = std::get_if<NestFile>(&subject))
    return make_nest(*nests, std::move(inputs), options, weights);
  if (const auto* model = std::get_if<LoadedModelSpec>(&subject))
    return make_model(*model, std::move(inputs), options, weights);
  return refuse(
      fmt::format("SPEC is {}; a .vir program does not say what shapes it works on, so run takes a layer, a "
                  "model or a .nest file (explain, compare and verify take .vir files).",
                  options.spec));
}

}  // namespace convsmith::cli
