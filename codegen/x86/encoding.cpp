#include "codegen/x86/encoding.hpp"

#include <cstring>
#include <utility>

namespace convsmith::x86 {

namespace {

// The low three bits of a register where an address has another meaning for it.
constexpr int kSibFollows = 4;
constexpr int kNeedsOffset = 5;  // a base without offset

class Bytes {
 public:
  explicit Bytes(uint8_t* at) : at_(at) {}
  uint8_t* end() const { return at_; }

  void byte(int value) { *at_++ = static_cast<uint8_t>(value); }
  void word(int32_t value) {
    std::memcpy(at_, &value, sizeof value);
    at_ += sizeof value;
  }

  void vector_prefix(VectorOp op, int d, int a, const Place& b, int length = 4) {  // 256 bits
    const int tail = (~a & 15) << 3 | length | op.prefix;
    if (op.map == 1 && b.index < 8) {
      byte(0xc5);
      return byte(inverted(d, 3, 7) | tail);
    }
    byte(0xc4);
    byte(inverted(d, 3, 7) | 0x40 | inverted(b.index, 3, 5) | op.map);
    byte(tail);
  }

  void wide_vector_prefix(VectorOp op, int d, int a, const Place& b) {
    const int fifth_bit = b.form == Place::Form::kRegister ? inverted(b.index, 4, 6) : 0x40;
    const int first = inverted(d, 3, 7) | fifth_bit | inverted(b.index, 3, 5) | inverted(d, 4, 4) | op.map;
    const int second = (~a & 15) << 3 | 4 | op.prefix;
    constexpr int kWhole = 0x40;  // 512 bits
    const int third = kWhole | (b.broadcast ? 0x10 : 0) | inverted(a, 4, 3);
    word(0x62 | first << 8 | second << 16 | third << 24);
  }

  // ModRM and the address. A displacement of one byte counts in units of 1 << `scale` bytes.
  void operands(int r, const Place& b, int scale) {
    const int reg = (r & 7) << 3;
    const int rm = b.index & 7;
    if (b.form == Place::Form::kRegister) return byte(0xc0 | reg | rm);
    if (b.form == Place::Form::kConstant) {
      byte(reg | 5);
      return word(0);
    }
    constexpr int kNoIndex = 0x20;
    const int32_t units = b.offset >> scale;
    const bool is_short = units << scale == b.offset && units == static_cast<int8_t>(units);
    const int mod = b.offset == 0 && rm != kNeedsOffset ? 0 : is_short ? 1 : 2;
    byte(mod << 6 | reg | rm);
    if (rm == kSibFollows) byte(kNoIndex | rm);
    if (mod == 1) byte(units);
    if (mod == 2) word(b.offset);
  }

 private:
  // Bit `bit` of a register's number where prefixes want it: inverted, at `place`.
  static int inverted(int number, int bit, int place) { return (~number >> bit & 1) << place; }

  uint8_t* at_;
};

}  // namespace

uint8_t* encode(uint8_t* at, VectorOp op, bool wide, int d, int a, const Place& b) {
  Bytes bytes(at);
  if (wide) {
    bytes.wide_vector_prefix(op, d, a, b);
  } else {
    bytes.vector_prefix(op, d, a, b);
  }
  bytes.byte(op.opcode);
  bytes.operands(d, b, !wide ? 0 : b.broadcast || op.reads_lane ? 2 : 6);
  return bytes.end();
}

uint8_t* encode_zero(uint8_t* at, int d) {
  constexpr VectorOp kXor{1, 0, 0x57};
  constexpr VectorOp kWideXor{1, 1, 0xef};
  const Place itself = Place::in_register(d);
  if (d >= 16) return encode(at, kWideXor, true, d, d, itself);
  Bytes bytes(at);
  bytes.vector_prefix(kXor, d, d, itself, 0);  // 128 bits, which clears the rest
  bytes.byte(kXor.opcode);
  bytes.operands(d, itself, 0);
  return bytes.end();
}

uint8_t* encode(uint8_t* at, IntegerOp op, int r, const Place& b) {
  const int opcode = static_cast<int>(op);
  Bytes bytes(at);
  bytes.byte(0x48 | r >> 3 << 2 | b.index >> 3);
  if (opcode > 0xff) bytes.byte(opcode >> 8);
  bytes.byte(opcode);
  bytes.operands(r, b, 0);
  return bytes.end();
}

uint8_t* encode_sum(uint8_t* at, int r, int a, int b) {
  constexpr int kRsp = 4;
  if (b == kRsp || (a & 7) == kNeedsOffset) std::swap(a, b);  // no index; longer as the base
  const bool is_longer = (a & 7) == kNeedsOffset;
  Bytes bytes(at);
  bytes.byte(0x48 | r >> 3 << 2 | b >> 3 << 1 | a >> 3);
  bytes.byte(static_cast<int>(IntegerOp::kAddress));
  bytes.byte((is_longer ? 0x40 : 0) | (r & 7) << 3 | kSibFollows);
  bytes.byte((b & 7) << 3 | (a & 7));
  if (is_longer) bytes.byte(0);
  return bytes.end();
}

uint8_t* encode(uint8_t* at, ImmediateOp op, const Place& a, int32_t n) {
  const bool is_short = n == static_cast<int8_t>(n);
  Bytes bytes(at);
  bytes.byte(0x48 | a.index >> 3);
  bytes.byte(is_short ? 0x83 : 0x81);
  bytes.operands(static_cast<int>(op), a, 0);
  if (is_short) {
    bytes.byte(n);
  } else {
    bytes.word(n);
  }
  return bytes.end();
}

uint8_t* encode_product(uint8_t* at, int r, const Place& a, int32_t n) {
  const bool is_short = n == static_cast<int8_t>(n);
  Bytes bytes(at);
  bytes.byte(0x48 | r >> 3 << 2 | a.index >> 3);
  bytes.byte(is_short ? 0x6b : 0x69);
  bytes.operands(r, a, 0);
  if (is_short) {
    bytes.byte(n);
  } else {
    bytes.word(n);
  }
  return bytes.end();
}

uint8_t* encode_constant(uint8_t* at, int r, int64_t n) {
  Bytes bytes(at);
  const int high = r >> 3;
  const auto low_half = static_cast<int32_t>(n);
  if (n == 0) {  // r ^= r, of 32 bits, which clears the rest
    if (high != 0) bytes.byte(0x45);
    bytes.byte(0x31);
    bytes.operands(r, Place::in_register(r), 0);
  } else if (n == static_cast<uint32_t>(n)) {  // of 32 bits too
    if (high != 0) bytes.byte(0x41);
    bytes.byte(0xb8 | (r & 7));
    bytes.word(low_half);
  } else if (n == low_half) {
    bytes.byte(0x48 | high);
    bytes.byte(0xc7);
    bytes.operands(0, Place::in_register(r), 0);
    bytes.word(low_half);
  } else {
    bytes.byte(0x48 | high);
    bytes.byte(0xb8 | (r & 7));
    bytes.word(low_half);
    bytes.word(static_cast<int32_t>(n >> 32));
  }
  return bytes.end();
}

}  // namespace convsmith::x86
