#include "cli/common_options.hpp"

#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/commands.hpp"
#include "cli/io/files.hpp"
#include "frontend/base/check.hpp"
#include "ir/nest/schedule.hpp"
#include "runtime/environment.hpp"
#include "runtime/graph_schedule.hpp"
#include "runtime/host/verbose.hpp"
#include "runtime/tuning.hpp"

namespace convsmith::cli {
namespace {

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
  if (!shape.empty()) return shape;
  throw CLI::ValidationError(
      fmt::format("--input-shape is '{}'; it must be the sizes of steps and channels, without the batch "
                  "axis, such as 10,128 or None,128 (of a Dense layer: features alone will do).",
                  typed));
}

// The text itself, or what the file of that name holds.
std::string schedule_text(const std::string& typed) {
  const auto refuse = [&](const char* what) {
    throw CLI::ValidationError(fmt::format(
        "--schedule is the {}; it must be steps such as 'split f 16; lanes f1', or a file that holds them.",
        fmt::format(fmt::runtime(what), typed)));
  };
  std::error_code code;
  if (std::filesystem::is_directory(typed, code)) refuse("folder {}");
  if (!std::filesystem::is_regular_file(typed, code)) return typed;
  Result<std::string> text = read_text(typed, uint64_t{1} << 20);
  if (!text) throw CLI::ValidationError("--schedule: " + text.error().message);
  std::erase(*text, '\r');
  if (without_controls(*text) != *text) refuse("file {}, which is not text");
  const Result<ir::Schedule> steps = ir::parse_schedule(*text);
  if (steps && steps->empty())
    throw CLI::ValidationError(fmt::format("--schedule is the file {}, which holds no schedule.", typed));
  return steps ? ir::print(*steps) : *text;
}

void add_backend(CLI::App& command, CommonOptions& options) {
  add_choice<Backend>(command, "--backend", options.backend,
                      {{"auto", Backend::kAuto},
                       {"xbyak", Backend::kXbyak},
                       {"llvm", Backend::kLlvm},
                       {"interp", Backend::kInterp}},
                      "Who makes the code (default: auto, the best that CPU and host allow)");
}

}  // namespace

CLI::Validator seed_range() {
  const auto check = [](std::string& text) {
    uint64_t seed = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, seed);
    if (error == std::errc() && end == last) return std::string();
    return fmt::format("its value '{}' is no whole number from 0 to 18446744073709551615.", printable(text));
  };
  return CLI::Validator(check, "");
}

CLI::Validator whole_range(int64_t low, int64_t high) {
  const auto check = [=](std::string& text) {
    int64_t value = 0;
    const char* const last = text.data() + text.size();
    const auto [end, error] = std::from_chars(text.data(), last, value);
    if (error == std::errc() && end == last && value >= low && value <= high) return std::string();
    return fmt::format("its value '{}' is no whole number from {} to {}.", printable(text), low, high);
  };
  return CLI::Validator(check, "");
}

CLI::Validator number_range(double low, double high, const std::string& wanted) {
  const auto check = [=](std::string& text) {
    double value = 0;
    if (CLI::detail::lexical_cast(text, value) && value >= low && value <= high) return std::string();
    return fmt::format("its value '{}' is no {}.", printable(text), wanted);
  };
  return CLI::Validator(check, "");
}

void add_spec(CLI::App& command, CommonOptions& options, bool required, const std::string& programs) {
  command
      .add_option(
          "SPEC", options.spec,
          "A layer: call text such as \"Conv1D(32, 3, activation='relu', input_shape=(10, 128))\"; or "
          "a file: a layer's config (.json), a whole model (.keras, .h5, .json)" +
              programs)
      ->required(required)
      ->type_name("");
}

void add_isa_option(CLI::App& command, CommonOptions& options) {
  add_choice<Isa>(
      command, "--isa", options.isa,
      {{"auto", Isa::kAuto}, {"avx2", Isa::kAvx2}, {"avx512", Isa::kAvx512}, {"baseline", Isa::kBaseline}},
      "Instruction set (default: auto, the best of this CPU)");
}

void add_denormals_option(CLI::App& command, CommonOptions& options) {
  add_choice<Denormals>(command, "--denormals", options.denormals,
                        {{"keep", Denormals::kKeep}, {"flush", Denormals::kFlush}},
                        "What becomes of numbers below 2^-126: kept, or taken for zeros (default: keep)");
}

void add_back_end_options(CLI::App& command, CommonOptions& options) {
  add_backend(command, options);
  add_isa_option(command, options);
}

