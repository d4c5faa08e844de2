// Ctrl-C while something runs that has results to keep: as long as a guard lives, the first SIGINT or SIGTERM
// only asks to stop, and the second one ends the process as usual. Used by tune.
#pragma once

namespace convsmith::cli {

inline constexpr int kInterrupted = 130;  // the exit code, as shells have it for SIGINT

class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool is_interrupted();
};

}  // namespace convsmith::cli
