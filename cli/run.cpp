// `convsmith run`: a layer or a whole model on files. All that can be refused is refused before anything is
// written.
#include "cli/run.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <set>
#include <system_error>

#include "cli/commands.hpp"
#include "cli/run_report.hpp"

namespace convsmith::cli {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

// All files that are read or will be written.
struct Files {
  std::vector<ReadInput> inputs;
  std::vector<SignalFile> outputs;
  std::vector<Judge> expected;
  std::optional<Judge> clean;
};

Result<ReadInput> read_input(const std::string& typed, const std::string& option) {
  Result<SignalFile> file = parse_signal_file(typed, option);
  if (!file) return tl::unexpected(file.error());
  Result<Signal> signal = read_signal(*file);
  if (!signal) return tl::unexpected(signal.error());
  return ReadInput{std::move(*file), std::move(*signal)};
}

Result<Judge> read_judge(const std::string& typed, const std::string& option) {
  Result<ReadInput> read = read_input(typed, option);
  if (!read) return tl::unexpected(read.error());
  return Judge{std::move(read->file), std::move(read->signal.tensor)};
}

Result<ReadInput> read_run_input(const std::string& typed, const std::vector<std::string>& columns) {
  Result<SignalFile> file = parse_signal_file(typed, "--input");
  if (!file) return tl::unexpected(file.error());
  if (!columns.empty()) {
    if (file->format != FileFormat::kCsv || !file->columns.empty()) {
      return make_error(ErrorCode::kInvalidSpec,
                        fmt::format("--columns is given, but --input {} {}.", typed,
                                    file->format != FileFormat::kCsv ? "is no .csv file" : "names its own"));
    }
    file->columns = columns;
  }
  Result<Signal> signal = read_signal(*file);
  if (!signal) return tl::unexpected(signal.error());
  for (const std::string& note : signal->notes) print_note(note);
  return ReadInput{std::move(*file), std::move(*signal)};
}

Result<Files> read_files(const RunArguments& arguments) {
  Files files;
  std::set<std::filesystem::path> paths;
  for (const std::string& path : arguments.outputs) {
    std::error_code code;
    if (!paths.insert(std::filesystem::weakly_canonical(std::filesystem::absolute(path, code), code))
             .second) {
      return make_error(
          ErrorCode::kInvalidSpec,
          fmt::format("--output {} is given twice; each output needs a file of its own.", path));
    }
    const Result<FileFormat> format = format_of(path, "--output");
    if (!format) return tl::unexpected(format.error());
    files.outputs.push_back({path, *format, {}});
  }
  if (!arguments.plot.empty() && suffix_of(arguments.plot) != ".svg") {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("--plot is {}; its name must end with .svg.", arguments.plot));
  }
  for (const std::string& typed : arguments.inputs) {
    Result<ReadInput> input = read_run_input(typed, arguments.columns);
    if (!input) return tl::unexpected(input.error());
    files.inputs.push_back(std::move(*input));
  }
  for (const std::string& typed : arguments.expected) {
    Result<Judge> judge = read_judge(typed, "--expected");
    if (!judge) return tl::unexpected(judge.error());
    files.expected.push_back(std::move(*judge));
  }
  if (arguments.clean.empty()) return files;
  Result<Judge> judge = read_judge(arguments.clean, "--clean");
  if (!judge) return tl::unexpected(judge.error());
  files.clean = std::move(*judge);
  return files;
}

Result<void> check_counts(const RunArguments& arguments, size_t outputs) {
  const auto check = [&](const char* option, size_t given) -> Result<void> {
    if (given <= outputs) return {};
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("{} is given {} times, and there {} {} output{}.", option, given,
                                  outputs == 1 ? "is" : "are", outputs, outputs == 1 ? "" : "s"));
  };
  if (Result<void> done = check("--output", arguments.outputs.size()); !done) return done;
  return check("--expected", arguments.expected.size());
}

// What the results are held against must be shaped like them.
Result<void> check_judges(const Files& files, const std::vector<RunOutput>& outputs) {
  const auto check = [](const char* option, const Judge& judge, const RunOutput& output) -> Result<void> {
    const std::string what = fmt::format("{} {}", option, judge.file.path);
    const auto shape = arrange_output_shape(output.shape, judge.file.format, output.layout, what);
    if (!shape) return tl::unexpected(shape.error());
    if (is_same_shape(*shape, judge.tensor.shape)) return {};
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("{}: its shape is {}, and the output's is {}.", what,
                                  shape_text(judge.tensor.shape), shape_text(*shape)));
  };
  for (size_t i = 0; i < files.expected.size(); ++i)
    if (Result<void> done = check("--expected", files.expected[i], outputs[i]); !done) return done;
  return files.clean ? check("--clean", *files.clean, outputs[0]) : Result<void>();
}

