#include "runtime/verbose.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

namespace convsmith {

int verbose_level() {
  static const int level = [] {
    const char* text = std::getenv("CONVSMITH_VERBOSE");
    return text == nullptr ? 0 : std::atoi(text);
  }();
  return level;
}

void say(int level, std::string_view line) {
  if (verbose_level() >= level) fmt::print(stderr, "convsmith: {}\n", line);
}

namespace {

// ",vir,asm,"
const std::string& dumped_stages() {
  static const std::string stages = [] {
    const char* text = std::getenv("CONVSMITH_DUMP");
    return "," + std::string(text == nullptr ? "" : text) + ",";
  }();
  return stages;
}

}  // namespace

bool any_dump_wanted() {
  return dumped_stages().size() > 2;
}

bool dump_wanted(std::string_view stage) {
  if (!any_dump_wanted()) return false;
  return dumped_stages().find(fmt::format(",{},", stage)) != std::string::npos || dumped_stages() == ",all,";
}

void dump(std::string_view stage, std::string_view text) {
  fmt::print(stderr, "--- {} ---\n{}{}", stage, text, text.ends_with('\n') ? "" : "\n");
}

PassScope::~PassScope() {
  if (verbose_level() < 2) return;
  const std::chrono::duration<double, std::micro> time = Clock::now() - begin_;
  say(2, fmt::format("{:<16} {:8.1f} us", name_, time.count()));
}

}  // namespace convsmith
