// One small vir program for each operation, for the tests that compare a back end with the
// interpreter bit by bit. Every program reads its floats from `in` (one vector a turn) and `weights`
// (two vectors a turn), its integers from the geometry slots, and stores everything it computes to
// `out`. Programs use several operations where one alone shows nothing; together they cover the
// whole table (a test checks that).
#pragma once

#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "codegen/control_word.hpp"
#include "codegen/kernel.hpp"
#include "codegen/vir/builder.hpp"

namespace convsmith::vir {

constexpr int64_t kOpTurns = 500;  // vectors of each operand
constexpr size_t kOpOutFloats = size_t{16} * 4096;

// Floats where operations differ: zeros, denormals, infinities, NaN, halfway cases, and random bits.
inline std::vector<float> interesting_floats(size_t count, uint32_t seed) {
  constexpr std::array<uint32_t, 32> kBits = {
      0x00000000, 0x80000000, 0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x00800000, 0x80800000,
      0x3f800000, 0xbf800000, 0x3f7fffff, 0x3f800001, 0xbf7fffff, 0x7f7fffff, 0xff7fffff, 0x7f800000,
      0xff800000, 0x7fc00000, 0xffc00001, 0x7f800001, 0x4b000000, 0x4b400000, 0xcb800001, 0x42b17218,
      0xc2aeac50, 0x33800000, 0x3fb504f3, 0x1f800000, 0x20000000, 0x5f7fffff, 0x00ffffff, 0x3eaaaaab};
  std::mt19937 random(seed);
  std::vector<float> floats(count);
  for (float& x : floats) {
    const auto choice = random() % 8;
    auto bits = static_cast<uint32_t>(random());
    if (choice < 5) bits = kBits[random() % kBits.size()];
    if (choice == 5) bits = (bits & 0x80ffffff) | 0x3f000000;  // near 1, so that sums cancel
    x = std::bit_cast<float>(bits);
  }
  return floats;
}

// The results as bits; every NaN as 7fc00000, since its sign and payload are not promised.
inline std::vector<uint32_t> canonical_bits(const std::vector<float>& floats) {
  std::vector<uint32_t> bits(floats.size());
  for (size_t i = 0; i < floats.size(); ++i) {
    bits[i] = floats[i] != floats[i] ? 0x7fc00000 : std::bit_cast<uint32_t>(floats[i]);
  }
  return bits;
}

// The integers of one call, in geometry slots; only kSteps means something: the turns.
inline KernelArgs op_args(int64_t a, int64_t b) {
  KernelArgs args{};
  args.kSteps = kOpTurns;
  args.kInSample = a;
  args.kInChannel = b;
  return args;
}

// Pairs for op_args. Small enough that no product leaves 64 bits.
inline std::vector<std::pair<int64_t, int64_t>> op_integers() {
  return {{0, 0},
          {1, 0},
          {0, 1},
          {7, 3},
          {-7, 3},
          {7, -3},
          {-1, -1},
          {-8, 2},
          {15, 15},
          {1000003, 5},
          {-5, 999999},
          {1LL << 31, 97},
          {-(1LL << 40), -11},
          {3, 3},
          {12345, 0},
          {(1LL << 52) + 1, -1}};
}

// Runs `kernel` on its own copies of the data, with denormals kept and then flushed, and returns everything
// in `out` of both.
inline std::vector<uint32_t> run_op_program(const Kernel& kernel, int lanes, KernelArgs args) {
  const auto vectors = static_cast<size_t>(kOpTurns) * static_cast<size_t>(lanes);
  const std::vector<float> in = interesting_floats(vectors, 1);
  const std::vector<float> weights = interesting_floats(2 * vectors, 2);
  // Streams want a multiple of the vector's size.
  constexpr size_t kLine = 16;
  std::vector<float> results;
  for (const Denormals denormals : {Denormals::kKeep, Denormals::kFlush}) {
    std::vector<float> room(kOpOutFloats + kLine, -1.0F);
    const size_t past = reinterpret_cast<uintptr_t>(room.data()) / sizeof(float) % kLine;
    float* const out = room.data() + (kLine - past) % kLine;
    args.kIn = in.data();
    args.kWeights = weights.data();
    args.kOut = out;
    {
      const ScopedControlWord modes(denormals);
      kernel.run(args);
    }
    results.insert(results.end(), out, out + kOpOutFloats);
  }
  return canonical_bits(results);
}

namespace op_programs_detail {

// A program that turns over the operands: `body` gets a, b, c and returns what to store, at most
// four vectors.
template <class Body>
Program turning(const std::string& name, int lanes, Body&& body) {
  Builder b("op." + name, lanes);
  const P in = b.arg_ptr(Arg::kIn);
  const P weights = b.arg_ptr(Arg::kWeights);
  const P out = b.arg_ptr(Arg::kOut);
  const I turns = b.arg_int(Arg::kSteps);
  b.loop(turns, "turn", [&] {
    const V x = b.load(in, 0);
    const V y = b.load(weights, 0);
    const V z = b.load(weights, b.vector_bytes());
    int64_t offset = 0;
    for (const V result : std::vector<V>(body(b, x, y, z))) {
      b.store(out, offset, result);
      offset += b.vector_bytes();
    }
    b.paddc(in, in, b.vector_bytes());
    b.paddc(weights, weights, 2 * b.vector_bytes());
    b.paddc(out, out, offset);
  });
  return b.take();
}

// Stores all 64 bits of `value`, two at a time as a mask; 32 vectors. Bits 2k..2k+1 are
// floor(value / 4^k) - 4 * floor(value / 4^(k+1)), and the top two wrap.
inline void store_integer(Builder& b, P out, I value) {
  const V ones = b.constant(1.0F);
  const V zeros = b.constant(0.0F);
  for (int k = 0; k < 32; ++k) {
    const I low = b.idivc(value, int64_t{1} << (2 * k));
    const I digit =
        k < 31 ? b.isub(low, b.imulc(b.idivc(value, int64_t{1} << (2 * k + 2)), 4)) : b.iaddc(low, 2);
    b.store(out, 0, b.select(b.first(digit), ones, zeros));
    b.paddc(out, out, b.vector_bytes());
  }
}

template <class Body>
Program integers(const std::string& name, int lanes, Body&& body) {
  Builder b("op." + name, lanes);
  const P out = b.arg_ptr(Arg::kOut);
  const I x = b.arg_int(Arg::kInSample);
  const I y = b.arg_int(Arg::kInChannel);
  for (const I result : std::vector<I>(body(b, x, y))) store_integer(b, out, result);
  return b.take();
}

inline void add_integers(int lanes, std::vector<Program>& programs) {
  const auto add = [&](const char* name, auto body) { programs.push_back(integers(name, lanes, body)); };
  using R = std::vector<I>;
  add("int.icopy", [](Builder& b, I x, I) { return R{b.iconst(-123456789012), b.icopy(x)}; });
  add("iadd.isub.imul", [](Builder& b, I x, I y) { return R{b.iadd(x, y), b.isub(x, y), b.imul(x, y)}; });
  add("iaddc.imulc", [](Builder& b, I x, I y) { return R{b.iaddc(x, -77), b.imulc(y, -9)}; });
  add("imin.imax", [](Builder& b, I x, I y) { return R{b.imin(x, y), b.imax(x, y)}; });
  add("idivc", [](Builder& b, I x, I y) {
    return R{b.idivc(x, 3), b.idivc(y, 1), b.idivc(x, 8), b.idivc(x, 1000007)};
  });
  // Registers that are written again, one from the other: a back end may not lose the old value.
  add("swap", [](Builder& b, I x, I y) {
    const I t = b.icopy(x);
    b.icopy(x, y);
    b.icopy(y, t);
    b.iadd(t, t, x);
    return R{x, y, t};
  });
}

inline void add_blocks(int lanes, std::vector<Program>& programs) {
  const auto add = [&](const char* name, auto body) { programs.push_back(integers(name, lanes, body)); };
  using R = std::vector<I>;
  add("loop", [](Builder& b, I, I y) {  // zero or fewer trips, too
    const I n = b.imin(y, b.iconst(20));
    const I sum = b.iconst(5);
    b.loop(n, "outer", [&] {
      const I m = b.iaddc(n, -3);
      b.loop(m, "inner", [&] { b.iadd(sum, sum, m); });
      b.iadd(sum, sum, m);
    });
    return R{sum, n};
  });
  add("loop.constant", [](Builder& b, I x, I y) {
    const I outer = b.iconst(3);
    const I none = b.iconst(0);
    b.loop(outer, "outer", [&] {
      const I inner = b.iconst(2);
      b.loop(inner, "inner", [&] {
        b.icopy(x, y);
        b.iaddc(y, y, 1);
      });
    });
    b.loop(none, "none", [&] { b.iaddc(x, x, 1000); });
    return R{x, y, outer, none};
  });
  add("while", [](Builder& b, I x, I y) {  // Fibonacci numbers below a bound, values rotating
    const I bound = b.imin(b.imax(x, y), b.iconst(100000));
    const I older = b.iconst(0);
    const I old = b.iconst(1);
    b.while_less(old, bound, "fibonacci", [&] {
      const I next = b.iadd(older, old);
      b.icopy(older, old);
      b.icopy(old, next);
    });
    return R{older, old};
  });
  add("if.constant", [](Builder& b, I x, I y) {
    const I r = b.icopy(x);
    const I three = b.iconst(3);
    b.if_less(y, three, "below", [&] { b.iaddc(r, r, 10); });
    const I zero = b.iconst(0);
    b.if_less(zero, y, "above", [&] { b.iaddc(r, r, 100); });
    const I far = b.iconst(int64_t{1} << 40);
    b.if_less(x, far, "far", [&] { b.iaddc(r, r, 1000); });
    return R{r, far};
  });
  add("within", [](Builder& b, I x, I y) {
    const I r = b.icopy(x);
    int64_t digit = 1;
    for (const int64_t n : {int64_t{0}, int64_t{-3}, int64_t{500}, int64_t{1} << 40}) {
      b.within(x, n, y, [&] { b.iaddc(r, r, digit *= 10); });
    }
    // Both ends, exactly.
    const I three = b.iconst(3);
    for (int64_t n = -1; n < 5; ++n) b.within(b.iconst(0), n, three, [&] { b.iaddc(r, r, digit *= 10); });
    return R{r};
  });
  add("if", [](Builder& b, I x, I y) {
    const I r = b.icopy(x);
    b.if_less(x, y, "less", [&] {
      b.icopy(r, y);
      const I n = b.iconst(4);
      b.loop(n, "times", [&] { b.if_less(n, r, "again", [&] { b.iaddc(r, r, 3); }); });
    });
    b.if_less(y, x, "more", [&] { b.iaddc(x, x, 1); });
    return R{r, x};
  });
}

inline void add_arithmetic(int lanes, std::vector<Program>& programs) {
  const auto add = [&](const char* name, auto body) { programs.push_back(turning(name, lanes, body)); };
  using R = std::vector<V>;
  add("const.copy", [](Builder& b, V x, V, V) {
    const V d = b.vec();
    b.copy(d, x);
    return R{d, b.constant_bits(0x80000001), b.constant_bits(0x7fc00000), b.constant(1.0F)};
  });
  add("fma", [](Builder& b, V x, V y, V z) { return R{b.fma(x, y, z)}; });
  add("fma.in.place", [](Builder& b, V x, V y, V z) {
    b.fma(x, x, y, z);
    b.fma(y, z, y, x);
    b.fma(z, x, y, z);
    return R{x, y, z};
  });
  add("add.sub.mul.div", [](Builder& b, V x, V y, V) {
    return R{b.add(x, y), b.sub(x, y), b.mul(x, y), b.div(x, y)};
  });
  add("mul.add", [](Builder& b, V x, V y, V z) { return R{b.add(b.mul(x, y), z), b.sub(b.mul(x, y), z)}; });
  add("max.min", [](Builder& b, V x, V y, V) {
    return R{b.max(x, y), b.min(x, y), b.max(y, x), b.min(y, x)};
  });
  add("relu", [](Builder& b, V x, V, V) {
    return R{b.max(b.constant(0.0F), x), b.min(x, b.constant(6.0F))};
  });
  add("sqrt", [](Builder& b, V x, V, V) { return R{b.sqrt(x)}; });
  add("and.or.xor", [](Builder& b, V x, V y, V) {
    return R{b.bit_and(x, y), b.bit_or(x, y), b.bit_xor(x, y)};
  });
  add("sign.bits", [](Builder& b, V x, V y, V z) {
    const V sign = b.constant_bits(0x80000000);
    const V rest = b.constant_bits(0x7fffffff);
    return R{b.fma(b.bit_xor(x, sign), y, z), b.bit_or(b.bit_and(x, rest), b.bit_and(y, sign)),
             b.fma(x, y, b.bit_xor(z, sign)), b.bit_and(b.mul(x, y), rest)};
  });
  add("add32.sub32", [](Builder& b, V x, V y, V) { return R{b.add32(x, y), b.sub32(x, y)}; });
  add("shl32", [](Builder& b, V x, V, V) {
    return R{b.shl32(x, 0), b.shl32(x, 1), b.shl32(x, 23), b.shl32(x, 31)};
  });
  add("shr32", [](Builder& b, V x, V, V) {
    return R{b.shr32(x, 0), b.shr32(x, 1), b.shr32(x, 23), b.shr32(x, 31)};
  });
}

inline void add_masks(int lanes, std::vector<Program>& programs) {
  const auto add = [&](const char* name, auto body) { programs.push_back(turning(name, lanes, body)); };
  using R = std::vector<V>;
  add("lt.le.eq.unord.select", [](Builder& b, V x, V y, V z) {
    return R{b.select(b.less(x, y), z, x), b.select(b.less_equal(x, y), z, x), b.select(b.equal(x, y), z, x),
             b.select(b.unordered(x, y), z, x)};
  });
  add("comparison.with.itself", [](Builder& b, V x, V y, V z) {
    return R{b.select(b.unordered(x, x), y, z), b.select(b.equal(x, x), y, z), b.select(b.less(x, x), y, z)};
  });
  add("mask.across.blocks", [](Builder& b, V x, V y, V z) {
    const M m = b.less(x, y);
    const V r = b.add(x, y);
    const I n = b.iconst(3);
    b.loop(n, "again", [&] { b.copy(r, b.select(m, z, r)); });
    return R{r, b.select(m, y, x)};
  });
}

// Every pair of bounds, constants and not, the empty ones too.
inline Program between(int lanes) {
  Builder b("op.between", lanes);
  const P in = b.arg_ptr(Arg::kIn);
  const P out = b.pcopy(b.arg_ptr(Arg::kOut));
  const V ones = b.constant(1.0F);
  const V zeros = b.constant(0.0F);
  const I first = b.iconst(0);
  const I end = b.iconst(lanes + 1);
  b.while_less(first, end, "first", [&] {
    const I last = b.iconst(0);
    b.while_less(last, end, "last", [&] {
      const M m = b.between(first, last);
      b.store(out, 0, b.select(m, ones, zeros));
      b.store(out, b.vector_bytes(), b.load(in, 4), m);
      b.paddc(out, out, 2 * b.vector_bytes());
      b.iaddc(last, last, 1);
    });
    b.iaddc(first, first, 1);
  });
  b.store(out, 0, b.select(b.between(b.iconst(1), b.iconst(3)), ones, zeros));
  return b.take();
}

// Vectors broadcast, moved and partly loaded and stored, at offsets that are not aligned.
inline void add_memory(int lanes, std::vector<Program>& programs) {
  programs.push_back(turning("bcast", lanes, [](Builder& b, V x, V y, V) {
    const P p = b.arg_ptr(Arg::kWeights);
    const V d = b.vec();
    const V e = b.vec();
    b.bcast(d, p, 12);
    b.bcast(e, p, 100);
    return std::vector<V>{d, b.fma(x, e, y)};
  }));
  programs.push_back(turning("insert", lanes, [lanes](Builder& b, V x, V y, V) {
    const P p = b.arg_ptr(Arg::kWeights);
    std::vector<V> results{b.load4(p, 4)};
    for (int block = 1; block < lanes / 4; ++block) {
      results.push_back(b.insert(x, block, p, 20 * block));
      results.push_back(b.insert(results.back(), block, p, 12));
      x = b.insert(y, block, p, 0);
    }
    results.push_back(x);
    return results;
  }));
  programs.push_back(turning("load.4.load.8", lanes, [](Builder& b, V x, V y, V) {
    const P p = b.arg_ptr(Arg::kWeights);
    const V four = b.load4(p, 20);
    return std::vector<V>{four, b.load8(p, 4), b.fma(x, b.load4(p, 72), y), b.add(b.load8(p, 100), four)};
  }));
  Builder streams("op.stream.fence.prefetch", lanes);
  const P from = streams.arg_ptr(Arg::kIn);
  const P to = streams.arg_ptr(Arg::kOut);
  streams.prefetch(from, int64_t{1} << 30);
  for (int j = 0; j < 9; ++j) streams.stream(to, j * streams.vector_bytes(), streams.load(from, 4 * j));
  streams.fence();
  programs.push_back(streams.take());
  Builder b("op.load.m.store.m.padd.pcopy", lanes);
  const P in = b.arg_ptr(Arg::kIn);
  const P out = b.pcopy(b.arg_ptr(Arg::kOut));
  const I stride = b.iconst(b.vector_bytes());
  for (int n = 0; n <= lanes; ++n) {
    const M constant = b.first(b.iconst(n));
    const I length =
        b.imin(b.imax(b.iadd(b.arg_int(Arg::kInSample), b.iconst(n)), b.iconst(0)), b.iconst(lanes));
    const M varying = b.first(length);
    const V x = b.vec();
    b.load(x, in, 4 * n + 4, constant);
    b.store(out, 0, x);
    b.load(x, in, 4 * n, varying);
    b.store(out, b.vector_bytes(), x);
    b.store(out, 2 * b.vector_bytes() + 8, b.load(in, 20), constant);
    b.store(out, 4 * b.vector_bytes() + 4, b.load(in, 24), varying);
    const P next = b.padd(out, stride);
    b.paddc(next, next, 5 * b.vector_bytes());
    b.pcopy(out, next);
  }
  programs.push_back(b.take());
  programs.push_back(between(lanes));
}

inline void add_moves(int lanes, std::vector<Program>& programs) {
  programs.push_back(turning("zip", lanes, [](Builder& b, V x, V y, V) {
    return std::vector<V>{b.zip(Opcode::kZip32Lo, x, y), b.zip(Opcode::kZip32Hi, x, y),
                          b.zip(Opcode::kZip64Lo, x, y), b.zip(Opcode::kZip64Hi, x, y)};
  }));
  programs.push_back(turning("zip.in.place", lanes, [](Builder& b, V x, V y, V z) {
    b.op(Opcode::kZip32Lo, x, y, x);
    b.op(Opcode::kZip64Hi, z, z, z);
    b.op(Opcode::kZip32Hi, y, y, z);
    return std::vector<V>{x, y, z};
  }));
  const int blocks = lanes / 4;
  std::vector<int64_t> patterns;
  if (blocks == 2) {
    for (int64_t n = 0; n < 16; ++n) patterns.push_back((n & 3) | (n >> 2) << 4);
  } else if (blocks == 4) {
    for (int64_t n = 0; n < 256; n += 5) {
      patterns.push_back((n & 3) | (n >> 2 & 3) << 4 | (4 + (n >> 4 & 3)) << 8 | (4 + (n >> 6 & 3)) << 12);
    }
  }
  for (const int64_t pattern : patterns) {
    programs.push_back(turning("blocks." + std::to_string(pattern), lanes, [&](Builder& b, V x, V y, V z) {
      const V once = b.blocks(x, y, pattern);
      return std::vector<V>{once, b.blocks(once, z, pattern), b.blocks(z, z, pattern)};
    }));
  }
}

}  // namespace op_programs_detail

// The programs for vectors of `lanes`. Each is verified by the test that runs it.
inline std::vector<Program> op_programs(int lanes) {
  std::vector<Program> programs;
  op_programs_detail::add_integers(lanes, programs);
  op_programs_detail::add_blocks(lanes, programs);
  op_programs_detail::add_arithmetic(lanes, programs);
  op_programs_detail::add_masks(lanes, programs);
  op_programs_detail::add_memory(lanes, programs);
  op_programs_detail::add_moves(lanes, programs);
  return programs;
}

}  // namespace convsmith::vir
