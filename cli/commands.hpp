// The subcommands of the program. Each function adds one to `app`; when it is the chosen one, its callback
// runs it and leaves the exit code in `exit_code`, which main returns. A callback throws nothing but
// CLI::ParseError (usage, exit code 2). Called by main.
#pragma once

#include <CLI/CLI.hpp>

namespace convsmith::cli {

inline constexpr int kOk = 0;
inline constexpr int kFailure = 1;  // a mismatch, or something that the host refused
inline constexpr int kUsage = 2;    // the command line, a spec or an input file is wrong

void add_run(CLI::App& app, int& exit_code);
void add_inspect(CLI::App& app, int& exit_code);
void add_explain(CLI::App& app, int& exit_code);
void add_compile(CLI::App& app, int& exit_code);
void add_compare(CLI::App& app, int& exit_code);
void add_tune(CLI::App& app, int& exit_code);
void add_verify(CLI::App& app, int& exit_code);
void add_info(CLI::App& app, int& exit_code);

}  // namespace convsmith::cli
