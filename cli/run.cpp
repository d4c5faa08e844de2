// `convsmith run`: a layer or a whole model on files. All that can be refused is refused before anything is
// written.
#include "cli/run.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

#include "cli/commands.hpp"
#include "cli/run_files.hpp"
#include "cli/run_report.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

PortNames port_names(const Subject& subject) {
  const auto* const model = std::get_if<LoadedModelSpec>(&subject);
  if (model == nullptr) return {};
  return {input_names(*model->spec), output_names(*model->spec)};
}

// Fills outputs and times.
Result<void> compute(Outcome& outcome) {
  const Runnable& r = outcome.runnable;
  std::vector<const float*> in;
  std::vector<float*> out;
  for (const LayerInput& input : r.inputs) in.push_back(input.tensor.data.data());
  for (const RunOutput& output : r.outputs) {
    size_t floats = 1;
    for (const int64_t axis : output.shape) floats *= static_cast<size_t>(axis);
    outcome.outputs.push_back({output.shape, std::vector<float>(floats)});
  }
  for (Tensor& output : outcome.outputs) out.push_back(output.data.data());
  std::optional<ThreadPool> pool;
  RunOptions options{.denormals = outcome.arguments.common.denormals};
  if (outcome.threads > 1) options.parallel = pool.emplace(outcome.threads).parallel_for();
  outcome.run_us = HUGE_VAL;
  for (int i = 0; i < outcome.arguments.repeat; ++i) {
    const Clock::time_point begin = Clock::now();
    const RunStatus status = r.run(in, out, options);
    const double us = std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
    outcome.run_us = std::min(outcome.run_us, us);
    if (status != RunStatus::kOk) {
      return make_error(status == RunStatus::kNoMemory ? ErrorCode::kUnavailable : ErrorCode::kInvalidData,
                        describe(status));
    }
  }
  // One sample in is one sample out; what has a single axis left keeps its batch axis.
  const bool single =
      std::all_of(r.inputs.begin(), r.inputs.end(), [](const LayerInput& input) { return input.single; });
  for (const LayerInput& input : r.inputs) {
    Tensor shown{input.tensor.shape, {}};
    if (input.single) shown.shape.erase(shown.shape.begin());
    outcome.inputs.push_back(std::move(shown));
  }
  for (Tensor& output : outcome.outputs)
    if (single && output.shape.size() > 2) output.shape.erase(output.shape.begin());
  return {};
}

Result<void> judge(Outcome& outcome, RunFiles& files) {
  const auto found_as = [&](const Judge& judge) {
    return arrange_output(outcome.outputs[judge.output], judge.file.format,
                          outcome.runnable.outputs[judge.output].layout, judge.file.path);
  };
  for (Judge& judge : files.expected) {
    const Result<Tensor> found = found_as(judge);
    if (!found) return tl::unexpected(found.error());
    const Difference difference = compare_tensors(*found, judge.tensor);
    outcome.differences.emplace_back(std::move(judge), difference);
  }
  if (!files.clean) return {};
  const Result<Tensor> found = found_as(*files.clean);
  if (!found) return tl::unexpected(found.error());
  const Tensor& clean = files.clean->tensor;
  outcome.snr_after = signal_to_noise(*found, clean);
  const Tensor& input = outcome.runnable.inputs[0].tensor;
  const Result<Tensor> rows =
      arrange_output(input, files.clean->file.format, outcome.runnable.input_layout, files.clean->file.path);
  if (rows && compare_tensors(*rows, clean).same_shape) outcome.snr_before = signal_to_noise(*rows, clean);
  outcome.clean = std::move(files.clean);
  return {};
}

// Where one file fails, the others are written all the same: the work is done.
int write_results(Outcome& outcome, const std::vector<Target>& targets) {
  int exit_code = kOk;
  const auto keep = [&](const Result<void>& done, const std::string& path,
                        std::vector<std::string>& written) {
    if (done) written.push_back(path);
    if (!done) exit_code = report(done.error());
  };
  for (const Target& target : targets) {
    const RunOutput& output = outcome.runnable.outputs[target.output];
    keep(write_target(target, outcome.outputs[target.output], output.layout,
                      outcome.rate * output.steps_per_step),
         target.file.path, outcome.written);
  }
  const std::string& plot = outcome.arguments.plot;
  if (!plot.empty()) keep(write_text(plot, plot_outcome(outcome)), plot, outcome.pictures);
  return exit_code;
}

// Whether every output is as close to what was expected as --tolerance asks; says so where not.
int check_tolerance(const Outcome& outcome) {
  const std::optional<double> tolerance = outcome.arguments.tolerance;
  int exit_code = kOk;
  for (const auto& [judge, difference] : outcome.differences) {
    if (!tolerance || difference.largest <= *tolerance) continue;
    exit_code =
        report({ErrorCode::kUnavailable,
                fmt::format("--expected {}: the largest difference is {:.3g}, and --tolerance is {:g}.",
                            judge.file.path, difference.largest, *tolerance)});
  }
  return exit_code;
}

// A result on standard output leaves it to the result alone.
std::FILE* report_stream(const std::vector<Target>& targets) {
  const auto is_standard = [](const Target& target) {
    return is_standard_stream(target.file.path, STDOUT_FILENO);
  };
  return std::any_of(targets.begin(), targets.end(), is_standard) ? stderr : stdout;
}

