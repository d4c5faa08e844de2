// The command line program: chooses the subcommand and turns whatever goes wrong into one sentence and an
// exit code (commands.hpp).
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "cli/commands.hpp"
#include "cli/generate.hpp"
#include "cli/io/files.hpp"
#include "cli/program.hpp"
#include "frontend/keras/nearest.hpp"
#include "runtime/host/verbose.hpp"

namespace {

using namespace convsmith::cli;
using convsmith::tell;

constexpr const char* kAbout =
    "convsmith compiles 1-D convolution layers and networks, as Keras writes them, to machine code and runs "
    "them.";

constexpr const char* kExamples = R"help(Examples:
  convsmith run "Conv1D(32, 3, activation='relu')" --input x.npy --output y.npy
  convsmith run model.keras --input ecg.csv:2 --output y.csv --plot y.svg
  convsmith inspect model.keras
  convsmith compile model.keras --emit=obj,header -o ecg
  convsmith explain "Conv1D(32, 3, input_shape=(None, 128))" --stage schedule,asm
  convsmith compare "Conv1D(256, 11, dilation_rate=5, padding='same', input_shape=(640, 256))"
  convsmith tune model.keras -o model.tuning.json
  convsmith verify --random 200
  convsmith info

Environment: CONVSMITH_VERBOSE (1, 2), CONVSMITH_DUMP (graph,nest,schedule,vir,regalloc,asm,llvm), CONVSMITH_MAX_ISA,
CONVSMITH_NUM_THREADS, CONVSMITH_LLVM_MODULE, CONVSMITH_H5_HELPER, CONVSMITH_CACHE_DIR (kernels that outlive the process),
CONVSMITH_CACHE_BYTES, CONVSMITH_PROFILE (perf,jitdump,gdb), CONVSMITH_TUNING (a file of tune). Options win over the environment.
Exit code: 0 ok, 1 mismatch or failure, 2 wrong usage, spec or input.)help";

// A value such as "$WEIGHTS" of a variable that is not set must not count as if the option were not there.
void refuse_empty_values(CLI::App& app) {
  const CLI::Validator not_empty(
      [](std::string& text) { return text.empty() ? std::string("its value '' is empty.") : std::string(); },
      "");
  for (CLI::App* const command : app.get_subcommands({}))
    for (CLI::Option* const option : command->get_options())
      if (option->get_items_expected_min() > 0) option->check(not_empty);
}

std::vector<std::string> command_names(CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* const command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

std::string hint(const std::string& typed, const std::vector<std::string>& words) {
  const std::string question = convsmith::did_you_mean(typed, words);
  return question.empty() ? "" : " " + question;
}

std::vector<std::string> option_names(const CLI::App& command) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    for (const std::string& name : option->get_snames()) names.push_back("-" + name);
  }
  return names;
}

// What may be meant by an option that `owner` does not have: of a short one ("-i") the first that begins like
// it, else similar ones, else the commands that do have it.
std::string option_hint(const std::string& typed, const CLI::App& owner, const CLI::App& app) {
  const std::vector<std::string> own = option_names(owner);
  const std::string long_name = typed.starts_with("--") ? typed : "-" + typed;
  const auto begins = [&](const std::string& name) { return name.starts_with(long_name); };
  if (const auto found = std::find_if(own.begin(), own.end(), begins);
      typed != long_name && found != own.end())
    return fmt::format(" Did you mean '{}'?", *found);
  if (const std::string similar = hint(long_name, own); !similar.empty()) return similar;
  std::string having;
  for (const CLI::App* const command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::vector<std::string> names = option_names(*command);
    if (std::find(names.begin(), names.end(), typed) != names.end())
      having += (having.empty() ? "" : ", ") + command->get_name();
  }
  return having.empty() ? "" : fmt::format(" It is an option of: {}.", having);
}

