// The verbose channel and the dumps: what was picked, what fell back and why, and the program between
// any two passes. Controlled by CONVSMITH_VERBOSE (1: decisions, 2: passes with times) and CONVSMITH_DUMP
// (a comma-separated list of nest, schedule, vir, regalloc, asm, llvm, or all). Both go to standard error.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "convsmith/error.hpp"

namespace convsmith {

// "KIND: SENTENCE" on standard error, without what could steer a terminal: sentences quote files. Where
// standard error is closed or full nobody can be told, and that ends nothing.
void tell(std::string_view kind, std::string_view sentence);

int verbose_level();
void say(int level, std::string_view line);

// Whether CONVSMITH_DUMP may hold this text.
Result<void> check_stages(const std::string& text);
bool dump_wanted(std::string_view stage);
bool any_dump_wanted();
void dump(std::string_view stage, std::string_view text);

// Times one pass of the pipeline and says so at level 2.
class PassScope {
 public:
  explicit PassScope(std::string_view name) : name_(name), begin_(Clock::now()) {}
  ~PassScope();
  PassScope(const PassScope&) = delete;
  PassScope& operator=(const PassScope&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  std::string_view name_;
  Clock::time_point begin_;
};

}  // namespace convsmith
