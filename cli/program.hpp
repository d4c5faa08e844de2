// The commands of the program together. Called by main, and by tests that look at the options of all of them.
#pragma once

#include <CLI/CLI.hpp>

namespace convsmith::cli {

// Adds all commands (commands.hpp) in the order of the help.
void add_commands(CLI::App& app, int& exit_code);

}  // namespace convsmith::cli
