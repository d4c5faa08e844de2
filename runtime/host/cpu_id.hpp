// Which CPU this is, as far as it decides which schedule is the fastest: the name alone is the same for
// several generations on virtual machines. Used by tuning files, and shown by the command line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace convsmith {

struct CpuId {
  std::string name = "unknown";
  int64_t family = 0;
  int64_t model = 0;
  int64_t stepping = 0;
  std::vector<std::string> features = {};  // of vectors, as /proc/cpuinfo spells them
  bool operator==(const CpuId&) const = default;
};

const CpuId& this_cpu();

// "Intel(R) Xeon(R) (family 6, model 143, stepping 8; avx2 fma avx512f)"
std::string describe(const CpuId& cpu);

}  // namespace convsmith