Result<int> run(const RunArguments& arguments) {
  note_foreign_tuning(arguments.common);
  Result<Subject> subject = load_subject(arguments.common, arguments.weights);
  if (!subject) return tl::unexpected(subject.error());
  Result<RunFiles> files = open_run_files(arguments, port_names(*subject));
  if (!files) return tl::unexpected(files.error());
  std::vector<std::string> channels = files->inputs[0].signal.channels;
  Result<Runnable> runnable =
      make_runnable(std::move(*subject), std::move(files->inputs), arguments.common, arguments.weights);
  if (!runnable) return tl::unexpected(runnable.error());
  if (Result<void> done = check_shapes(arguments, *files, runnable->outputs); !done)
    return tl::unexpected(done.error());
  Outcome outcome{.arguments = arguments,
                  .runnable = std::move(*runnable),
                  .channels = std::move(channels),
                  .inputs = {},
                  .outputs = {},
                  .threads = thread_count(arguments.common),
                  .rate = files->rate,
                  .differences = {},
                  .clean = {},
                  .snr_before = {},
                  .written = {},
                  .pictures = {}};
  if (Result<void> done = compute(outcome); !done) return tl::unexpected(done.error());
  if (Result<void> done = judge(outcome, *files); !done) return tl::unexpected(done.error());
  const int written = write_results(outcome, files->outputs);
  std::FILE* const stream = report_stream(files->outputs);
  const std::string text = arguments.common.json
                               ? to_json(outcome).dump(2, ' ', false, Json::error_handler_t::replace) + "\n"
                               : without_controls(as_text(outcome));
  // Of the two only standard output must have taken it.
  if (stream == stdout)
    fmt::print("{}", text);
  else
    std::fputs(text.c_str(), stream);
  const int judged = check_tolerance(outcome);
  return written != kOk ? written : judged;
}

void add_format_option(CLI::App& command, const std::string& name, FileFormat& target,
                       const std::string& help) {
  const auto assign = [&target, name](const std::string& word) {
    if (word == "npy") return void(target = FileFormat::kNpy);
    if (word == "csv") return void(target = FileFormat::kCsv);
    if (word == "wav") return void(target = FileFormat::kWav);
    throw CLI::ValidationError(
        fmt::format("{} is '{}'; it must be one of npy|csv|wav.", name, printable(word)));
  };
  command.add_option_function<std::string>(name, assign, help)->type_name("npy|csv|wav");
}

void add_file_options(CLI::App& command, RunArguments& arguments) {
  command
      .add_option(
          "--input", arguments.inputs,
          "Input: .npy of (batch..., steps, channels), or one sample as .npy, .csv (a row per step, a column "
          "per channel; x.csv:2 or x.csv:name takes one) or .wav; - is standard input; for models once per "
          "input, in order or as NAME=FILE")
      ->required()
      ->allow_extra_args(false)
      ->type_name("FILE");
  command
      .add_option(
          "--weights", arguments.weights,
          "Of a layer: a .npz file or a folder with kernel.npy, bias.npy and so on; of a model: .weights.h5, "
          ".h5 or .keras (default: the file's own, else drawn from the initializers with --seed)")
      ->type_name("FILE");
  command
      .add_option("--output", arguments.outputs,
                  "Where the result goes: .npy, .csv or .wav; - is standard output, the report then goes to "
                  "standard error; once per output, in order or as NAME=FILE")
      ->allow_extra_args(false)
      ->type_name("FILE");
  add_format_option(
      command, "--input-format", arguments.input_format,
      "What the inputs are, whatever their names (default: by suffix, of pipes by the first bytes)");
  add_format_option(command, "--output-format", arguments.output_format,
                    "What the outputs are, whatever their names (default: by suffix, of pipes as the input)");
  command
      .add_option("--expected", arguments.expected,
                  "A file with the expected result (once per output, in order or as NAME=FILE); the largest "
                  "difference from it is printed")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command
      .add_option("--tolerance", arguments.tolerance,
                  "Fail where the largest difference from --expected is above this (default: never)")
      ->check(number_range(0, HUGE_VAL, "number from 0 on"))
      ->needs("--expected")
      ->type_name("T");
  command
      .add_option("--clean", arguments.clean,
                  "The signal without noise; prints the signal-to-noise ratio of input and output")
      ->type_name("FILE");
}

}  // namespace

void add_run(CLI::App& app, int& exit_code) {
  CLI::App* const command = app.add_subcommand("run", "Compute a layer or a whole model on files");
  const auto arguments = std::make_shared<RunArguments>();
  add_spec(*command, arguments->common, true, ", a loop nest (.nest)");
  add_file_options(*command, *arguments);
  command
      ->add_option("--columns", arguments->columns,
                   "Columns of the .csv inputs, by name or number from 1 (several with commas)")
      ->type_name("LIST");
  command->add_option("--plot", arguments->plot, "Draws input and output into this .svg file")
      ->type_name("FILE");
  command->add_option("--rate", arguments->rate, "Steps a second of the input (default: the .wav file's)")
      ->check(number_range(1e-9, 1e9, "number of steps a second above 0, up to a billion"))
      ->type_name("HZ");
  command
      ->add_option("--repeat", arguments->repeat, "Computes this often and reports the fastest (default: 1)")
      ->check(whole_range(1, 1000000))
      ->type_name("N");
  add_common_options(*command, arguments->common);
  add_denormals_option(*command, arguments->common);
  command->footer(
      "Examples:\n"
      "  convsmith run \"Conv1D(32, 3, activation='relu')\" --input x.npy --weights w.npz --output y.npy\n"
      "  convsmith run model.keras --input ecg.csv:noisy_mv --output clean.csv --plot ecg.svg --rate 360\n"
      "  sox x.mp3 -t wav - | convsmith run model.keras --input - --output y.wav");
  command->callback([arguments, &exit_code] {
    const Result<int> result = run(*arguments);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace convsmith::cli
