// `convsmith run`: one layer, one input file, one result.
#include "cli/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "frontend/make_problem.hpp"
#include "ir/nest_text.hpp"
#include "ir/problem_text.hpp"
#include "runtime/compile.hpp"
#include "runtime/initialize_weights.hpp"
#include "runtime/run_kernel.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct RunArguments {
  CommonOptions common;
  std::string input;
  std::string weights;
  std::string output;
  std::string expected;
};

// A layer, or a nest that is scheduled already.
struct Subject {
  std::optional<LayerSpec> spec;
  std::optional<ir::LoopNest> nest;

  Layout layout() const {
    if (nest) return nest->problem.layout;
    return spec->data_format == DataFormat::kChannelsLast ? Layout::kChannelsLast : Layout::kChannelsFirst;
  }
  std::string text() const { return nest ? ir::problem_text(nest->problem) : to_call_text(*spec); }
};

// What is known when everything has run.
struct Outcome {
  std::string spec;
  Problem problem;
  Choice choice{};
  int threads = 1;
  double compile_us = 0;
  double run_us = 0;
  std::vector<int64_t> input_shape;
  Tensor output;
};

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

Result<Subject> load_subject(const CommonOptions& options) {
  Result<LoadedSpec> loaded = load_spec(options);
  if (!loaded) return tl::unexpected(loaded.error());
  if (auto* layer = std::get_if<ParsedLayer>(&*loaded)) return Subject{std::move(layer->spec), {}};
  auto* const nest = std::get_if<ir::LoopNest>(&*loaded);
  if (nest == nullptr) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("SPEC is {}; a .vir program does not say what shapes it works on, so run takes a "
                    "layer or a .nest file (explain, compare and verify take .vir files).",
                    options.spec));
  }
  if (!options.schedule.empty()) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("--schedule is given, but {} is a nest that is scheduled already.", options.spec));
  }
  return Subject{{}, std::move(*nest)};
}

