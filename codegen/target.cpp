#include "codegen/target.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>

#include "frontend/base/check.hpp"

namespace convsmith {

namespace {

constexpr Target kTargets[] = {
    {Isa::kBaseline, "baseline", 4, 16, false, false, 10, 1, 0.6, 32 << 10, 256 << 10},
    {Isa::kAvx2, "avx2", 8, 16, false, true, 10, 0.25, 0.6, 32 << 10, 256 << 10},
    {Isa::kAvx512, "avx512", 16, 32, true, true, 10, 1.25, 0.85, 32 << 10, 1 << 20},
    {Isa::kNeon, "neon", 4, 32, false, true, 10, 1, 0.6, 32 << 10, 256 << 10},
};

using HostTargets = std::array<Target, std::size(kTargets)>;

HostTargets make_host_targets() {
  // Beyond that a core shares it with others.
  constexpr int64_t kMost = 4 << 20;
  HostTargets targets{};
  std::copy(std::begin(kTargets), std::end(kTargets), targets.begin());
  const int64_t found = sysconf(_SC_LEVEL2_CACHE_SIZE);
  for (Target& target : targets) target.l2_bytes = std::max(target.l2_bytes, std::min(found, kMost));
  return targets;
}

template <class Targets>
const Target& row_of(const Targets& targets, Isa isa) {
  if (isa == Isa::kAuto) isa = detect_isa();
  for (const Target& target : targets) {
    if (target.isa == isa) return target;
  }
  fail_check(__FILE__, __LINE__, "no target row for this instruction set");
}

}  // namespace

Isa detect_isa() {
#if defined(__x86_64__)
  // The compiler's run-time support checks both CPUID and that the system saves the registers.
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi2")) {
    return Isa::kBaseline;
  }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
    return Isa::kAvx512;
  }
  return Isa::kAvx2;
#else
  return Isa::kBaseline;
#endif
}

const Target& target_for(Isa isa) {
  return row_of(kTargets, isa);
}

const Target& host_target(Isa isa) {
  static const HostTargets targets = make_host_targets();
  return row_of(targets, isa);
}

}  // namespace convsmith
