// Helpers of the x86 tests: compile a program for a target, run it beside the interpreter, compare
// bits.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include "codegen/interp/interp.hpp"
#include "codegen/machine_kernel.hpp"
#include "codegen/target.hpp"
#include "codegen/vir/builder.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "codegen/x86/assemble.hpp"

namespace convsmith::x86_test {

// The targets of the x86 back end that this CPU runs.
inline std::vector<Target> targets() {
  std::vector<Target> result;
  const Isa best = detect_isa();
  if (best != Isa::kBaseline) result.push_back(target_for(Isa::kAvx2));
  if (best == Isa::kAvx512) result.push_back(target_for(Isa::kAvx512));
  return result;
}

inline x86::MachineCode assemble(const vir::Program& program, const Target& target) {
  if (const auto ok = vir::verify(program); !ok) {
    ADD_FAILURE() << ok.error().message << "\n" << vir::print(program);
    return {};
  }
  auto code = x86::assemble(program, target);
  if (!code) {
    ADD_FAILURE() << code.error().message << "\n" << vir::print(program);
    return {};
  }
  return std::move(*code);
}

inline std::unique_ptr<Kernel> publish(const x86::MachineCode& code) {
  static CodeMemory memory = CodeMemory::create().value();
  return convsmith::publish(memory, code.bytes).value();
}

inline std::unique_ptr<Kernel> compile(const vir::Program& program, const Target& target) {
  return publish(assemble(program, target));
}

// Floats at every corner, then random bits and plain numbers in turn.
inline std::vector<uint32_t> interesting_floats(size_t count, uint32_t seed) {
  std::vector<uint32_t> values = {
      0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000,
      0x3f800000, 0xbf800000, 0x3f7fffff, 0x3f800001, 0x40000000, 0x4b000000, 0xcb000001, 0x5f000000,
      0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001, 0xff812345,
      0x34000000, 0x1e3ce508, 0x9e3ce508, 0x20000000, 0x5f7fffff, 0x33800000, 0x4effffff, 0xc0490fdb};
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> plain(-4, 4);
  while (values.size() < count) {
    values.push_back(static_cast<uint32_t>(random()));
    values.push_back(std::bit_cast<uint32_t>(plain(random)));
  }
  values.resize(count);
  return values;
}

// NaNs become one pattern: their sign and payload are not promised.
inline std::vector<uint32_t> canonical(std::vector<uint32_t> values) {
  for (uint32_t& bits : values) {
    if ((bits & 0x7fffffff) > 0x7f800000) bits = 0x7fc00000;
  }
  return values;
}

inline const float* floats(const std::vector<uint32_t>& words) {
  return reinterpret_cast<const float*>(words.data());
}
inline float* floats(std::vector<uint32_t>& words) {
  return reinterpret_cast<float*>(words.data());
}

}  // namespace convsmith::x86_test
