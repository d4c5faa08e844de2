// CHECK: an invariant of our own. A failed one is a bug in convsmith, never a user's mistake, so it
// prints what failed and aborts.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace convsmith {

[[noreturn]] inline void fail_check(const char* file, int line, const char* what) {
  std::fprintf(stderr, "convsmith: internal error at %s:%d: %s\n", file, line, what);
  std::abort();
}

}  // namespace convsmith

#define CONVSMITH_CHECK(condition, what)                                   \
  do {                                                                     \
    if (!(condition)) ::convsmith::fail_check(__FILE__, __LINE__, (what)); \
  } while (false)
