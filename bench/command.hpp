// The main function of the programs that measure without Google Benchmark.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/commands.hpp"
#include "cli/common_options.hpp"
#include "runtime/host/verbose.hpp"

namespace convsmith::bench {

// `add` adds the program's options behind those of the back end (Options::common); `run` gives the exit code.
template <class Options>
int run_command(const char* about, const char* name, void (*add)(CLI::App&, Options&),
                int (*run)(const Options&), int argc, char** argv) {
  CLI::App app(about, name);
  Options options;
  cli::add_back_end_options(app, options.common);
  add(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& wanted) {
    return app.exit(wanted);
  } catch (const CLI::ParseError& error) {
    tell("error", std::string(error.what()) + "\nTry '" + name + " --help'.");
    return cli::kUsage;
  }
  return run(options);
}

}  // namespace convsmith::bench
