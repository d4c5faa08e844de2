#include "runtime/host/cpu_id.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace convsmith {

namespace {

#if defined(__x86_64__)
using Registers = std::array<unsigned, 4>;  // eax, ebx, ecx, edx

Registers cpuid(unsigned leaf, unsigned subleaf = 0) {
  Registers r{};
  if (__get_cpuid_count(leaf, subleaf, &r[0], &r[1], &r[2], &r[3]) == 0) r = {};
  return r;
}

struct Feature {
  const char* name;
  unsigned leaf;
  unsigned subleaf;
  size_t reg;
  unsigned bit;
};
constexpr size_t kEax = 0;
constexpr size_t kEbx = 1;
constexpr size_t kEcx = 2;
constexpr size_t kEdx = 3;
constexpr Feature kFeatures[] = {
    {"avx", 1, 0, kEcx, 28},         {"fma", 1, 0, kEcx, 12},         {"f16c", 1, 0, kEcx, 29},
    {"avx2", 7, 0, kEbx, 5},         {"bmi2", 7, 0, kEbx, 8},         {"avx512f", 7, 0, kEbx, 16},
    {"avx512dq", 7, 0, kEbx, 17},    {"avx512bw", 7, 0, kEbx, 30},    {"avx512vl", 7, 0, kEbx, 31},
    {"avx512_vnni", 7, 0, kEcx, 11}, {"avx512_fp16", 7, 0, kEdx, 23}, {"amx_tile", 7, 0, kEdx, 24},
    {"avx_vnni", 7, 1, kEax, 4},     {"avx512_bf16", 7, 1, kEax, 5}};

std::string brand() {
  std::array<char, 49> text{};
  for (unsigned i = 0; i < 3; ++i) {
    const Registers part = cpuid(0x80000002U + i);
    std::memcpy(text.data() + sizeof part * i, part.data(), sizeof part);
  }
  std::string name = text.data();
  name.erase(0, name.find_first_not_of(' '));
  name.erase(name.find_last_not_of(' ') + 1);
  return name.empty() ? "unknown" : name;
}

CpuId detect() {
  const unsigned signature = cpuid(1)[kEax];
  const auto field = [&](unsigned shift, unsigned bits) {
    return int64_t{signature >> shift & ((1U << bits) - 1)};
  };
  CpuId cpu;
  cpu.name = brand();
  cpu.family = field(8, 4);
  cpu.model = field(4, 4);
  cpu.stepping = field(0, 4);
  if (cpu.family == 6 || cpu.family == 15) cpu.model += field(16, 4) << 4;
  if (cpu.family == 15) cpu.family += field(20, 8);
  for (const Feature& feature : kFeatures) {
    if ((cpuid(feature.leaf, feature.subleaf)[feature.reg] >> feature.bit & 1) != 0)
      cpu.features.emplace_back(feature.name);
  }
  return cpu;
}
#else
CpuId detect() {
  return {};
}
#endif

}  // namespace

const CpuId& this_cpu() {
  static const auto* const cpu = new CpuId(detect());
  return *cpu;
}

std::string describe(const CpuId& cpu) {
  // A file of before says no more than the name.
  if (cpu.family == 0) return cpu.name;
  return fmt::format("{} (family {}, model {}, stepping {}; {})", cpu.name, cpu.family, cpu.model,
                     cpu.stepping, fmt::join(cpu.features, " "));
}

}  // namespace convsmith
