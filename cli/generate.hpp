// The manual page and the completions of shells, made from the options as the parser has them, so that none
// is missing and none is made up. The build installs them. Called by main.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace convsmith::cli {

// Adds the hidden option `--generate man|bash|zsh|fish`, which prints one of them. To be called when all
// commands are there.
void add_generate(CLI::App& program);

// Called by the above and by tests.
std::string manual_page(const CLI::App& program);
std::string bash_completion(const CLI::App& program);
std::string zsh_completion(const CLI::App& program);
std::string fish_completion(const CLI::App& program);
// Which command has which of the options that several have: a table of docs/cli.md.
std::string table_of_options(const CLI::App& program);

}  // namespace convsmith::cli
