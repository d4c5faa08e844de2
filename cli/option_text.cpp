#include "cli/option_text.hpp"

#include <algorithm>

namespace convsmith::cli {
namespace {

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

OptionText describe_option(const CLI::Option& option) {
  OptionText text;
  for (const std::string& name : option.get_snames()) text.names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) text.names.push_back("--" + name);
  if (option.get_items_expected_max() > 0) {
    // Validators add what they check, behind a colon.
    const std::string type = option.get_type_name();
    text.value = type.substr(0, type.find(':'));
    if (text.names.empty()) text.value = option.get_name();
    if (text.value.find('|') != std::string::npos) text.choices = split(text.value, '|');
  }
  text.help = option.get_description();
  text.is_required = option.get_required();
  text.is_repeatable = option.get_items_expected_max() > 1;
  return text;
}

}  // namespace

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

bool OptionText::takes_file() const {
  return value == "FILE" || names.empty();
}

CommandText describe_command(const CLI::App& command) {
  CommandText text{command.get_name(), command.get_description(), {}, {}, command.get_footer()};
  for (const CLI::Option* const option : command.get_options()) {
    if (option->get_group().empty()) continue;
    OptionText described = describe_option(*option);
    (described.names.empty() ? text.arguments : text.options).push_back(std::move(described));
  }
  return text;
}

std::vector<CommandText> describe_commands(const CLI::App& program) {
  std::vector<CommandText> texts;
  for (const CLI::App* const command : program.get_subcommands([](const CLI::App*) { return true; }))
    if (!command->get_group().empty()) texts.push_back(describe_command(*command));
  return texts;
}

}  // namespace convsmith::cli
