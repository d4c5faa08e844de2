#include "cli/common_options.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "codegen/vir_text.hpp"
#include "frontend/make_problem.hpp"
#include "ir/nest_text.hpp"

namespace convsmith::cli {
namespace {

constexpr uint64_t kMaxSpecBytes = uint64_t{1} << 20;
constexpr int kMaxThreads = 1024;

// An option whose value is one of a few words.
template <class T>
void add_choice(CLI::App& command, const std::string& name, T& target,
                std::vector<std::pair<std::string, T>> choices, const std::string& help) {
  std::string words;
  for (const auto& [word, value] : choices) words.append(words.empty() ? "" : "|").append(word);
  const auto assign = [&target, choices = std::move(choices), name, words](const std::string& text) {
    for (const auto& [word, value] : choices) {
      if (word == text) {
        target = value;
        return;
      }
    }
    throw CLI::ValidationError(fmt::format("{} is '{}'; it must be one of {}.", name, text, words));
  };
  command.add_option_function<std::string>(name, assign, help)->type_name(words);
}

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n") - begin + 1);
}

// One axis: a size, or None.
std::optional<std::optional<int64_t>> parse_axis(std::string_view word) {
  if (word == "None" || word == "none") return std::optional<int64_t>();
  int64_t size = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), size);
  if (error != std::errc() || end != word.data() + word.size()) return std::nullopt;
  return std::optional<int64_t>(size);
}

// "10,128", "(None, 128)"
Shape parse_shape(const std::string& typed) {
  std::string_view text = trim(typed);
  if (text.starts_with('(') && text.ends_with(')')) text = text.substr(1, text.size() - 2);
  Shape shape;
  for (bool more = true; more;) {
    const size_t comma = text.find(',');
    const auto axis = parse_axis(trim(text.substr(0, comma)));
    if (!axis) shape.clear();
    if (!axis) break;
    shape.push_back(*axis);
    more = comma != std::string_view::npos;
    if (more) text.remove_prefix(comma + 1);
  }
  if (shape.size() >= 2) return shape;
  throw CLI::ValidationError(
      fmt::format("--input-shape is '{}'; it must be the sizes of steps and channels, without the batch "
                  "axis, such as 10,128 "
                  "or None,128.",
                  typed));
}

bool is_file_suffix(const std::string& suffix) {
  return suffix == ".json" || suffix == ".nest" || suffix == ".vir";
}

template <class T>
Result<LoadedSpec> as_spec(Result<T> result, const std::string& path) {
  if (result) return Result<LoadedSpec>(tl::in_place, std::move(*result));
  if (path.empty()) return tl::unexpected(result.error());
  return make_error(result.error().code, fmt::format("{}: {}", path, result.error().message));
}

Result<LoadedSpec> parse_spec(const std::string& text, const std::string& suffix, const std::string& path,
                              Rules rules) {
  if (suffix == ".nest") return as_spec(ir::parse_nest(text), path);
  if (suffix == ".vir") return as_spec(vir::parse(text), path);
  Result<ParsedLayer> layer = parse_layer(text, rules);
  if (layer) {
    for (const std::string& note : layer->notes) print_note(note);
  }
  return as_spec(std::move(layer), path);
}

}  // namespace

void add_spec(CLI::App& command, CommonOptions& options, bool required) {
  command
      .add_option(
          "SPEC", options.spec,
          "The layer: call text such as \"Conv1D(32, 3, activation='relu', input_shape=(10, 128))\", or a "
          "file: a layer's config (.json), a loop nest (.nest) or a vector program (.vir)")
      ->required(required)
      ->type_name("");
}

