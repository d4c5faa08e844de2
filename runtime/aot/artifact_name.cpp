#include "runtime/aot/artifact_name.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

namespace convsmith {

namespace {

constexpr size_t kLongest = 64;

bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool is_part(char c) {
  return is_letter(c) || (c >= '0' && c <= '9') || c == '_';
}

// Whose functions would have the same names: malloc_info, ns_name_pack, printf_size_info and svc_run are the
// C library's.
bool is_taken(std::string_view name) {
  constexpr std::array<std::string_view, 4> kOfTheCLibrary = {"malloc", "ns_name", "printf_size", "svc"};
  return name == "convsmith" || name.starts_with("convsmith_") ||
         std::find(kOfTheCLibrary.begin(), kOfTheCLibrary.end(), name) != kOfTheCLibrary.end();
}

// Empty where the name is legal.
std::string what_is_wrong(std::string_view name) {
  if (!is_c_identifier(name))
    return "it must be a C identifier of letters, digits and '_', as the names of functions begin with it";
  if (name.size() > kLongest) return fmt::format("it must have at most {} characters", kLongest);
  if (name.front() == '_' || name.back() == '_' || name.find("__") != std::string_view::npos)
    return "functions that begin with it would have names that C or C++ reserve, with '_' in front or two in "
           "a "
           "row";
  if (is_taken(name))
    return name.starts_with("convsmith") ? "the functions of the library begin with that"
                                         : "the C library has a function that begins with that";
  return "";
}

}  // namespace

bool is_c_identifier(std::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), is_part) &&
         (is_letter(name[0]) || name[0] == '_');
}

Result<void> check_artifact_name(const std::string& name) {
  const std::string wrong = what_is_wrong(name);
  if (wrong.empty()) return {};
  std::string shown = name.substr(0, kLongest);
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < ' ' || c == 0x7f; }, '?');
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("--name is '{}'; {}. '{}' would do.", shown, wrong, artifact_name_for(name)));
}

std::string artifact_name_for(std::string_view text) {
  std::string name;
  for (const char c : text.substr(0, kLongest - 6)) {
    const bool is_gap = !is_part(c) || c == '_';
    if (!is_gap || (!name.empty() && name.back() != '_')) name += is_gap ? '_' : c;
  }
  if (name.ends_with('_')) name.pop_back();
  if (name.empty()) return "model";
  return is_letter(name[0]) && !is_taken(name) ? name : "model_" + name;
}

}  // namespace convsmith
