#include "cli/interrupt.hpp"

#include <csignal>

namespace convsmith::cli {
namespace {

constexpr int kSignals[] = {SIGINT, SIGTERM};
volatile std::sig_atomic_t interrupted = 0;

void note_signal(int) {
  interrupted = 1;
}

void set_handler(void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = static_cast<int>(SA_RESETHAND);  // the second one is not ours
  for (const int number : kSignals) {
    struct sigaction before {};
    sigaction(number, nullptr, &before);
    // Who started us with a signal ignored, as nohup and scripts' background jobs do, does not want it.
    if (before.sa_handler != SIG_IGN) sigaction(number, &action, nullptr);
  }
}

}  // namespace

InterruptGuard::InterruptGuard() {
  set_handler(note_signal);
}

InterruptGuard::~InterruptGuard() {
  set_handler(SIG_DFL);
}

bool InterruptGuard::is_interrupted() {
  return interrupted != 0;
}

}  // namespace convsmith::cli