// Of the inputs of a model whose steps do not go together.
std::string wrong_steps_text(const Outcome& outcome) {
  std::string list;
  for (size_t i = 0; i < outcome.runnable.inputs.size(); ++i)
    list += fmt::format("{}{} has {}", i == 0 ? "" : ", ", outcome.arguments.inputs[i],
                        outcome.runnable.inputs[i].steps);
  return fmt::format("The numbers of steps of the inputs do not go together in this model: {}.", list);
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
    if (status == RunStatus::kWrongSteps && r.inputs.size() > 1)
      return make_error(ErrorCode::kInvalidData, wrong_steps_text(outcome));
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

Result<void> judge(Outcome& outcome, Files& files) {
  const auto found_as = [&](const Judge& judge, size_t i) {
    return arrange_output(outcome.outputs[i], judge.file.format, outcome.runnable.outputs[i].layout,
                          judge.file.path);
  };
  for (size_t i = 0; i < files.expected.size(); ++i) {
    const Result<Tensor> found = found_as(files.expected[i], i);
    if (!found) return tl::unexpected(found.error());
    const Difference difference = compare_tensors(*found, files.expected[i].tensor);
    outcome.differences.emplace_back(std::move(files.expected[i]), difference);
  }
  if (!files.clean) return {};
  const Result<Tensor> found = found_as(*files.clean, 0);
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

Result<void> write_results(const Outcome& outcome, const std::vector<SignalFile>& files) {
  constexpr double kDefaultRate = 44100;
  std::vector<Tensor> tensors;
  for (size_t i = 0; i < files.size(); ++i) {
    Result<Tensor> tensor = arrange_output(outcome.outputs[i], files[i].format,
                                           outcome.runnable.outputs[i].layout, "--output " + files[i].path);
    if (!tensor) return tl::unexpected(tensor.error());
    tensors.push_back(std::move(*tensor));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    const double rate =
        (outcome.rate > 0 ? outcome.rate : kDefaultRate) * outcome.runnable.outputs[i].steps_per_step;
    const int whole = static_cast<int>(std::clamp(std::round(rate), 1.0, 2e9));
    if (files[i].format == FileFormat::kWav && whole != rate)
      print_note(fmt::format("{} has whole steps a second: {} instead of {:g}.", files[i].path, whole, rate));
    if (Result<void> done = write_signal(files[i].path, files[i].format, tensors[i], whole); !done)
      return done;
  }
  if (outcome.arguments.plot.empty()) return {};
  return write_text(outcome.arguments.plot, plot_outcome(outcome));
}

// Whether every output is as close to what was expected as --tolerance asks; says so where not.
int check_tolerance(const Outcome& outcome) {
  const std::optional<double> tolerance = outcome.arguments.tolerance;
  int exit_code = kOk;
  for (const auto& [judge, difference] : outcome.differences) {
    if (!tolerance || difference.largest <= *tolerance) continue;
    fmt::print(stderr, "error: --expected {}: the largest difference is {:.3g}, and --tolerance is {:g}.\n",
               judge.file.path, difference.largest, *tolerance);
    exit_code = kFailure;
  }
  return exit_code;
}

Result<int> run(const RunArguments& arguments) {
  note_foreign_tuning(arguments.common);
  Result<Subject> subject = load_subject(arguments.common, arguments.weights);
  if (!subject) return tl::unexpected(subject.error());
  Result<Files> files = read_files(arguments);
  if (!files) return tl::unexpected(files.error());
  const int wav_rate = files->inputs[0].signal.sample_rate;
  Result<Runnable> runnable =
      make_runnable(std::move(*subject), std::move(files->inputs), arguments.common, arguments.weights);
  if (!runnable) return tl::unexpected(runnable.error());
  if (Result<void> done = check_counts(arguments, runnable->outputs.size()); !done)
    return tl::unexpected(done.error());
  if (Result<void> done = check_judges(*files, runnable->outputs); !done) return tl::unexpected(done.error());
  Outcome outcome{.arguments = arguments,
                  .runnable = std::move(*runnable),
                  .inputs = {},
                  .outputs = {},
                  .threads = thread_count(arguments.common),
                  .rate = arguments.rate > 0 ? arguments.rate : wav_rate,
                  .differences = {},
                  .clean = {},
                  .snr_before = {}};
  if (Result<void> done = compute(outcome); !done) return tl::unexpected(done.error());
  if (Result<void> done = judge(outcome, *files); !done) return tl::unexpected(done.error());
  if (Result<void> done = write_results(outcome, files->outputs); !done) return tl::unexpected(done.error());
  if (arguments.common.json) {
    fmt::print("{}\n", to_json(outcome).dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    print_text(outcome);
  }
  return check_tolerance(outcome);
}

void add_file_options(CLI::App& command, RunArguments& arguments) {
  command
      .add_option(
          "--input", arguments.inputs,
          "Input: .npy of (batch..., steps, channels), or one sample as .npy, .csv (a row per step, a column "
          "per channel; x.csv:2 or x.csv:name takes one) or .wav; for models once per input, in order")
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
                  "Where the result goes: .npy, .csv or .wav; once per output, in order")
      ->allow_extra_args(false)
      ->type_name("FILE");
  command
      .add_option("--expected", arguments.expected,
                  "A file with the expected result; the largest difference from it is printed")
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
      ->delimiter(',')
      ->allow_extra_args(false)
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
      "  convsmith run model.keras --input ecg.csv:noisy_mv --output clean.csv --plot ecg.svg --rate 360");
  command->callback([arguments, &exit_code] {
    const Result<int> result = run(*arguments);
    exit_code = result ? *result : report(result.error());
  });
}

}  // namespace convsmith::cli
