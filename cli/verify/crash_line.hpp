// What to print if the process dies in generated code: the command that reproduces the case at hand. Used by
// verify, whose guard pages turn a stray access into a signal.
#pragma once

#include <cstddef>
#include <string_view>

namespace convsmith::cli {

// Prints the lines set so far on SIGSEGV, SIGBUS, SIGILL and SIGFPE, then dies of the signal.
void install_crash_handler();

inline constexpr size_t kCrashSlots = 64;
// `slot` below kCrashSlots: one for each thread that runs cases. An empty text clears it.
void set_crash_line(size_t slot, std::string_view text);

}  // namespace convsmith::cli
