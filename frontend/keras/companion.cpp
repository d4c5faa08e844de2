#include "frontend/keras/companion.hpp"

#include <dlfcn.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

namespace convsmith {

namespace fs = std::filesystem;

std::optional<std::string> chosen_companion(const Companion& companion) {
  const char* const chosen = secure_getenv(companion.variable);
  return chosen != nullptr && *chosen != '\0' ? std::optional<std::string>(chosen) : std::nullopt;
}

std::vector<std::string> companion_paths(const Companion& companion) {
  std::vector<fs::path> roots;
  const auto add_folder_of = [&](const char* file) {
    std::error_code error;
    const fs::path whole = fs::canonical(file, error);
    if (!error) roots.push_back(whole.parent_path());
  };
  Dl_info here;
  if (dladdr(reinterpret_cast<const void*>(&companion_paths), &here) != 0) add_folder_of(here.dli_fname);
  add_folder_of("/proc/self/exe");
  std::vector<std::string> paths;
  const auto add = [&](const fs::path& folder) {
    const std::string path = (folder / companion.file).lexically_normal();
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  };
  for (const fs::path& root : roots) {
    add(root);
    for (const std::string& folder : companion.folders) add(root / folder);
  }
  // Absolute ones need no root: there is none where /proc is not mounted and the program's name has no
  // folder.
  for (const std::string& folder : companion.folders)
    if (fs::path(folder).is_absolute()) add(folder);
  return paths;
}

}  // namespace convsmith
