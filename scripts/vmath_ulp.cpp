// Measures every activation over all 2^32 floats against double precision: the largest error in ULP and
// where it is, per program. Not a test: minutes of work.
//
//   g++ -std=c++20 -O3 -march=native -ffp-contract=off -I. -Iinclude scripts/vmath_ulp.cpp
//       codegen/programs/vmath*.cpp codegen/vir/vir.cpp -o vmath_ulp -pthread
//   ./vmath_ulp [name or all [skip]]
//
// skip n: where |x| is below 2^-30 or at least 256, look at every n-th block of 1024 floats only (default 1:
// all). There most functions are x, a constant or 0.
//
// Prints a row of the table in docs/activations.md for each activation. Programs are executed by a small
// evaluator of its own over blocks of lanes (the tests use the interpreter).
#include <algorithm>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "codegen/programs/vmath.hpp"
#include "scripts/vmath_ulp_reference.hpp"

namespace {

using namespace convsmith;

constexpr size_t kBlock = 1024;

// Registers are rows of kBlock lanes; masks are rows of 0 and ~0.
class Evaluator {
 public:
  explicit Evaluator(const Activation& activation) {
    vir::Builder builder("activation", 16);
    const vir::V x = builder.vec();
    result_ = emit_activation(builder, activation, x).id;
    input_ = x.id;
    program_ = builder.take();
    vectors_.resize(program_.registers[2] * kBlock);
    masks_.resize(program_.registers[3] * kBlock);
    // No register is written twice: constants stay.
    for (const vir::Inst& inst : program_.body) {
      if (inst.op == vir::Opcode::kConst)
        std::fill_n(row(inst.regs[0]), kBlock, static_cast<uint32_t>(inst.imm));
    }
  }

  uint32_t* input() { return row(input_); }
  const uint32_t* result() { return row(result_); }

  void run() {
    for (const vir::Inst& inst : program_.body) step(inst);
  }

 private:
  uint32_t* row(uint16_t id) { return &vectors_[id * kBlock]; }
  uint32_t* mask(uint16_t id) { return &masks_[id * kBlock]; }

  template <class Fn>
  void floats(const vir::Inst& inst, Fn fn) {
    bits(inst, [fn](uint32_t x, uint32_t y) {
      return std::bit_cast<uint32_t>(fn(std::bit_cast<float>(x), std::bit_cast<float>(y)));
    });
  }
  template <class Fn>
  void bits(const vir::Inst& inst, Fn fn) {
    const uint32_t *x = row(inst.regs[1]), *y = row(inst.regs[2]);
    uint32_t* __restrict d = row(inst.regs[0]);
    for (size_t j = 0; j < kBlock; ++j) d[j] = fn(x[j], y[j]);
  }
  template <class Fn>
  void unary(const vir::Inst& inst, Fn fn) {
    const uint32_t* x = row(inst.regs[1]);
    uint32_t* __restrict d = row(inst.regs[0]);
    for (size_t j = 0; j < kBlock; ++j) d[j] = fn(x[j]);
  }
  template <class Fn>
  void compare(const vir::Inst& inst, Fn fn) {
    const uint32_t *x = row(inst.regs[1]), *y = row(inst.regs[2]);
    uint32_t* __restrict d = mask(inst.regs[0]);
    for (size_t j = 0; j < kBlock; ++j) {
      d[j] = fn(std::bit_cast<float>(x[j]), std::bit_cast<float>(y[j])) ? ~0U : 0U;
    }
  }
  void fma(const vir::Inst& inst) {
    const uint32_t *x = row(inst.regs[1]), *y = row(inst.regs[2]), *z = row(inst.regs[3]);
    uint32_t* __restrict d = row(inst.regs[0]);
    for (size_t j = 0; j < kBlock; ++j) {
      d[j] = std::bit_cast<uint32_t>(
          std::fma(std::bit_cast<float>(x[j]), std::bit_cast<float>(y[j]), std::bit_cast<float>(z[j])));
    }
  }
  void select(const vir::Inst& inst) {
    const uint32_t *m = mask(inst.regs[1]), *x = row(inst.regs[2]), *y = row(inst.regs[3]);
    uint32_t* __restrict d = row(inst.regs[0]);
    for (size_t j = 0; j < kBlock; ++j) d[j] = (m[j] & x[j]) | (~m[j] & y[j]);
  }