// The shape that was declared fixes the channels; the number of steps is free.
Result<void> check_declared(const LayerSpec& spec, const CommonOptions& options, const Shape& shape) {
  if (spec.input_shape.empty() && options.input_shape.empty()) return {};
  const Result<Problem> declared = problem_for(spec, options);
  if (!declared) return tl::unexpected(declared.error());
  if (const auto output = output_shape(*declared, shape); !output) return tl::unexpected(output.error());
  const Shape& own = options.input_shape.empty() ? spec.input_shape : options.input_shape;
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

Result<Problem> find_problem(const Subject& subject, const CommonOptions& options, const Shape& shape) {
  if (!subject.nest) {
    if (Result<void> done = check_declared(*subject.spec, options, shape); !done)
      return tl::unexpected(done.error());
    return make_problem(*subject.spec, shape, options.rules);
  }
  const Problem& problem = subject.nest->problem;
  if (const auto output = output_shape(problem, shape); !output) return tl::unexpected(output.error());
  const int64_t steps = *shape[shape.size() - (problem.layout == Layout::kChannelsLast ? 2 : 1)];
  if (steps > 0 && problem.output_steps(steps) == 0) {
    return make_error(
        ErrorCode::kInvalidData,
        fmt::format("The output would be empty: the kernel reaches over {} steps, and the input is {}.",
                    problem.span(), convsmith::shape_text(shape)));
  }
  return problem;
}

Result<std::vector<int64_t>> find_output_shape(const Problem& problem, const LayerInput& input) {
  const Result<Shape> shape =
      output_shape(problem, Shape(input.tensor.shape.begin(), input.tensor.shape.end()));
  if (!shape) return tl::unexpected(shape.error());
  std::vector<int64_t> result;
  double floats = 1;
  for (const std::optional<int64_t>& axis : *shape) {
    floats *= static_cast<double>(*axis);
    result.push_back(*axis);
  }
  // The kernel twice: as Keras keeps it, and packed.
  floats += 2.0 * static_cast<double>(problem.taps * problem.group_channels() * problem.filters);
  if (Result<void> done = check_memory("The layer with this input", floats * sizeof(float)); !done) {
    return tl::unexpected(done.error());
  }
  return result;
}

Result<LayerWeights> find_weights(const Subject& subject, const Problem& problem,
                                  const RunArguments& arguments) {
  if (!arguments.weights.empty()) return read_weights(arguments.weights, problem);
  // A nest says nothing of initializers: it gets Keras's defaults.
  const LayerSpec spec = subject.spec.value_or(LayerSpec{.filters = problem.filters,
                                                         .kernel_size = problem.taps,
                                                         .groups = problem.groups,
                                                         .use_bias = problem.has_bias});
  Result<std::vector<Tensor>> drawn = initialize_weights(spec, problem.channels, arguments.common.seed);
  if (!drawn) return tl::unexpected(drawn.error());
  if (!problem.has_bias) drawn->resize(1);
  LayerWeights weights{std::move(drawn->front().data), {}};
  if (problem.has_bias) weights.bias = std::move(drawn->back().data);
  return weights;
}

Result<std::shared_ptr<const CompiledKernel>> compile_subject(const Subject& subject, const Problem& problem,
                                                              const CommonOptions& options,
                                                              double& compile_us) {
  const Result<Choice> choice = choose_backend(options.backend, options.isa);
  if (!choice) return tl::unexpected(choice.error());
  CodeMemory* memory = nullptr;
  if (choice->backend != Backend::kInterp) {
    if (!process_code_memory()) return tl::unexpected(process_code_memory().error());
    memory = *process_code_memory();
  }
  const Clock::time_point begin = Clock::now();
  auto compiled = subject.nest
                      ? compile_nest(*subject.nest, choice->backend, choice->isa, memory)
                      : compile_problem(problem, choice->backend, choice->isa, options.schedule, memory);
  compile_us = microseconds_since(begin);
  return compiled;
}

Result<Outcome> compute(const Subject& subject, const LayerInput& input, const RunArguments& arguments) {
  const Shape shape(input.tensor.shape.begin(), input.tensor.shape.end());
  const Result<Problem> problem = find_problem(subject, arguments.common, shape);
  if (!problem) return tl::unexpected(problem.error());
  Outcome outcome{
      .spec = subject.text(), .problem = *problem, .input_shape = input.tensor.shape, .output = {}};
  Result<std::vector<int64_t>> out_shape = find_output_shape(*problem, input);
  if (!out_shape) return tl::unexpected(out_shape.error());
  const Result<LayerWeights> weights = find_weights(subject, *problem, arguments);
  if (!weights) return tl::unexpected(weights.error());
  const auto compiled = compile_subject(subject, *problem, arguments.common, outcome.compile_us);
  if (!compiled) return tl::unexpected(compiled.error());
  outcome.choice = {(*compiled)->backend, (*compiled)->isa};

  size_t floats = 1;
  for (const int64_t axis : *out_shape) floats *= static_cast<size_t>(axis);
  outcome.output = {std::move(*out_shape), std::vector<float>(floats)};
  const auto packed = pack_weights(*compiled, weights->kernel, weights->bias);
  outcome.threads = thread_count(arguments.common);
  std::optional<ThreadPool> pool;
  RunOptions run_options;
  if (outcome.threads > 1) run_options.parallel = pool.emplace(outcome.threads).parallel_for();
  const Clock::time_point begin = Clock::now();
  const RunStatus status = run_kernel(**compiled, packed->data, input.tensor.data.data(),
                                      outcome.output.data.data(), input.batch, input.steps, run_options);
  outcome.run_us = microseconds_since(begin);
  if (status != RunStatus::kOk) return make_error(ErrorCode::kInvalidData, describe(status));
  if (input.single) {
    outcome.output.shape.erase(outcome.output.shape.begin());
    outcome.input_shape.erase(outcome.input_shape.begin());
  }
  return outcome;
}

std::string weights_text(const RunArguments& arguments) {
  if (!arguments.weights.empty()) return arguments.weights;
  return fmt::format("drawn from the layer's initializers, seed {}", arguments.common.seed);
}

void print_text(const Outcome& outcome, const RunArguments& arguments) {
  const auto row = [](const char* name, const std::string& value) { fmt::print("{:<9} {}\n", name, value); };
  row("layer", outcome.spec);
  row("weights", weights_text(arguments));
  row("input", shape_text(outcome.input_shape));
  row("output", shape_text(outcome.output.shape));
  row("back end",
      fmt::format("{}, {}, {} thread{}", backend_name(outcome.choice.backend), isa_name(outcome.choice.isa),
                  outcome.threads, outcome.threads == 1 ? "" : "s"));
  row("compile", fmt::format("{:.1f} us", outcome.compile_us));
  row("run", fmt::format("{:.1f} us", outcome.run_us));
  if (!arguments.output.empty()) row("written", arguments.output);
}

Json to_json(const Outcome& outcome, const RunArguments& arguments) {
  Json json{{"spec", outcome.spec},
            {"weights", weights_text(arguments)},
            {"input_shape", outcome.input_shape},
            {"output_shape", outcome.output.shape},
            {"backend", backend_name(outcome.choice.backend)},
            {"isa", isa_name(outcome.choice.isa)},
            {"threads", outcome.threads},
            {"compile_us", outcome.compile_us},
            {"run_us", outcome.run_us}};
  if (!arguments.output.empty()) json["output"] = arguments.output;
  return json;
}

// Compares with --expected; `json` gets its members, otherwise lines are printed.
Result<int> report_difference(const Tensor& output, Layout layout, const std::string& path, Json* json) {
  const Result<FileFormat> format = format_of(path, "--expected");
  if (!format) return tl::unexpected(format.error());
  const Result<Signal> expected = read_signal(path, *format);
  if (!expected) return tl::unexpected(expected.error());
  const Result<Tensor> found = arrange_output(output, *format, layout, path);
  if (!found) return tl::unexpected(found.error());
  const Difference difference = compare_tensors(*found, expected->tensor);
  const std::vector<int64_t>& shape = expected->tensor.shape;
  if (json != nullptr) {
    (*json)["expected"] = {{"file", path},
                           {"shape", shape},
                           {"same_shape", difference.same_shape},
                           {"bit_equal", difference.bit_equal},
                           {"largest_difference", difference.largest},
                           {"relative_difference", difference.relative}};
  } else if (difference.same_shape) {
    fmt::print("{:<9} {}: largest difference {:.3g}, {:.3g} of the largest value{}\n", "expected", path,
               difference.largest, difference.relative, difference.bit_equal ? ", every bit equal" : "");
  }
  if (difference.same_shape) return kOk;
  fmt::print(stderr, "error: The output is {}, and {} is {}.\n", shape_text(found->shape), path,
             shape_text(shape));
  return kFailure;
}

// All that can be refused before anything is computed.
struct Prepared {
  Subject subject;
  LayerInput input;
  int sample_rate = 0;
  std::optional<FileFormat> output_format;
};

Result<Prepared> prepare(const RunArguments& arguments) {
  Prepared prepared;
  Result<Subject> subject = load_subject(arguments.common);
  if (!subject) return tl::unexpected(subject.error());
  prepared.subject = std::move(*subject);
  if (!arguments.output.empty()) {
    const Result<FileFormat> format = format_of(arguments.output, "--output");
    if (!format) return tl::unexpected(format.error());
    prepared.output_format = *format;
  }
  const Result<FileFormat> format = format_of(arguments.input, "--input");
  if (!format) return tl::unexpected(format.error());
  Result<Signal> signal = read_signal(arguments.input, *format);
  if (!signal) return tl::unexpected(signal.error());
  for (const std::string& note : signal->notes) print_note(note);
  prepared.sample_rate = signal->sample_rate;
  Result<LayerInput> input =
      arrange_input(std::move(signal->tensor), *format, prepared.subject.layout(), arguments.input);
  if (!input) return tl::unexpected(input.error());
  prepared.input = std::move(*input);
  if (prepared.input.single) {
    const bool rows = *format != FileFormat::kNpy || prepared.subject.layout() == Layout::kChannelsLast;
    print_note(fmt::format("{} is taken as one sample of {}.", arguments.input,
                           rows ? "(steps, channels)" : "(channels, steps)"));
  }
  return prepared;
}

Result<void> write_result(const Outcome& outcome, const Prepared& prepared, const RunArguments& arguments) {
  if (!prepared.output_format) return {};
  const Result<Tensor> tensor =
      arrange_output(outcome.output, *prepared.output_format, outcome.problem.layout, arguments.output);
  if (!tensor) return tl::unexpected(tensor.error());
  // One output step stands for `stride` input steps.
  constexpr int kDefaultRate = 44100;
  const int rate = prepared.sample_rate > 0 ? prepared.sample_rate : kDefaultRate;
  const double output_rate = static_cast<double>(rate) / static_cast<double>(outcome.problem.stride);
  return write_signal(arguments.output, *prepared.output_format, *tensor,
                      std::max(1, static_cast<int>(std::lround(output_rate))));
}

Result<int> run(const RunArguments& arguments) {
  const Result<Prepared> prepared = prepare(arguments);
  if (!prepared) return tl::unexpected(prepared.error());
  const Result<Outcome> outcome = compute(prepared->subject, prepared->input, arguments);
  if (!outcome) return tl::unexpected(outcome.error());
  if (Result<void> done = write_result(*outcome, *prepared, arguments); !done)
    return tl::unexpected(done.error());
  Json json = to_json(*outcome, arguments);
  if (!arguments.common.json) print_text(*outcome, arguments);
  Result<int> exit_code = kOk;
  if (!arguments.expected.empty()) {
    exit_code = report_difference(outcome->output, outcome->problem.layout, arguments.expected,
                                  arguments.common.json ? &json : nullptr);
  }
  if (arguments.common.json && exit_code) fmt::print("{}\n", json.dump(2));
  return exit_code;
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* const command = app.add_subcommand("run", "Compute a layer on an input file");
  const auto arguments = std::make_shared<RunArguments>();
  add_spec(*command, arguments->common, true);
  command
      ->add_option(
          "--input", arguments->input,
          "Input: .npy of (batch..., steps, channels), or one sample as .npy, .csv (a row per step, a "
          "column per channel) or .wav")
      ->required()
      ->type_name("FILE");
  command
      ->add_option(
          "--weights", arguments->weights,
          "Weights: a .npz file or a folder with kernel.npy and bias.npy (default: drawn from the layer's "
          "initializers with --seed)")
      ->type_name("FILE");
  command->add_option("--output", arguments->output, "Where the result goes: .npy, .csv or .wav")
      ->type_name("FILE");
  command
      ->add_option("--expected", arguments->expected,
                   "A file with the expected result; the largest difference from it is printed")
      ->type_name("FILE");
  add_common_options(*command, arguments->common);
  command->footer(
      "Example:\n  convsmith run \"Conv1D(32, 3, activation='relu')\" --input x.npy --weights w.npz --output "
      "y.npy");
  command->callback([arguments, &exit_code] {
    const Result<int> result = run(*arguments);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace convsmith::cli
