#include "runtime/host/verbose.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>

#include "frontend/base/utf8.hpp"
#include "runtime/environment.hpp"

namespace convsmith {

// One write, so that lines of several threads stay lines; fmt::print would throw.
void tell(std::string_view kind, std::string_view sentence) {
  std::fputs(fmt::format("{}: {}\n", kind, without_controls(sentence)).c_str(), stderr);
}

int verbose_level() {
  static const int level = [] {
    const char* const text = std::getenv("CONVSMITH_VERBOSE");
    if (text == nullptr || *text == '\0') return 0;
    const Result<int> wanted = parse_verbose_level(text);
    // Who sets it wants to hear something, and would hear nothing.
    if (!wanted) tell("convsmith", wanted.error().message);
    return wanted.value_or(0);
  }();
  return level;
}

void say(int level, std::string_view line) {
  if (verbose_level() >= level) tell("convsmith", line);
}

namespace {

constexpr std::string_view kStages = ",graph,nest,schedule,vir,regalloc,asm,llvm,all,";

// What CONVSMITH_DUMP names, between commas. A word that is no stage would otherwise print nothing in
// silence.
std::string read_stages() {
  const char* const text = std::getenv("CONVSMITH_DUMP");
  const std::string stages = text == nullptr ? "" : text;
  if (const Result<void> ok = check_stages(stages); !ok) tell("convsmith", ok.error().message);
  return "," + stages + ",";
}

const std::string& dumped_stages() {
  static const std::string stages = read_stages();
  return stages;
}

}  // namespace

Result<void> check_stages(const std::string& text) {
  const std::string stages = "," + text + ",";
  for (size_t begin = 1; begin < stages.size();) {
    const size_t end = stages.find(',', begin);
    const std::string word = stages.substr(begin, end - begin);
    if (!word.empty() && kStages.find("," + word + ",") == std::string_view::npos) {
      return make_error(
          ErrorCode::kInvalidSpec,
          fmt::format("CONVSMITH_DUMP names '{}'; the stages are graph, nest, schedule, vir, regalloc, asm, "
                      "llvm and all.",
                      word));
    }
    begin = end + 1;
  }
  return {};
}

bool any_dump_wanted() {
  return dumped_stages().size() > 2;
}

bool dump_wanted(std::string_view stage) {
  if (!any_dump_wanted()) return false;
  return dumped_stages().find(fmt::format(",{},", stage)) != std::string::npos || dumped_stages() == ",all,";
}

void dump(std::string_view stage, std::string_view text) {
  std::fputs(fmt::format("--- {} ---\n{}{}", stage, without_controls(text), text.ends_with('\n') ? "" : "\n")
                 .c_str(),
             stderr);
}

PassScope::~PassScope() {
  if (verbose_level() < 2) return;
  const std::chrono::duration<double, std::micro> time = Clock::now() - begin_;
  say(2, fmt::format("{:<16} {:8.1f} us", name_, time.count()));
}

}  // namespace convsmith