void add_layer_options(CLI::App& command, CommonOptions& options) {
  add_choice<Rules>(command, "--rules", options.rules,
                    {{"common", Rules::kCommon},
                     {"keras2", Rules::kKeras2},
                     {"keras3", Rules::kKeras3},
                     {"any", Rules::kAny}},
                    "Whose rules decide what is accepted (default: common, what either Keras accepts)");
  command
      .add_option_function<std::string>(
          "--input-shape", [&options](const std::string& text) { options.input_shape = parse_shape(text); },
          "Steps and channels, without the batch axis: 10,128 or None,128")
      ->type_name("SHAPE");
  command.add_flag("--json", options.json, "Print JSON");
}

void add_language_options(CLI::App& command, CommonOptions& options) {
  add_layer_options(command, options);
  add_backend(command, options);
}

void add_tuning_option(CLI::App& command, CommonOptions& options) {
  // An input file that is not there is wrong usage, as any other one.
  const CLI::Validator is_file(
      [](std::string& path) {
        std::error_code code;
        if (path.empty() || std::filesystem::is_regular_file(path, code)) return std::string();
        return fmt::format("its value '{}' is no file that can be read.", printable(path));
      },
      "");
  command
      .add_option("--tuning", options.tuning,
                  "A file that tune wrote: its schedules replace the chosen ones (default: CONVSMITH_TUNING)")
      ->check(is_file)
      ->type_name("FILE");
}

void add_common_options(CLI::App& command, CommonOptions& options) {
  add_language_options(command, options);
  add_isa_option(command, options);
  add_tuning_option(command, options);
  command
      .add_option_function<std::string>(
          "--schedule", [&options](const std::string& text) { options.schedule = schedule_text(text); },
          "Replaces the chosen schedule: steps separated by ';', or a file that holds them")
      ->type_name("TEXT|FILE");
  command.add_option("--threads", options.threads, "Threads (default: CONVSMITH_NUM_THREADS, else 1)")
      ->check(whole_range(1, kMostThreads))
      ->type_name("N");
  command.add_option("--seed", options.seed, "Seed of whatever is drawn at random (default: 0)")
      ->check(seed_range())
      ->type_name("S");
}

Result<void> check_unused(const CommonOptions& options, std::initializer_list<Unused> unused) {
  const auto is_given = [&](std::string_view option) {
    if (option == "--schedule") return !options.schedule.empty();
    if (option == "--tuning") return !options.tuning.empty();
    if (option == "--input-shape") return !options.input_shape.empty();
    if (option == "--rules") return options.rules != Rules::kCommon && options.rules != Rules::kAny;
    if (option == "--threads") return options.threads > 1;
    CONVSMITH_CHECK(option == "--seed", "an option that is known here");
    return options.seed != 0;
  };
  for (const Unused& one : unused) {
    if (!is_given(one.option)) continue;
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("{} is given, but {}; leave it out.", one.option, one.why));
  }
  return {};
}

Result<void> check_scheduled(const CommonOptions& options) {
  const std::string is = printable(options.spec) + " is";
  return check_unused(options, {{"--schedule", is + " scheduled already"},
                                {"--tuning", is + " scheduled already"},
                                {"--input-shape", is + " of one shape"},
                                {"--rules", is + " read under the rules any"}});
}

Result<void> check_for_model(const CommonOptions& options) {
  if (!options.input_shape.empty())
    return make_error(ErrorCode::kInvalidSpec, "--input-shape is for layers; a model's file says its own.");
  if (const auto fits = check_graph_schedule(options.schedule); !fits)
    return make_error(ErrorCode::kInvalidSpec,
                      "--schedule is one of a loop nest, and SPEC is a model. " + fits.error().message);
  return {};
}

int thread_count(const CommonOptions& options) {
  if (options.threads > 0) return options.threads;
  const char* const text = std::getenv("CONVSMITH_NUM_THREADS");
  if (text == nullptr || *text == '\0') return 1;
  const Result<int> threads = parse_thread_count(text);
  if (threads) return *threads;
  print_note(threads.error().message + " One thread is used.");
  return 1;
}

void note_foreign_tuning(const CommonOptions& options) {
  const auto tuning = load_tuning(options.tuning);
  if (!tuning || *tuning == nullptr) return;  // who uses the file says what is wrong with it
  if (const std::string note = foreign_note(**tuning); !note.empty())
    print_note(fmt::format("{}: {}", options.tuning.empty() ? "CONVSMITH_TUNING" : "--tuning", note));
}

int report(const Error& error) {
  tell("error", error.message);
  const bool refused = error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kIo;
  return refused ? kFailure : kUsage;
}

void print_note(const std::string& sentence) {
  tell("note", sentence);
}

}  // namespace convsmith::cli
