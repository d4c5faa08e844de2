// Calls the built program with its output caught.
#pragma once

#include <sys/wait.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "tests/cli/temporary_folder.hpp"

namespace convsmith::cli_test {

struct Outcome {
  int exit_code = -1;
  std::string out;
  std::string err;
};

inline std::string quoted(const std::string& word) {
  std::string result = "'";
  for (const char c : word) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

inline Outcome call_program(const std::vector<std::string>& words) {
  const TemporaryFolder folder;
  std::string command = quoted(CONVSMITH_CLI);
  for (const std::string& word : words) command += " " + quoted(word);
  command += " >" + quoted(folder / "out") + " 2>" + quoted(folder / "err") + " </dev/null";
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, TemporaryFolder::read(folder / "out"),
          TemporaryFolder::read(folder / "err")};
}

}  // namespace convsmith::cli_test
