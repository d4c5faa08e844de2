#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/generate.hpp"
#include "cli/option_text.hpp"

namespace convsmith::cli {
namespace {

std::string quoted_for_shell(std::string text) {
  replace_all(text, "'", "'\\''");
  return "'" + text + "'";
}

// Of `--name VALUE`: what the shells are to offer behind it.
enum class Offer { kNothing, kWords, kFiles };

Offer offer_of(const OptionText& option) {
  if (!option.choices.empty()) return Offer::kWords;
  return option.takes_file() ? Offer::kFiles : Offer::kNothing;
}

std::vector<std::string> names_of(const std::vector<OptionText>& options) {
  std::vector<std::string> names;
  for (const OptionText& option : options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

// --- bash ---

// The case of one command: what follows the word `before`, else the names of options.
std::string bash_case(const CommandText& command) {
  std::string out;
  for (const OptionText& option : command.options) {
    if (option.value.empty()) continue;
    const char* action = "files=yes";
    std::string words;
    if (offer_of(option) == Offer::kNothing) action = "";
    if (offer_of(option) == Offer::kWords) words = fmt::format("words='{}'", fmt::join(option.choices, " "));
    out += fmt::format("        {}) {} ;;\n", fmt::join(option.names, " | "), words.empty() ? action : words);
  }
  return fmt::format(
      "    {}) options='{}'\n      case $before in\n{}        *) [[ $word == -* ]] && words=$options || "
      "files=yes ;;\n"
      "      esac ;;\n",
      command.name.empty() ? "''" : command.name, fmt::join(names_of(command.options), " "), out);
}

// --- zsh ---

// Text within the brackets of a specification of _arguments.
std::string zsh_text(std::string text) {
  for (const std::string_view special : {"\\", "[", "]", ":"})
    replace_all(text, special, "\\" + std::string(special));
  return text;
}

std::string zsh_value(const OptionText& option) {
  switch (offer_of(option)) {
    case Offer::kWords:
      return fmt::format("value:({})", fmt::join(option.choices, " "));
    case Offer::kFiles:
      return zsh_text(option.value) + ":_files";
    case Offer::kNothing:
      break;
  }
  return zsh_text(option.value) + ": ";
}

std::string zsh_arguments(const CommandText& command) {
  std::string out;
  for (const OptionText& option : command.options) {
    for (const std::string& name : option.names) {
      const bool is_long = name.starts_with("--");
      const std::string value =
          option.value.empty()
              ? ""
              : (is_long ? "=" : "+") + fmt::format("[{}]:{}", zsh_text(option.help), zsh_value(option));
      const std::string spec =
          option.value.empty() ? fmt::format("{}[{}]", name, zsh_text(option.help)) : name + value;
      out += fmt::format(" \\\n        {}", quoted_for_shell((option.is_repeatable ? "*" : "") + spec));
    }
  }
  return out;
}

// --- fish ---

std::string fish_options(const CommandText& command, const std::string& condition) {
  std::string out;
  for (const OptionText& option : command.options) {
    std::string line = fmt::format("complete -c convsmith -n '{}'", condition);
    for (const std::string& name : option.names)
      line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
    if (!option.value.empty()) {
      if (offer_of(option) == Offer::kFiles)
        line += " -r -F";
      else
        line += " -x";
      if (offer_of(option) == Offer::kWords) line += fmt::format(" -a '{}'", fmt::join(option.choices, " "));
    }
    std::string help = option.help;
    replace_all(help, "\\", "\\\\");
    replace_all(help, "'", "\\'");
    out += line + fmt::format(" -d '{}'\n", help);
  }
  return out;
}

}  // namespace

std::string bash_completion(const CLI::App& program) {
  const std::vector<CommandText> commands = describe_commands(program);
  std::vector<std::string> names;
  for (const CommandText& command : commands) names.push_back(command.name);
  CommandText none = describe_command(program);
  std::string cases = fmt::format("    '') words='{} {}' ;;\n", fmt::join(names, " "),
                                  fmt::join(names_of(none.options), " "));
  for (const CommandText& command : commands) cases += bash_case(command);
  return fmt::format(R"(# Completion of convsmith for bash, made by `convsmith --generate bash`.
_convsmith() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}} command= files= words= options i
  # bash takes --name=value apart.
  [[ $word != = ]] || word=
  [[ $before != = ]] || before=${{COMP_WORDS[COMP_CWORD - 2]}}
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${{COMP_WORDS[i]}} in
      {}) command=${{COMP_WORDS[i]}}; break ;;
    esac
  done
  case $command in
{}  esac
  COMPREPLY=()
  if [[ -n $files ]]; then
    compopt -o default 2>/dev/null
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}}
complete -F _convsmith convsmith
)",
                     fmt::join(names, " | "), cases);
}

std::string zsh_completion(const CLI::App& program) {
  std::string names, cases;
  for (const CommandText& command : describe_commands(program)) {
    names += fmt::format("    {}\n", quoted_for_shell(command.name + ":" + command.about));
    cases += fmt::format("      {})\n        _arguments -s{} \\\n        '*:SPEC:_files' ;;\n", command.name,
                         zsh_arguments(command));
  }
  return fmt::format(R"(#compdef convsmith
# Completion of convsmith for zsh, made by `convsmith --generate zsh`.
_convsmith() {{
  local curcontext="$curcontext" state line
  typeset -A opt_args
  local -a commands
  commands=(
{}  )
  _arguments -C{} \
        '1:command:->command' '*::argument:->argument'
  case $state in
    command) _describe command commands ;;
    argument) case $words[1] in
{}    esac ;;
  esac
}}
_convsmith "$@"
)",
                     names, zsh_arguments(describe_command(program)), cases);
}

std::string fish_completion(const CLI::App& program) {
  std::string out = "# Completion of convsmith for fish, made by `convsmith --generate fish`.\n";
  const std::string first = "__fish_use_subcommand";
  out += fmt::format("complete -c convsmith -n {} -f\n", first);
  out += fish_options(describe_command(program), first);
  for (const CommandText& command : describe_commands(program)) {
    std::string about = command.about;
    replace_all(about, "'", "\\'");
    out += fmt::format("complete -c convsmith -n {} -a {} -d '{}'\n", first, command.name, about);
    out += fish_options(command, "__fish_seen_subcommand_from " + command.name);
  }
  return out;
}

}  // namespace convsmith::cli
