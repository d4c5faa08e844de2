#include "cli/generate.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <map>
#include <set>
#include <vector>

#include "cli/option_text.hpp"

namespace convsmith::cli {
namespace {

// Text as troff reads it: no line begins a request, dashes are those of options.
std::string troff(std::string text) {
  replace_all(text, "\\", "\\e");
  replace_all(text, "-", "\\-");
  replace_all(text, "\n.", "\n\\&.");
  replace_all(text, "\n'", "\n\\&'");
  return text.starts_with('.') || text.starts_with('\'') ? "\\&" + text : text;
}

std::string manual_option(const OptionText& option) {
  std::string names;
  for (const std::string& name : option.names)
    names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", troff(name));
  std::string value =
      option.choices.empty() ? fmt::format("\\fI{}\\fR", troff(option.value)) : troff(option.value);
  if (option.value.empty()) value.clear();
  return fmt::format(".TP\n{}{}{}{}\n{}{}\n", names, names.empty() || value.empty() ? "" : " ", value,
                     option.is_repeatable ? " ..." : "", troff(option.help),
                     option.is_required ? " (required)" : "");
}

std::string manual_command(const CommandText& command) {
  std::string out = fmt::format(".SS {}\n{}.\n", command.name, troff(command.about));
  for (const auto* const options : {&command.arguments, &command.options})
    for (const OptionText& option : *options) out += manual_option(option);
  if (!command.footer.empty()) out += fmt::format(".PP\n.nf\n{}\n.fi\n", troff(command.footer));
  return out;
}

std::string synopsis(const CommandText& command) {
  std::string out = fmt::format(".B convsmith {}\n", command.name);
  for (const OptionText& argument : command.arguments)
    out += argument.is_required ? fmt::format(".I {}\n", argument.value)
                                : fmt::format("[\\fI{}\\fR]\n", argument.value);
  return out + "[options]\n.br\n";
}

}  // namespace

std::string manual_page(const CLI::App& program) {
  const CommandText whole = describe_command(program);
  std::string lines, sections;
  for (const CommandText& command : describe_commands(program)) {
    lines += synopsis(command);
    sections += manual_command(command);
  }
  std::string options;
  for (const OptionText& option : whole.options) options += manual_option(option);
  return fmt::format(
      ".\\\" Made by `convsmith --generate man`.\n"
      ".TH CONVSMITH 1 \"\" \"convsmith {}\" \"User Commands\"\n"
      ".SH NAME\nconvsmith \\- compile 1-D convolution layers and networks, and run them\n"
      ".SH SYNOPSIS\n{}.SH DESCRIPTION\n{}\n.SH OPTIONS\n{}.SH COMMANDS\n{}.SH NOTES\n.nf\n{}\n.fi\n",
      CONVSMITH_VERSION, lines, troff(whole.about), options, sections, troff(whole.footer));
}

std::string table_of_options(const CLI::App& program) {
  const std::vector<CommandText> commands = describe_commands(program);
  std::vector<std::string> names;  // in the order in which they first appear
  std::map<std::string, std::set<std::string>> owners;
  std::string head = "| option |", line = "|---|";
  for (const CommandText& command : commands) {
    head += fmt::format(" {} |", command.name);
    line += "---|";
    for (const OptionText& option : command.options) {
      const std::string& name = option.names.back();
      if (name.starts_with("--help")) continue;  // of all
      if (owners[name].empty()) names.push_back(name);
      owners[name].insert(command.name);
    }
  }
  std::string out = head + "\n" + line + "\n";
  for (const std::string& name : names) {
    if (owners[name].size() < 2) continue;
    out += fmt::format("| `{}` |", name);
    for (const CommandText& command : commands) out += owners[name].contains(command.name) ? " x |" : "   |";
    out += "\n";
  }
  return out;
}

void add_generate(CLI::App& program) {
  using Maker = std::string (*)(const CLI::App&);
  static const std::map<std::string, Maker> kMakers = {{"man", manual_page},
                                                       {"bash", bash_completion},
                                                       {"zsh", zsh_completion},
                                                       {"fish", fish_completion},
                                                       {"table", table_of_options}};
  const auto print = [&program](const std::string& kind) {
    const auto maker = kMakers.find(kind);
    if (maker == kMakers.end())
      throw CLI::ValidationError(
          fmt::format("--generate is '{}'; it must be man, bash, zsh, fish or table.", kind));
    fmt::print("{}", maker->second(program));
    throw CLI::Success();
  };
  program.add_option_function<std::string>("--generate", print)->group("");
}

}  // namespace convsmith::cli