void add_common_options(CLI::App& command, CommonOptions& options) {
  add_choice<Rules>(command, "--rules", options.rules,
                    {{"common", Rules::kCommon},
                     {"keras2", Rules::kKeras2},
                     {"keras3", Rules::kKeras3},
                     {"any", Rules::kAny}},
                    "Whose rules decide what is accepted (default: common, what either Keras accepts)");
  add_choice<Backend>(command, "--backend", options.backend,
                      {{"auto", Backend::kAuto},
                       {"xbyak", Backend::kXbyak},
                       {"llvm", Backend::kLlvm},
                       {"interp", Backend::kInterp}},
                      "Who makes the code (default: auto, the best that CPU and host allow)");
  add_choice<Isa>(
      command, "--isa", options.isa,
      {{"auto", Isa::kAuto}, {"avx2", Isa::kAvx2}, {"avx512", Isa::kAvx512}, {"baseline", Isa::kBaseline}},
      "Instruction set (default: auto, the best of this CPU)");
  command.add_option("--schedule", options.schedule, "Replaces the chosen schedule; steps separated by ';'");
  command
      .add_option_function<std::string>(
          "--input-shape", [&options](const std::string& text) { options.input_shape = parse_shape(text); },
          "Steps and channels, without the batch axis: 10,128 or None,128")
      ->type_name("SHAPE");
  command.add_option("--threads", options.threads, "Threads (default: CONVSMITH_NUM_THREADS, else 1)")
      ->check(CLI::Range(1, kMaxThreads))
      ->type_name("N");
  command.add_option("--seed", options.seed, "Seed of whatever is drawn at random (default: 0)")
      ->type_name("S");
  command.add_flag("--json", options.json, "Print JSON");
}

Result<LoadedSpec> load_spec(const CommonOptions& options) {
  const std::string suffix = suffix_of(options.spec);
  const bool is_text = options.spec.find_first_of("({") != std::string::npos && !is_file_suffix(suffix);
  if (is_text) return parse_spec(options.spec, "", "", options.rules);
  if (!is_file_suffix(suffix)) {
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format(
            "SPEC is '{}'; it must be call text such as \"Conv1D(32, 3)\" or the name of a .json, .nest or "
            ".vir file.",
            printable(options.spec)));
  }
  const Result<std::string> text = read_text(options.spec, kMaxSpecBytes);
  if (!text) return tl::unexpected(text.error());
  return parse_spec(*text, suffix, options.spec, options.rules);
}

Result<Problem> problem_for(const LayerSpec& spec, const CommonOptions& options) {
  if (!options.input_shape.empty()) {
    Shape shape{spec.batch_size};
    shape.insert(shape.end(), options.input_shape.begin(), options.input_shape.end());
    return make_problem(spec, shape, options.rules);
  }
  if (!spec.input_shape.empty()) return make_problem(spec, options.rules);
  Result<Problem> problem = make_problem(spec, options.rules);
  if (!problem) problem.error().message += " Give one, for example with --input-shape None,128.";
  return problem;
}

Result<LayerProblem> layer_problem_for(const LayerSpec& spec, const CommonOptions& options) {
  if (!options.input_shape.empty()) {
    Shape shape{spec.batch_size};
    shape.insert(shape.end(), options.input_shape.begin(), options.input_shape.end());
    return make_layer_problem(spec, shape, options.rules);
  }
  Result<LayerProblem> problem = make_layer_problem(spec, options.rules);
  if (!problem && spec.input_shape.empty())
    problem.error().message += " Give one, for example with --input-shape None,128.";
  return problem;
}

bool is_model_file(const std::string& spec) {
  const std::string suffix = suffix_of(spec);
  return suffix == ".keras" || suffix == ".h5" || suffix == ".hdf5";
}

int thread_count(const CommonOptions& options) {
  if (options.threads > 0) return options.threads;
  const char* const text = std::getenv("CONVSMITH_NUM_THREADS");
  if (text == nullptr) return 1;
  const std::string_view word(text);
  int threads = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), threads);
  if (error == std::errc() && end == word.data() + word.size() && threads >= 1 && threads <= kMaxThreads) {
    return threads;
  }
  print_note(fmt::format("CONVSMITH_NUM_THREADS is '{}', not a number from 1 to {}: one thread is used.",
                         printable(word), kMaxThreads));
  return 1;
}

int report(const Error& error) {
  fmt::print(stderr, "error: {}\n", error.message);
  const bool refused = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kIo;
  return refused ? kFailure : kUsage;
}

void print_note(const std::string& sentence) {
  fmt::print(stderr, "note: {}\n", sentence);
}

}  // namespace convsmith::cli
