// How many processors a process may really use: those of the machine, those that its affinity allows, and the
// time that the quotas of its cgroups grant. Used by info.
#pragma once

#include <optional>
#include <string>

namespace convsmith::cli {

struct Processors {
  int online = 1;
  int allowed = 1;  // by the affinity
  std::optional<double>
      quota;  // processors' worth of time; the smallest of all cgroups above; none: no limit
};

// `root` is where /proc and /sys are.
Processors find_processors(const std::string& root = "");

// "2, 1 allowed by affinity, 0.5 by the cgroup's quota"
std::string describe(const Processors& processors);

}  // namespace convsmith::cli
