#include "cli/measure/processors.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace convsmith::cli {
namespace {

int count_allowed(int online) {
  // Machines may have more processors than cpu_set_t has room for.
  for (int room = 1024; room <= 1 << 20; room *= 2) {
    cpu_set_t* const set = CPU_ALLOC(static_cast<size_t>(room));
    if (set == nullptr) break;
    const size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(room));
    const bool known = sched_getaffinity(0, bytes, set) == 0;
    const int count = known ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (known) return count;
  }
  return online;
}

void take_smaller(std::optional<double>& least, double quota) {
  least = std::min(least.value_or(quota), quota);
}

// "max 100000", "50000 100000"
void read_cpu_max(const std::string& path, std::optional<double>& least) {
  std::ifstream file(path);
  double quota = 0;
  double period = 0;
  if (file >> quota >> period && quota > 0 && period > 0) take_smaller(least, quota / period);
}

void read_cfs_quota(const std::string& folder, std::optional<double>& least) {
  double quota = 0;
  double period = 0;
  if (std::ifstream(folder + "/cpu.cfs_quota_us") >> quota &&
      std::ifstream(folder + "/cpu.cfs_period_us") >> period && quota > 0 && period > 0)
    take_smaller(least, quota / period);
}

// A cgroup and all above it, as /proc/self/cgroup has them: "0::/a/b" of version 2, "4:cpu,cpuacct:/a/b" of
// version 1.
std::optional<double> find_quota(const std::string& root) {
  std::optional<double> least;
  std::ifstream file(root + "/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {
    std::istringstream parts(line);
    std::string number;
    std::string controllers;
    std::string path;
    std::getline(parts, number, ':');
    std::getline(parts, controllers, ':');
    std::getline(parts, path);
    const bool has_cpu = ("," + controllers + ",").find(",cpu,") != std::string::npos;
    if (!controllers.empty() && !has_cpu) continue;
    for (std::filesystem::path group = path;; group = group.parent_path()) {
      const std::string below = group == "/" ? "" : group.string();
      if (controllers.empty()) read_cpu_max(root + "/sys/fs/cgroup" + below + "/cpu.max", least);
      for (const std::string& mount : {controllers, std::string("cpu")})
        if (has_cpu) read_cfs_quota(root + "/sys/fs/cgroup/" + mount + below, least);
      if (!group.has_relative_path()) break;
    }
  }
  return least;
}

}  // namespace

Processors find_processors(const std::string& root) {
  Processors processors;
  processors.online = static_cast<int>(std::max(1L, sysconf(_SC_NPROCESSORS_ONLN)));
  processors.allowed = count_allowed(processors.online);
  processors.quota = find_quota(root);
  return processors;
}

std::string describe(const Processors& processors) {
  std::string text = fmt::format("{}", processors.online);
  if (processors.allowed < processors.online)
    text += fmt::format(", {} allowed by affinity", processors.allowed);
  if (processors.quota) text += fmt::format(", {:.3g} by the cgroup's quota", *processors.quota);
  return text;
}

}  // namespace convsmith::cli
