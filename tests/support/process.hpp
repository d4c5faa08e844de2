// Processes for tests that change what a process may do, or that need one in which nothing has happened.
#pragma once

#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

extern char** environ;

namespace convsmith::test {

inline int wait_for(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// "exit 0", "signal 11"
inline std::string status_text(int status) {
  return WIFSIGNALED(status) ? "signal " + std::to_string(WTERMSIG(status))
                             : "exit " + std::to_string(WEXITSTATUS(status));
}

// Runs `body` in a forked child that ends with exit code 0 if it returns true.
template <class Body>
std::string run_in_child(const Body& body) {
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) _exit(body() ? 0 : 1);
  if (child < 0) return "no child";
  return status_text(wait_for(child));
}

// Begins a test that needs a new process:
//   if (!in_fresh_process()) return;
// The parent runs this very test again in a child, expects it to pass and gets false; the child gets true.
inline bool in_fresh_process() {
  constexpr const char* kMark = "CONVSMITH_TEST_FRESH_PROCESS";
  if (std::getenv(kMark) != nullptr) return true;
  const testing::TestInfo& info = *testing::UnitTest::GetInstance()->current_test_info();
  std::string program = "/proc/self/exe";
  std::string filter = std::string("--gtest_filter=") + info.test_suite_name() + "." + info.name();
  std::string color = "--gtest_color=no";
  std::string mark = std::string(kMark) + "=1";
  std::vector<char*> arguments{program.data(), filter.data(), color.data(), nullptr};
  std::vector<char*> environment{mark.data()};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    // The result file of the parent is not the child's to write.
    if (std::strncmp(*entry, "GTEST_", 6) != 0) environment.push_back(*entry);
  }
  environment.push_back(nullptr);
  std::fflush(nullptr);
  pid_t child = 0;
  const int failed =
      posix_spawn(&child, program.c_str(), nullptr, nullptr, arguments.data(), environment.data());
  EXPECT_EQ(failed, 0) << std::strerror(failed);
  if (failed == 0) {
    EXPECT_EQ(status_text(wait_for(child)), "exit 0");
  }
  return false;
}

inline std::vector<std::string> memory_maps() {
  std::ifstream file("/proc/self/maps");
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

// The lines of /proc/self/maps whose pages can be written and executed.
inline std::string writable_and_executable() {
  std::string found;
  for (const std::string& line : memory_maps()) {
    const size_t space = line.find(' ');
    const std::string permissions = line.substr(space + 1, 4);
    if (permissions[1] == 'w' && permissions[2] == 'x') found += line + "\n";
  }
  return found;
}

inline size_t resident_bytes() {
  std::ifstream file("/proc/self/statm");
  size_t total = 0;
  size_t resident = 0;
  file >> total >> resident;
  return resident * static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace convsmith::test
