// The program's commands and options as plain values, taken from the parser's own tables: what help, the
// manual page and completions are made of. Called by generate and completions.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace convsmith::cli {

struct OptionText {
  std::vector<std::string> names;    // "-o", "--output"; none of a positional argument
  std::string value;                 // what stands behind it, "FILE"; empty of a flag
  std::vector<std::string> choices;  // the words that the value may be, where there are few
  std::string help;
  bool is_required = false;
  bool is_repeatable = false;

  bool takes_file() const;
};

struct CommandText {
  std::string name;
  std::string about;
  std::vector<OptionText> options;
  std::vector<OptionText> arguments;  // without a dash
  std::string footer;
};

// In place, from left to right.
void replace_all(std::string& text, std::string_view from, std::string_view to);

// Without what is hidden (its group is empty).
CommandText describe_command(const CLI::App& command);
std::vector<CommandText> describe_commands(const CLI::App& program);

}  // namespace convsmith::cli