// What nobody expects: a command or an option that there is not, or one word too many.
std::string unexpected_text(CLI::App& app) {
  const std::string typed = app.remaining(true).front();
  const std::string shown = printable(typed);
  if (app.get_subcommands().empty() && !typed.starts_with('-')) {
    const std::vector<std::string> names = command_names(app);
    return fmt::format("There is no command '{}'; the commands are {}.{}", shown, fmt::join(names, ", "),
                       hint(typed, names));
  }
  CLI::App& owner = app.get_subcommands().empty() ? app : *app.get_subcommands().front();
  const std::string name =
      &owner == &app ? std::string("convsmith") : fmt::format("convsmith {}", owner.get_name());
  if (!typed.starts_with('-')) {
    return fmt::format("'{}' is one word too many for {}; what has spaces in it needs quotes.", shown, name);
  }
  const std::string word = typed.substr(0, typed.find('='));
  return fmt::format("{} has no option '{}'; '{} --help' shows those that it has.{}", name, printable(word),
                     name, option_hint(word, owner, app));
}

// "help" and "help COMMAND" as "--help" and "COMMAND --help".
std::vector<std::string> words_of(CLI::App& app, int argc, char** argv) {
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty() || words.front() != "help") return words;
  if (words.size() == 1) return {"--help"};
  const std::vector<std::string> names = command_names(app);
  if (std::find(names.begin(), names.end(), words[1]) == names.end()) return {words[1]};
  return {words[1], "--help"};
}

// What was printed may not have arrived: the disk behind a file is full, or nobody reads, as behind `head`,
// which is no news. `error`: the reason, where printing met it.
int finish(int exit_code, int error = 0) {
  errno = error;
  const bool failed = std::fflush(stdout) != 0 || std::ferror(stdout) != 0;
  if (!failed) return exit_code;
  error = errno;
  if (error != EPIPE)
    tell("error", fmt::format("Standard output can't be written{}.",
                              error == 0 ? "" : std::string(": ") + std::strerror(error)));
  return exit_code == kOk ? kFailure : exit_code;
}

// A pipe that nobody reads and a file that has grown too large are errors of writing, not the end. A file
// that is opened must not become standard output because that was closed.
void prepare_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (fcntl(descriptor, F_GETFD) < 0 && open("/dev/null", O_RDONLY) < 0) std::abort();
}

int run_program(int argc, char** argv) {
  CLI::App app(kAbout, "convsmith");
  int exit_code = kOk;
  app.set_version_flag("-v,--version", "convsmith " CONVSMITH_VERSION);
  app.set_help_all_flag("--help-all", "Print the help of all commands");
  app.require_subcommand(0, 1);
  add_commands(app, exit_code);
  app.footer(kExamples);  // commands that were added later would inherit it
  add_generate(app);
  refuse_empty_values(app);
  try {
    std::vector<std::string> words = words_of(app, argc, argv);
    std::reverse(words.begin(), words.end());  // as parse takes them
    app.parse(std::move(words));
  } catch (const CLI::Success& wanted) {
    std::ostringstream out;
    const int code = app.exit(wanted, out, out);
    fmt::print("{}", out.str());
    return code;
  } catch (const CLI::ExtrasError&) {
    tell("error", unexpected_text(app));
    return kUsage;
  } catch (const CLI::ParseError& error) {
    // Who types -i for --input is told of -i first.
    const std::vector<std::string> left = app.remaining(true);
    if (!left.empty() && left.front().starts_with('-')) {
      tell("error", unexpected_text(app));
      return kUsage;
    }
    const std::string what = error.what();
    const char* const hidden =
        what.starts_with(": ") ? "--generate" : "";  // CLI11 does not name what is hidden
    tell("error", fmt::format("{}{}\nTry 'convsmith --help', or --help behind a command.", hidden, what));
    return kUsage;
  }
  if (app.get_subcommands().empty()) fmt::print("{}", app.help());
  return exit_code;
}

}  // namespace

int main(int argc, char** argv) {
  prepare_streams();
  try {
    return finish(run_program(argc, argv));
  } catch (const std::bad_alloc&) {
    tell("error", "There is not enough memory for this layer and its arrays.");
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) != 0) return finish(kFailure, error.code().value());
    tell("error", error.what());
  } catch (const std::exception& error) {
    tell("error", error.what());
  }
  return kFailure;
}