  void step(const vir::Inst& inst) {
    using vir::Opcode;
    const auto n = static_cast<uint32_t>(inst.imm);
    switch (inst.op) {
      case Opcode::kConst:
        return;
      case Opcode::kCopy:
        return unary(inst, [](uint32_t x) { return x; });
      case Opcode::kFma:
        return fma(inst);
      case Opcode::kAdd:
        return floats(inst, [](float x, float y) { return x + y; });
      case Opcode::kSub:
        return floats(inst, [](float x, float y) { return x - y; });
      case Opcode::kMul:
        return floats(inst, [](float x, float y) { return x * y; });
      case Opcode::kDiv:
        return floats(inst, [](float x, float y) { return x / y; });
      case Opcode::kMax:
        return floats(inst, [](float x, float y) { return x > y ? x : y; });
      case Opcode::kMin:
        return floats(inst, [](float x, float y) { return x < y ? x : y; });
      case Opcode::kSqrt:
        return unary(inst,
                     [](uint32_t x) { return std::bit_cast<uint32_t>(std::sqrt(std::bit_cast<float>(x))); });
      case Opcode::kAnd:
        return bits(inst, [](uint32_t x, uint32_t y) { return x & y; });
      case Opcode::kOr:
        return bits(inst, [](uint32_t x, uint32_t y) { return x | y; });
      case Opcode::kXor:
        return bits(inst, [](uint32_t x, uint32_t y) { return x ^ y; });
      case Opcode::kAdd32:
        return bits(inst, [](uint32_t x, uint32_t y) { return x + y; });
      case Opcode::kSub32:
        return bits(inst, [](uint32_t x, uint32_t y) { return x - y; });
      case Opcode::kShl32:
        return unary(inst, [n](uint32_t x) { return x << n; });
      case Opcode::kShr32:
        return unary(inst, [n](uint32_t x) { return x >> n; });
      case Opcode::kLess:
        return compare(inst, [](float x, float y) { return x < y; });
      case Opcode::kLessEqual:
        return compare(inst, [](float x, float y) { return x <= y; });
      case Opcode::kEqual:
        return compare(inst, [](float x, float y) { return x == y; });
      case Opcode::kUnordered:
        return compare(inst, [](float x, float y) { return x != x || y != y; });
      case Opcode::kSelect:
        return select(inst);
      default:
        std::fprintf(stderr, "vmath_ulp: an operation no activation was expected to use\n");
        std::exit(1);
    }
  }

  vir::Program program_;
  std::vector<uint32_t> vectors_, masks_;
  uint16_t input_ = 0, result_ = 0;
};

struct Worst {
  double ulp = 0;
  uint32_t at = 0;
  double denormal = 0;  // the same where the exact result is denormal
  uint64_t wrong_nan = 0, wrong_inf = 0;
};

bool is_core(uint64_t bits) {
  const auto magnitude = static_cast<uint32_t>(bits) & 0x7fffffffU;
  return magnitude >= std::bit_cast<uint32_t>(0x1p-30F) && magnitude < std::bit_cast<uint32_t>(256.0F);
}

// Blocks of consecutive patterns, as `next` hands them out.
void walk(const Activation& activation, uint64_t skip, std::atomic<uint64_t>& next, Worst& worst) {
  Evaluator evaluator(activation);
  for (;;) {
    const uint64_t block = next.fetch_add(1);
    const uint64_t first = block * kBlock;
    if (first >> 32 != 0) return;
    if (!is_core(first) && block % skip != 0) continue;
    for (uint64_t j = 0; j < kBlock; ++j) evaluator.input()[j] = static_cast<uint32_t>(first + j);
    evaluator.run();
    for (uint64_t j = 0; j < kBlock; ++j) {
      const auto bits = static_cast<uint32_t>(first + j);
      const float x = std::bit_cast<float>(bits);
      const float y = std::bit_cast<float>(evaluator.result()[j]);
      const double exact = reference::evaluate(activation, x);
      if (std::isnan(exact) || std::isnan(y)) {
        worst.wrong_nan += std::isnan(exact) != std::isnan(y);
        continue;
      }
      const double error = reference::ulp_error(y, exact);
      if (reference::is_denormal(exact)) {
        if (error > worst.denormal) worst.denormal = error;
      } else if (error > worst.ulp) {
        worst.ulp = error;
        worst.at = bits;
      }
    }
  }
}

Worst measure(const Activation& activation, uint64_t skip) {
  std::atomic<uint64_t> next = 0;
  const unsigned n = std::max(1U, std::thread::hardware_concurrency());
  std::vector<Worst> parts(n);
  std::vector<std::thread> threads;
  for (Worst& part : parts) threads.emplace_back([&] { walk(activation, skip, next, part); });
  for (std::thread& thread : threads) thread.join();
  Worst all;
  for (const Worst& part : parts) {
    if (part.ulp > all.ulp || (part.ulp == all.ulp && part.at < all.at)) all.at = part.at;
    all.ulp = std::max(all.ulp, part.ulp);
    all.denormal = std::max(all.denormal, part.denormal);
    all.wrong_nan += part.wrong_nan;
  }
  return all;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string only = argc > 1 ? argv[1] : "all";
  const uint64_t skip = argc > 2 ? std::max(1ULL, std::strtoull(argv[2], nullptr, 10)) : 1;
  std::printf(
      "| activation | max ULP | at x | bits | ULP, denormal results | operations | constants | live | cheap "
      "|\n");
  std::printf("|---|---|---|---|---|---|---|---|---|\n");
  for (const reference::Case& c : reference::cases()) {
    if (only != "all" && only != c.name) continue;
    const Worst w = measure(c.activation, skip);
    const vmath::Cost cost = vmath::cost(c.activation);
    std::printf("| %s | %.3f | %.9g | %08x | %.2f | %d | %d | %d | %s |%s\n", c.name.c_str(), w.ulp,
                static_cast<double>(std::bit_cast<float>(w.at)), w.at, w.denormal, cost.operations,
                cost.constants, cost.live_registers, is_cheap(c.activation) ? "yes" : "",
                w.wrong_nan != 0 ? " NaN WRONG" : "");
    std::fflush(stdout);
  }
}
