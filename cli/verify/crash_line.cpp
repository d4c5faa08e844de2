#include "cli/verify/crash_line.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace convsmith::cli {

namespace {

// Fixed memory: the handler must not allocate.
struct Line {
  std::array<char, 2048> text;
  volatile size_t size;
};
std::array<Line, kCrashSlots> lines;

void put(const char* text, size_t size) {
  // A handler has no use for an error.
  if (write(STDERR_FILENO, text, size) < 0) return;
}

void on_crash(int number) {
  constexpr char kTitle[] = "\ncrashed in one of:\n";
  constexpr char kUnknown[] = "\ncrashed before the first case\n";
  const bool known = std::any_of(lines.begin(), lines.end(), [](const Line& line) { return line.size != 0; });
  put(known ? kTitle : kUnknown, (known ? sizeof kTitle : sizeof kUnknown) - 1);
  for (const Line& line : lines) {
    if (line.size == 0) continue;
    put(line.text.data(), line.size);
    put("\n", 1);
  }
  // SA_RESETHAND: returning runs the faulting instruction again, now with the default action.
  raise(number);
}

}  // namespace

void install_crash_handler() {
  // The main thread's stack may be what ran out.
  alignas(16) static std::array<char, 64 * 1024> stack;
  stack_t alternative{};
  alternative.ss_sp = stack.data();
  alternative.ss_size = stack.size();
  sigaltstack(&alternative, nullptr);
  struct sigaction action {};
  action.sa_handler = on_crash;
  action.sa_flags = static_cast<int>(SA_RESETHAND) | SA_ONSTACK;
  for (const int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT}) sigaction(number, &action, nullptr);
}

void set_crash_line(size_t slot, std::string_view text) {
  Line& line = lines[slot % kCrashSlots];
  line.size = 0;
  const size_t size = std::min(text.size(), line.text.size());
  std::memcpy(line.text.data(), text.data(), size);
  line.size = size;
}

}  // namespace convsmith::cli
