#include "cli/run_files.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "frontend/keras/nearest.hpp"

namespace convsmith::cli {
namespace {

tl::unexpected<Error> refuse(std::string message) {
  return make_error(ErrorCode::kInvalidSpec, std::move(message));
}

// A file as typed, without "NAME=", and the input or output that it is for.
struct Placed {
  std::string typed;
  size_t place = 0;
};

tl::unexpected<Error> unknown_name(std::string_view option, const std::string& typed, const std::string& name,
                                   const std::vector<std::string>& names) {
  const std::string near = did_you_mean(name, names);
  return refuse(without_controls(fmt::format(
      "{} {}: the model has none that is called '{}'; there {} {}.{} A file of that name is ./{}.", option,
      typed, name, names.size() == 1 ? "is" : "are", fmt::join(names, ", "), near.empty() ? "" : " " + near,
      typed)));
}

// Those with a name take its place, the others what is left, in order.
Result<std::vector<Placed>> place_files(std::string_view option, const std::vector<std::string>& typed,
                                        const std::vector<std::string>& names) {
  std::vector<Placed> files;
  std::vector<bool> is_named(typed.size(), false);
  std::vector<bool> is_taken(std::max(names.size(), typed.size()), false);
  for (size_t i = 0; i < typed.size(); ++i) {
    files.push_back({typed[i], 0});
    const size_t equals = typed[i].find('=');
    if (names.empty() || equals == std::string::npos) continue;
    const std::string name = typed[i].substr(0, equals);
    const auto found = std::find(names.begin(), names.end(), name);
    std::error_code code;
    const bool is_path = name.empty() || name.find_first_of("/.") != std::string::npos ||
                         std::filesystem::exists(typed[i], code);
    if (found == names.end() && is_path) continue;
    if (found == names.end()) return unknown_name(option, typed[i], name, names);
    const auto place = static_cast<size_t>(found - names.begin());
    if (is_taken[place])
      return refuse(fmt::format("{} {}: '{}' is given twice.", option, typed[i], without_controls(name)));
    files[i] = {typed[i].substr(equals + 1), place};
    is_taken[place] = is_named[i] = true;
  }
  size_t next = 0;
  for (size_t i = 0; i < files.size(); ++i) {
    if (is_named[i]) continue;
    while (next < is_taken.size() && is_taken[next]) ++next;
    files[i].place = next++;
  }
  return files;
}

// Two names of one file; streams may be named twice, but for standard output.
std::string same_file_key(const std::string& path) {
  if (is_standard_stream(path, STDOUT_FILENO)) return "-";
  std::error_code code;
  return std::filesystem::weakly_canonical(std::filesystem::absolute(path, code), code).string();
}

// As typed: also without "NAME=" and columns.
std::vector<std::string> paths_of(const std::string& typed) {
  std::vector<std::string> paths = {typed};
  if (const size_t equals = typed.find('='); equals != std::string::npos)
    paths.push_back(typed.substr(equals + 1));
  for (std::string& path : paths)
    if (const auto file = parse_signal_file(path, "")) path = file->path;
  return paths;
}

// No file is written twice, and of those that are read only an input is written over.
Result<void> check_distinct(const RunArguments& arguments, const std::vector<std::string>& written) {
  std::vector<std::pair<std::string, std::string>> seen;  // key, use
  std::vector<std::string> read = arguments.expected;
  read.insert(read.end(), {arguments.common.spec, arguments.weights, arguments.clean});
  for (const std::string& typed : read)
    for (const std::string& path : paths_of(typed))
      if (!path.empty()) seen.emplace_back(same_file_key(path), "read");
  for (const std::string& path : written) {
    if (is_stream(path) && !is_standard_stream(path, STDOUT_FILENO)) continue;
    const std::string key = same_file_key(path);
    for (const auto& [other, use] : seen) {
      if (other != key) continue;
      return refuse(
          use == "read"
              ? fmt::format("--output {} would replace a file that this run reads.", path)
              : fmt::format("--output {} is given twice; each output needs a file of its own.", path));
    }
    seen.emplace_back(key, "written");
  }
  return {};
}

Result<std::vector<Target>> find_targets(const RunArguments& arguments,
                                         const std::vector<std::string>& names) {
  const auto placed = place_files("--output", arguments.outputs, names);
  if (!placed) return tl::unexpected(placed.error());
  std::vector<Target> targets;
  std::vector<std::string> written;
  for (const auto& [path, place] : *placed) {
    Target target{{path, arguments.output_format, {}}, place};
    if (arguments.output_format == FileFormat::kAny) {
      const Result<FileFormat> format = format_of(path, "--output");
      if (!format) return tl::unexpected(format.error());
      target.file.format = *format;
    }
    targets.push_back(std::move(target));
    written.push_back(path);
  }
  const std::string& plot = arguments.plot;
  if (!plot.empty() && suffix_of(plot) != ".svg")
    return refuse(fmt::format("--plot is {}; its name must end with .svg.", plot));
  if (!plot.empty()) written.push_back(plot);
  if (Result<void> done = check_distinct(arguments, written); !done) return tl::unexpected(done.error());
  for (const Target& target : targets)
    if (Result<void> done = check_output("--output", target.file.path); !done)
      return tl::unexpected(done.error());
  if (plot.empty()) return targets;
  if (Result<void> done = check_output("--plot", plot); !done) return tl::unexpected(done.error());
  return targets;
}

Result<ReadInput> read_file(SignalFile file) {
  Result<Signal> signal = read_signal(file);
  if (!signal) return tl::unexpected(signal.error());
  for (const std::string& note : signal->notes) print_note(note);
  file.format = signal->format;
  return ReadInput{std::move(file), std::move(*signal)};
}

Result<Judge> read_judge(const Placed& placed, const std::string& option) {
  Result<SignalFile> file = parse_signal_file(placed.typed, option);
  if (!file) return tl::unexpected(file.error());
  Result<ReadInput> read = read_file(std::move(*file));
  if (!read) return tl::unexpected(read.error());
  return Judge{std::move(read->file), std::move(read->signal.tensor), placed.place};
}

Result<ReadInput> read_input(const std::string& typed, const RunArguments& arguments) {
  Result<SignalFile> file = parse_signal_file(typed, "--input", arguments.input_format);
  if (!file) return tl::unexpected(file.error());
  const auto wrong_columns = [&](const char* why) {
    return refuse(fmt::format("--columns is given, but --input {} {}.", typed, why));
  };
  if (!arguments.columns.empty()) {
    if (!file->columns.empty()) return wrong_columns("names its own");
    file->columns = split_columns(arguments.columns);
  }
  if (!file->columns.empty() && (file->format == FileFormat::kNpy || file->format == FileFormat::kWav))
    return wrong_columns("is no .csv file");
  const bool has_columns = !file->columns.empty();
  Result<ReadInput> read = read_file(std::move(*file));
  if (read && has_columns && read->file.format != FileFormat::kCsv) return wrong_columns("is no .csv file");
  return read;
}

// Standard input can be read once.
Result<void> check_standard_input(const RunArguments& arguments) {
  std::vector<std::string> all = arguments.inputs;
  all.insert(all.end(), arguments.expected.begin(), arguments.expected.end());
  all.push_back(arguments.clean);
  const auto is_standard = [](const std::string& typed) {
    const std::string path = typed.substr(typed.find('=') + 1);  // of no "=" the whole
    return typed.starts_with("-:") || path.starts_with("-:") || is_standard_stream(typed, STDIN_FILENO) ||
           is_standard_stream(path, STDIN_FILENO);
  };
  if (std::count_if(all.begin(), all.end(), is_standard) < 2) return {};
  return refuse("Standard input (-) can be read once; another input needs a file of its own.");
}

// Bytes on a terminal are no result that anybody could read.
Result<void> check_terminal(const RunFiles& files) {
  for (const Target& target : files.outputs) {
    const bool shown = is_standard_stream(target.file.path, STDOUT_FILENO) && isatty(STDOUT_FILENO) != 0;
    if (shown && target.file.format != FileFormat::kCsv)
      return refuse(
          "--output - would write bytes to a terminal; choose --output-format csv, a file or a pipe.");
  }
  return {};
}

// A .wav file says how many steps a second it has; where nothing else does, that would be invented.
Result<void> check_rate(const RunArguments& arguments, const RunFiles& files) {
  for (const Target& target : files.outputs) {
    if (target.file.format != FileFormat::kWav || files.rate > 0) continue;
    return refuse(
        fmt::format("--output {} is a .wav file, which has a rate, and the input {} does not say "
                    "its own; give its steps a second with --rate.",
                    target.file.path, arguments.inputs[0]));
  }
  return {};
}

}  // namespace

Result<RunFiles> open_run_files(const RunArguments& arguments, const PortNames& names) {
  RunFiles files;
  Result<std::vector<Target>> targets = find_targets(arguments, names.outputs);
  if (!targets) return tl::unexpected(targets.error());
  files.outputs = std::move(*targets);
  if (Result<void> done = check_standard_input(arguments); !done) return tl::unexpected(done.error());
  Result<std::vector<Placed>> inputs = place_files("--input", arguments.inputs, names.inputs);
  if (!inputs) return tl::unexpected(inputs.error());
  std::sort(inputs->begin(), inputs->end(),
            [](const Placed& a, const Placed& b) { return a.place < b.place; });
  const auto expected = place_files("--expected", arguments.expected, names.outputs);
  if (!expected) return tl::unexpected(expected.error());
  for (const Placed& placed : *inputs) {
    Result<ReadInput> input = read_input(placed.typed, arguments);
    if (!input) return tl::unexpected(input.error());
    files.inputs.push_back(std::move(*input));
  }
  for (Target& target : files.outputs)
    if (target.file.format == FileFormat::kAny) target.file.format = files.inputs[0].file.format;
  files.rate = arguments.rate > 0 ? arguments.rate : files.inputs[0].signal.sample_rate;
  if (Result<void> done = check_terminal(files); !done) return tl::unexpected(done.error());
  if (Result<void> done = check_rate(arguments, files); !done) return tl::unexpected(done.error());
  for (const Placed& placed : *expected) {
    Result<Judge> judge = read_judge(placed, "--expected");
    if (!judge) return tl::unexpected(judge.error());
    files.expected.push_back(std::move(*judge));
  }
  if (arguments.clean.empty()) return files;
  Result<Judge> judge = read_judge({arguments.clean, 0}, "--clean");
  if (!judge) return tl::unexpected(judge.error());
  files.clean = std::move(*judge);
  return files;
}

Result<void> check_shapes(const RunArguments& arguments, const RunFiles& files,
                          const std::vector<RunOutput>& outputs) {
  const auto check_count = [&](const char* option, size_t given) -> Result<void> {
    if (given <= outputs.size()) return {};
    return refuse(fmt::format("{} is given {} times, and there {} {} output{}.", option, given,
                              outputs.size() == 1 ? "is" : "are", outputs.size(),
                              outputs.size() == 1 ? "" : "s"));
  };
  if (Result<void> done = check_count("--output", arguments.outputs.size()); !done) return done;
  if (Result<void> done = check_count("--expected", arguments.expected.size()); !done) return done;
  for (const Target& target : files.outputs) {
    const RunOutput& output = outputs[target.output];
    const std::string what = "--output " + target.file.path;
    const auto shape = arrange_output_shape(output.shape, target.file.format, output.layout, what);
    if (!shape) return tl::unexpected(shape.error());
    const std::string obstacle = target.file.format == FileFormat::kWav ? wav_obstacle(*shape) : "";
    if (!obstacle.empty()) return make_error(ErrorCode::kInvalidData, fmt::format("{}: {}.", what, obstacle));
  }
  const auto check = [&](const char* option, const Judge& judge) -> Result<void> {
    const RunOutput& output = outputs[judge.output];
    const std::string what = fmt::format("{} {}", option, judge.file.path);
    const auto shape = arrange_output_shape(output.shape, judge.file.format, output.layout, what);
    if (!shape) return tl::unexpected(shape.error());
    if (is_same_shape(*shape, judge.tensor.shape)) return {};
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("{}: its shape is {}, and the output's is {}.", what,
                                  shape_text(judge.tensor.shape), shape_text(*shape)));
  };
  for (const Judge& judge : files.expected)
    if (Result<void> done = check("--expected", judge); !done) return done;
  return files.clean ? check("--clean", *files.clean) : Result<void>();
}

Result<void> write_target(const Target& target, const Tensor& output, Layout layout, double rate) {
  const SignalFile& file = target.file;
  const Result<Tensor> tensor = arrange_output(output, file.format, layout, "--output " + file.path);
  if (!tensor) return tl::unexpected(tensor.error());
  const int whole = static_cast<int>(std::clamp(std::round(rate), 1.0, 2e9));
  if (file.format == FileFormat::kWav && whole != rate)
    print_note(fmt::format("{} has whole steps a second: {} instead of {:g}.", file.path, whole, rate));
  return write_signal(file.path, file.format, *tensor, whole);
}

}  // namespace convsmith::cli
