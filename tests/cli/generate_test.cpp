// The manual page, the completions and docs/cli.md know every command and every option, and no other ones.
#include "cli/generate.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "cli/option_text.hpp"
#include "cli/program.hpp"
#include "tests/cli/call_cli.hpp"
#include "tests/support/places.hpp"

namespace convsmith::cli {
namespace {

using cli_test::call;
using cli_test::TemporaryFolder;
using testing::HasSubstr;

class Program {
 public:
  Program() { add_commands(app_, exit_code_); }
  const CLI::App& app() const { return app_; }
  std::vector<CommandText> commands() const { return describe_commands(app_); }

 private:
  CLI::App app_{"about", "convsmith"};
  int exit_code_ = 0;
};

std::string generated(const std::string& kind) {
  const cli_test::Outcome outcome = call({"--generate", kind});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return outcome.out;
}

bool is_installed(const std::string& program) {
  return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

// The text of docs/cli.md by its headings.
std::map<std::string, std::string> sections_of_docs() {
  std::istringstream text(TemporaryFolder::read(places::test_source("../docs/cli.md")));
  std::map<std::string, std::string> sections;
  std::string heading;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("## ")) heading = line.substr(3);
    sections[heading] += line + "\n";
  }
  return sections;
}

// The options that the first cells of a section's tables name.
std::set<std::string> options_in_tables(const std::string& section) {
  std::set<std::string> names;
  std::istringstream text(section);
  static const std::regex kName("`(--[a-z-]+)");
  for (std::string line; std::getline(text, line);) {
    if (!line.starts_with("| `")) continue;
    const size_t end_of_cell = line.find(" | ");
    const std::string cell = line.substr(2, end_of_cell - 2), rest = line.substr(end_of_cell);
    if (rest.starts_with(" | x |") || rest.starts_with(" |   |")) continue;  // says nothing of its meaning
    for (std::sregex_iterator name(cell.begin(), cell.end(), kName), end; name != end; ++name)
      names.insert((*name)[1]);
  }
  return names;
}

const std::string kShared = "Options of most commands";

TEST(Generate, NothingIsMissing) {
  const std::string man = generated("man"), bash = generated("bash"), zsh = generated("zsh"),
                    fish = generated("fish");
  size_t count = 0;
  for (const CommandText& command : Program().commands()) {
    EXPECT_THAT(man, HasSubstr(".SS " + command.name + "\n"));
    EXPECT_THAT(man, HasSubstr("convsmith " + command.name + "\n"));
    EXPECT_THAT(zsh, HasSubstr("'" + command.name + ":"));
    EXPECT_THAT(fish, HasSubstr("-a " + command.name + " "));
    const std::string manual = man.substr(man.find(".SS " + command.name + "\n"));
    const std::string manual_section = manual.substr(0, manual.find("\n.S", 1));
    const std::string bash_case = bash.substr(bash.find("    " + command.name + ") options="));
    const std::string zsh_case = zsh.substr(zsh.find("      " + command.name + ")\n"));
    for (const OptionText& option : command.options) {
      for (const std::string& name : option.names) {
        ++count;
        std::string dashes = name;
        replace_all(dashes, "-", "\\-");
        EXPECT_THAT(manual_section, HasSubstr("\\fB" + dashes + "\\fR")) << command.name;
        EXPECT_THAT(bash_case.substr(0, bash_case.find('\n')),
                    testing::ContainsRegex("[ ']" + name + "[ ']"));
        EXPECT_THAT(zsh_case.substr(0, zsh_case.find(" ;;")), HasSubstr(name)) << command.name;
        const std::string flag = name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
        EXPECT_THAT(fish, testing::ContainsRegex("__fish_seen_subcommand_from " + command.name + "'[^\n]*" +
                                                 flag + " "));
      }
      for (const std::string& word : option.choices) EXPECT_THAT(manual_section, HasSubstr(word));
    }
  }
  EXPECT_GT(count, 80U);
  EXPECT_THAT(man, HasSubstr("CONVSMITH_CACHE_DIR"));
}

TEST(Generate, DocsListEveryOptionOfEveryCommand) {
  auto sections = sections_of_docs();
  ASSERT_TRUE(sections.contains(kShared));
  const std::string synopsis = sections[""];
  const std::set<std::string> shared = options_in_tables(sections[kShared]);
  const std::set<std::string> of_all = {"--help", "--help-all"};
  for (const CommandText& command : Program().commands()) {
    EXPECT_THAT(synopsis, HasSubstr("\nconvsmith " + command.name)) << "the first lines of docs/cli.md";
    const std::set<std::string> documented = options_in_tables(sections[command.name]);
    std::set<std::string> names;
    for (const OptionText& option : command.options) {
      const std::string& name = option.names.back();
      names.insert(name);
      EXPECT_TRUE(of_all.contains(name) || documented.contains(name) || shared.contains(name))
          << "docs/cli.md does not explain " << name << " of " << command.name;
    }
    for (const std::string& name : documented)
      EXPECT_TRUE(names.contains(name)) << "docs/cli.md gives " << command.name << " the option " << name;
  }
  EXPECT_THAT(sections[kShared], HasSubstr(table_of_options(Program().app())))
      << "The table must be what `convsmith --generate table` prints.";
}

TEST(Generate, BashCompletes) {
  const TemporaryFolder folder;
  const std::string script = folder.write("convsmith", generated("bash"));
  const auto complete = [&](const std::string& words, int at) {
    const std::string command = "bash -c 'set -u; . " + script + "; COMP_WORDS=(" + words +
                                "); COMP_CWORD=" + std::to_string(at) +
                                "; _convsmith; echo ${COMPREPLY[*]-}' >" + (folder / "out") + " 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0);
    return TemporaryFolder::read(folder / "out");
  };
  EXPECT_EQ(complete("convsmith com", 1), "compile compare\n");
  EXPECT_EQ(complete("convsmith run --ru", 2), "--rules\n");
  EXPECT_EQ(complete("convsmith run model.keras --rules keras", 4), "keras2 keras3\n");
  EXPECT_EQ(complete("convsmith run model.keras --rules = keras3", 5), "keras3\n");
  EXPECT_EQ(complete("convsmith compare --isa avx", 3), "avx2 avx512\n");
  EXPECT_EQ(complete("convsmith verify --gu", 2), "--guard\n");
  EXPECT_EQ(complete("convsmith run model.ker", 2), "\n");  // a file: the shell's own completion
}

TEST(Generate, OtherShellsAndManReadIt) {
  const TemporaryFolder folder;
  const std::string end = " >" + (folder / "out") + " 2>&1";
  const auto expect_silence = [&](const std::string& command) {
    EXPECT_EQ(std::system((command + end).c_str()), 0) << command;
    EXPECT_EQ(TemporaryFolder::read(folder / "out"), "") << command;
  };
  if (is_installed("zsh")) expect_silence("zsh -n " + folder.write("_convsmith", generated("zsh")));
  if (is_installed("fish")) expect_silence("fish -n " + folder.write("convsmith.fish", generated("fish")));
  if (is_installed("groff"))
    expect_silence("groff -ww -man -Tutf8 -z " + folder.write("convsmith.1", generated("man")));
  EXPECT_NE(call({"--generate", "tcsh"}).exit_code, 0);
  EXPECT_THAT(call({"--generate", "tcsh"}).err, HasSubstr("it must be man, bash, zsh, fish or table"));
  EXPECT_THAT(call({"--help"}).out, testing::Not(HasSubstr("--generate")));
}

}  // namespace
}  // namespace convsmith::cli
