// Our encodings are those of Xbyak, byte by byte.
#include "codegen/x86/encoding.hpp"

#include <gtest/gtest.h>

#include <array>
#include <functional>
#include <vector>

#include "codegen/x86/xbyak.hpp"

namespace convsmith::x86 {
namespace {

using Bytes = std::vector<uint8_t>;
using Xbyak::CodeGenerator;
using Xbyak::Operand;
using Xbyak::Reg64;
using Xbyak::Xmm;

constexpr std::array<int64_t, 14> kOffsets = {0,   1,    4,   -4,  64,   -64,  127,
                                              128, -128, 508, 512, 8128, 8192, int64_t{-1} << 30};

template <class Encode>
Bytes ours(Encode&& encode) {
  Bytes bytes(kMostInstructionBytes);
  bytes.resize(static_cast<size_t>(encode(bytes.data()) - bytes.data()));
  return bytes;
}

template <class Emit>
Bytes theirs(Emit&& emit) {
  Bytes bytes(64);
  CodeGenerator code(bytes.size(), bytes.data());
  emit(code);
  bytes.resize(code.getSize());
  return bytes;
}

std::vector<int> vectors(bool wide) {
  return wide ? std::vector{0, 5, 8, 15, 16, 23, 31} : std::vector{0, 5, 8, 15};
}

Xmm vec(bool wide, int index) {
  return Xmm(wide ? Operand::ZMM : Operand::YMM, index);
}

Xbyak::Address address(CodeGenerator& code, bool broadcast, int base, int64_t offset) {
  const auto at = Reg64(base) + static_cast<size_t>(offset);
  return broadcast ? code.ptr_b[at] : code.ptr[at];
}

struct Arithmetic {
  VectorOp op;
  std::function<void(CodeGenerator&, const Xmm&, const Xmm&, const Operand&)> emit;
};

std::vector<Arithmetic> arithmetic() {
  using C = CodeGenerator;
  using X = const Xmm&;
  using O = const Operand&;
  return {{kVectorAdd, [](C& c, X d, X a, O b) { c.vaddps(d, a, b); }},
          {kVectorMultiply, [](C& c, X d, X a, O b) { c.vmulps(d, a, b); }},
          {kVectorSubtract, [](C& c, X d, X a, O b) { c.vsubps(d, a, b); }},
          {kVectorMin, [](C& c, X d, X a, O b) { c.vminps(d, a, b); }},
          {kVectorDivide, [](C& c, X d, X a, O b) { c.vdivps(d, a, b); }},
          {kVectorMax, [](C& c, X d, X a, O b) { c.vmaxps(d, a, b); }},
          {kVectorFma132, [](C& c, X d, X a, O b) { c.vfmadd132ps(d, a, b); }},
          {kVectorFma213, [](C& c, X d, X a, O b) { c.vfmadd213ps(d, a, b); }},
          {kVectorFma231, [](C& c, X d, X a, O b) { c.vfmadd231ps(d, a, b); }}};
}

TEST(X86Encoding, VectorArithmetic) {
  for (const bool wide : {false, true}) {
    for (const Arithmetic& one : arithmetic()) {
      for (const int d : vectors(wide)) {
        for (const int a : vectors(wide)) {
          const auto check = [&](const Place& b, auto&& operand) {
            ASSERT_EQ(ours([&](uint8_t* at) { return encode(at, one.op, wide, d, a, b); }),
                      theirs([&](CodeGenerator& c) { one.emit(c, vec(wide, d), vec(wide, a), operand(c)); }))
                << wide << " opcode " << int{one.op.opcode} << " " << d << " " << a << " " << int{b.index}
                << " " << b.offset;
          };
          for (const int b : vectors(wide))
            check(Place::in_register(b), [&](CodeGenerator&) { return vec(wide, b); });
          for (int base = 0; base < 16; ++base) {
            for (const int64_t offset : kOffsets) {
              for (const bool broadcast : {false, wide}) {
                check(Place::in_memory(base, offset, broadcast),
                      [&](CodeGenerator& c) { return address(c, broadcast, base, offset); });
              }
            }
          }
          check(Place::in_pool(wide),
                [&](CodeGenerator& c) { return wide ? c.ptr_b[Xbyak::RegRip()] : c.ptr[Xbyak::RegRip()]; });
        }
      }
    }
  }
}

TEST(X86Encoding, VectorMoves) {
  for (const bool wide : {false, true}) {
    for (const int d : vectors(wide)) {
      const Xmm x = vec(wide, d);
      const auto check = [&](VectorOp op, const Place& b, auto&& emit) {
        ASSERT_EQ(ours([&](uint8_t* at) { return encode(at, op, wide, d, 0, b); }), theirs(emit))
            << wide << " opcode " << int{op.opcode} << " " << d << " " << int{b.index} << " " << b.offset;
      };
      for (const int a : vectors(wide))
        check(kVectorCopy, Place::in_register(a), [&](CodeGenerator& c) { c.vmovaps(x, vec(wide, a)); });
      for (int base = 0; base < 16; ++base) {
        for (const int64_t offset : kOffsets) {
          const Place b = Place::in_memory(base, offset);
          const auto memory = [&](CodeGenerator& c) { return address(c, false, base, offset); };
          check(kVectorLoad, b, [&](CodeGenerator& c) { c.vmovups(x, memory(c)); });
          check(kVectorStore, b, [&](CodeGenerator& c) { c.vmovups(memory(c), x); });
          check(kVectorStream, b, [&](CodeGenerator& c) { c.vmovntps(memory(c), x); });
          check(kVectorBroadcast, b, [&](CodeGenerator& c) { c.vbroadcastss(x, memory(c)); });
        }
      }
      ASSERT_EQ(ours([&](uint8_t* at) { return encode_zero(at, d); }), theirs([&](CodeGenerator& c) {
                  if (d >= 16) return c.vpxord(x, x, x);
                  c.vxorps(Xmm(d), Xmm(d), Xmm(d));
                }));
    }
  }
}

// Of two registers the machine has several encodings; with memory there is one.
TEST(X86Encoding, Integers) {
  for (int r = 0; r < 16; ++r) {
    for (int base = 0; base < 16; ++base) {
      for (const int64_t offset : kOffsets) {
        const Place b = Place::in_memory(base, offset);
        const auto check = [&](IntegerOp op, auto&& emit) {
          ASSERT_EQ(ours([&](uint8_t* at) { return encode(at, op, r, b); }), theirs([&](CodeGenerator& c) {
                      emit(c, Reg64(r), c.qword[Reg64(base) + static_cast<size_t>(offset)]);
                    }))
              << static_cast<int>(op) << " " << r << " " << base << " " << offset;
        };
        check(IntegerOp::kAdd, [](auto& c, auto x, auto m) { c.add(x, m); });
        check(IntegerOp::kSubtract, [](auto& c, auto x, auto m) { c.sub(x, m); });
        check(IntegerOp::kCompare, [](auto& c, auto x, auto m) { c.cmp(x, m); });
        check(IntegerOp::kTest, [](auto& c, auto x, auto m) { c.test(m, x); });
        check(IntegerOp::kStore, [](auto& c, auto x, auto m) { c.mov(m, x); });
        check(IntegerOp::kLoad, [](auto& c, auto x, auto m) { c.mov(x, m); });
        check(IntegerOp::kAddress, [](auto& c, auto x, auto m) { c.lea(x, m); });
        check(IntegerOp::kMoveIfLess, [](auto& c, auto x, auto m) { c.cmovl(x, m); });
        check(IntegerOp::kMoveIfGreater, [](auto& c, auto x, auto m) { c.cmovg(x, m); });
        check(IntegerOp::kMultiply, [](auto& c, auto x, auto m) { c.imul(x, m); });
      }
    }
  }
}

TEST(X86Encoding, Sums) {
  for (int r = 0; r < 16; ++r) {
    for (int a = 0; a < 16; ++a) {
      for (int b = 0; b < 16; ++b) {
        if (a == 4 && b == 4) continue;
        const bool turned = b == 4 || (a & 7) == 5;
        ASSERT_EQ(ours([&](uint8_t* at) { return encode_sum(at, r, a, b); }), theirs([&](CodeGenerator& c) {
                    c.lea(Reg64(r), c.ptr[Reg64(turned ? b : a) + Reg64(turned ? a : b)]);
                  }))
            << r << " " << a << " " << b;
      }
    }
  }
}

TEST(X86Encoding, Constants) {
  for (int r = 0; r < 16; ++r) {
    EXPECT_EQ(ours([&](uint8_t* at) { return encode_constant(at, r, 0); }),
              theirs([&](CodeGenerator& c) { c.xor_(Xbyak::Reg32(r), Xbyak::Reg32(r)); }));
    for (const int64_t n : {int64_t{1}, int64_t{-1}, int64_t{INT32_MAX}, int64_t{INT32_MIN},
                            int64_t{UINT32_MAX}, int64_t{1} << 32, int64_t{INT32_MIN} - 1}) {
      EXPECT_EQ(ours([&](uint8_t* at) { return encode_constant(at, r, n); }),
                theirs([&](CodeGenerator& c) { c.mov(Reg64(r), static_cast<uint64_t>(n)); }))
          << r << " " << n;
    }
  }
}

TEST(X86Encoding, Immediates) {
  for (const int32_t n : {0, 1, -1, 127, 128, -128, -129, INT32_MAX, INT32_MIN}) {
    const auto check = [&](const Place& a, auto&& operand) {
      const auto immediate = static_cast<uint32_t>(n);
      EXPECT_EQ(ours([&](uint8_t* at) { return encode(at, ImmediateOp::kAdd, a, n); }),
                theirs([&](CodeGenerator& c) { c.add(operand(c), immediate); }));
      EXPECT_EQ(ours([&](uint8_t* at) { return encode(at, ImmediateOp::kCompare, a, n); }),
                theirs([&](CodeGenerator& c) { c.cmp(operand(c), immediate); }));
      for (int r = 0; r < 16; ++r) {
        EXPECT_EQ(ours([&](uint8_t* at) { return encode_product(at, r, a, n); }),
                  theirs([&](CodeGenerator& c) { c.imul(Reg64(r), operand(c), n); }));
      }
    };
    // Not rax, for which there is an encoding more.
    for (int r = 1; r < 16; ++r) check(Place::in_register(r), [&](CodeGenerator&) { return Reg64(r); });
    for (int base = 0; base < 16; ++base) {
      for (const int64_t offset : kOffsets) {
        check(Place::in_memory(base, offset),
              [&](CodeGenerator& c) { return c.qword[Reg64(base) + static_cast<size_t>(offset)]; });
      }
    }
  }
}

}  // namespace
}  // namespace convsmith::x86
