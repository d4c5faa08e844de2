// Encodings of the instructions that nearly all of a kernel consists of: whole vectors, and integers of 64
// bits. Xbyak knows every instruction and takes several times as long for each; it encodes the others. Used
// by Emitter.
#pragma once

#include <cstddef>
#include <cstdint>

#include "frontend/base/check.hpp"

namespace convsmith::x86 {

// The last operand of an instruction.
struct Place {
  enum class Form : uint8_t { kRegister, kMemory, kConstant };
  Form form = Form::kRegister;
  bool broadcast = false;  // AVX-512: every lane is the one in memory
  int8_t index = 0;        // the register, or the one that memory is relative to
  int32_t offset = 0;

  static Place in_register(int index) { return {Form::kRegister, false, static_cast<int8_t>(index), 0}; }
  static Place in_memory(int base, int64_t offset, bool broadcast = false) {
    CONVSMITH_CHECK(offset == static_cast<int32_t>(offset), "an offset fits its instruction");
    return {Form::kMemory, broadcast, static_cast<int8_t>(base), static_cast<int32_t>(offset)};
  }
  // Relative to the instruction's end; the address stays 0.
  static Place in_pool(bool broadcast) { return {Form::kConstant, broadcast, 0, 0}; }
};

// d = op(a, b), with a being 0 where there is none.
struct VectorOp {
  uint8_t map;     // 1: after 0f, 2: after 0f 38
  uint8_t prefix;  // 0: none, 1: 66
  uint8_t opcode;
  bool reads_lane = false;  // memory is one lane, not a vector
};
constexpr VectorOp kVectorLoad{1, 0, 0x10};
constexpr VectorOp kVectorStore{1, 0, 0x11};
constexpr VectorOp kVectorStream{1, 0, 0x2b};
constexpr VectorOp kVectorCopy{1, 0, 0x28};
constexpr VectorOp kVectorBroadcast{2, 1, 0x18, true};
constexpr VectorOp kVectorAdd{1, 0, 0x58};
constexpr VectorOp kVectorMultiply{1, 0, 0x59};
constexpr VectorOp kVectorSubtract{1, 0, 0x5c};
constexpr VectorOp kVectorMin{1, 0, 0x5d};
constexpr VectorOp kVectorDivide{1, 0, 0x5e};
constexpr VectorOp kVectorMax{1, 0, 0x5f};
constexpr VectorOp kVectorFma132{2, 1, 0x98};  // d = d*b + a
constexpr VectorOp kVectorFma213{2, 1, 0xa8};  // d = a*d + b
constexpr VectorOp kVectorFma231{2, 1, 0xb8};  // d = a*b + d

// r = r op b, by opcode; those of two bytes begin with 0f.
enum class IntegerOp : uint16_t {
  kAdd = 0x03,
  kSubtract = 0x2b,
  kCompare = 0x3b,
  kTest = 0x85,   // flags of r & b
  kStore = 0x89,  // b = r
  kLoad = 0x8b,
  kAddress = 0x8d,
  kMoveIfLess = 0x0f4c,
  kMoveIfGreater = 0x0f4f,
  kMultiply = 0x0faf,
};
// a = a op n, by what stands in place of a register.
enum class ImmediateOp : uint8_t { kAdd = 0, kCompare = 7 };

// What an instruction has at most. They are written where they go, and give the place behind them.
constexpr size_t kMostInstructionBytes = 16;
uint8_t* encode(uint8_t* at, VectorOp op, bool wide, int d, int a, const Place& b);
uint8_t* encode_zero(uint8_t* at, int d);  // of all of a vector register, in the shortest way
uint8_t* encode(uint8_t* at, IntegerOp op, int r, const Place& b);
uint8_t* encode_sum(uint8_t* at, int r, int a, int b);  // r = a + b; one of them is not rsp
uint8_t* encode(uint8_t* at, ImmediateOp op, const Place& a, int32_t n);
uint8_t* encode_product(uint8_t* at, int r, const Place& a, int32_t n);  // r = a * n
uint8_t* encode_constant(uint8_t* at, int r, int64_t n);                 // r = n; flags change where it is 0

}  // namespace convsmith::x86
