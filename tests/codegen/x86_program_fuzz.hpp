// Random structured vir programs that always terminate and stay inside their buffers: nested loops,
// whiles and ifs over mutable integers (more than there are registers), pointers, vectors and masks.
// All values end up in the output. The same seed gives the same program.
#pragma once

#include <random>
#include <vector>

#include "codegen/vir/builder.hpp"

namespace convsmith::x86_test {

constexpr int64_t kFuzzModulus = 251;  // integers are observed modulo this
constexpr size_t kFuzzInWords = 512;
constexpr size_t kFuzzOutWords = 4096;

class ProgramFuzzer {
 public:
  ProgramFuzzer(uint32_t seed, int lanes) : random_(seed), b_("fuzz" + std::to_string(seed), lanes) {}

  vir::Program make() {
    in_ = b_.arg_ptr(vir::Arg::kIn);
    out_ = b_.arg_ptr(vir::Arg::kOut);
    const int integers = pick(4, 30);
    for (int i = 0; i < integers; ++i) {
      integers_.push_back({i % 3 == 0 ? b_.arg_int(vir::Arg::kSteps) : b_.iconst(number()), false});
    }
    const int vectors = pick(2, 6);
    for (int i = 0; i < vectors; ++i) bits_.push_back(load());
    for (int i = 0; i < 3; ++i) floats_.push_back(b_.constant(1.25F + static_cast<float>(i)));
    statements(pick(5, 40), 0);
    for (const Integer& i : integers_) observe(i.reg);
    for (const vir::V& v : bits_) b_.store(out_, offset(), v);
    for (const vir::V& v : floats_) b_.store(out_, offset(), v);
    return b_.take();
  }

 private:
  struct Integer {
    vir::I reg;
    bool locked;  // steers a loop: may not be written
  };

  int pick(int low, int high) {
    return low + static_cast<int>(random_() % static_cast<uint32_t>(high - low + 1));
  }
  int64_t number() {
    const std::array<int64_t, 12> corners = {0,   1,   -1,  2,    7,       -8,
                                             100, 127, 128, 4096, 1 << 20, INT64_C(5000000000)};
    return pick(0, 2) == 0 ? pick(-1000, 1000) : corners[random_() % corners.size()];
  }
  vir::I integer() { return integers_[random_() % integers_.size()].reg; }
  vir::V& bits() { return bits_[random_() % bits_.size()]; }
  vir::V& floating() { return floats_[random_() % floats_.size()]; }
  int64_t offset() {
    // Room for every vector behind the observed integers.
    return 4 * pick(0, static_cast<int>(kFuzzOutWords) - 1100) + 4 * 1024;
  }
  vir::V load() { return b_.load(in_, 4 * pick(0, 200)); }

  // Something in low..high that depends on an integer.
  vir::I bounded(int64_t low, int64_t high) {
    return b_.imin(b_.imax(integer(), b_.iconst(low)), b_.iconst(high));
  }

  // A different word of the output for each remainder of `i`.
  void observe(vir::I i) {
    const vir::I remainder = b_.isub(i, b_.imulc(b_.idivc(i, kFuzzModulus), kFuzzModulus));
    const vir::P at = b_.padd(out_, b_.imulc(remainder, 4));
    b_.store(at, 4 * pick(0, 512), bits());
  }

  void statements(int count, int depth) {
    for (int i = 0; i < count; ++i) statement(depth);
  }

  void statement(int depth) {
    switch (pick(0, depth < 4 ? 13 : 10)) {
      case 0:
      case 1:
      case 2:
      case 3:
        return change_integer();
      case 4:
        return observe(integer());
      case 5:
        return change_pointer();
      case 6:
      case 7:
        return change_bits();
      case 8:
        return change_floats();
      case 9:
        return masked();
      case 10:
        return b_.store(out_, offset(), bits());
      default:
        return block(depth);
    }
  }

  void change_integer() {
    Integer& d = integers_[random_() % integers_.size()];
    if (d.locked) return;
    const vir::I a = integer();
    const vir::I c = integer();
    switch (pick(0, 9)) {
      case 0:
        return b_.iadd(d.reg, a, c);
      case 1:
        return b_.iadd(d.reg, d.reg, c);
      case 2:
        return b_.iadd(d.reg, a, d.reg);
      case 3:
        return b_.iaddc(d.reg, a, number());
      case 4:
        return b_.icopy(d.reg, a);
      case 5:
        return b_.iconst(d.reg, number());
      case 6:
        return b_.icopy(d.reg, b_.isub(a, c));
      case 7:
        return b_.icopy(d.reg, pick(0, 1) == 0 ? b_.imin(a, c) : b_.imax(a, d.reg));
      case 8:
        return b_.icopy(d.reg, pick(0, 1) == 0 ? b_.imul(a, c) : b_.imulc(a, number()));
      default:
        return b_.icopy(d.reg, b_.idivc(a, 1 + (number() & 0xffff)));
    }
  }

  void change_pointer() {
    const vir::P p = b_.padd(in_, b_.imulc(bounded(0, 16), 4));
    if (pick(0, 1) == 0) {
      const vir::P away = b_.paddc(p, 1 << 12);
      b_.copy(bits(), b_.load(away, -(1 << 12)));
    } else {
      const vir::P copy = b_.pcopy(p);
      b_.paddc(copy, copy, INT64_C(1) << 40);
      b_.paddc(copy, copy, -(INT64_C(1) << 40));
      b_.copy(bits(), b_.load(copy, 4 * pick(0, 100)));
    }
  }

  void change_bits() {
    using vir::Opcode;
    constexpr std::array ops = {Opcode::kAnd,     Opcode::kOr,      Opcode::kXor,
                                Opcode::kAdd32,   Opcode::kSub32,   Opcode::kZip32Lo,
                                Opcode::kZip32Hi, Opcode::kZip64Lo, Opcode::kZip64Hi};
    const Opcode op = ops[random_() % ops.size()];
    switch (pick(0, 3)) {
      case 0:
        return b_.op(op, bits(), bits(), b_.constant_bits(static_cast<uint32_t>(random_())));
      case 1:
        return b_.op(op, bits(), b_.bcast_new(in_, 4 * pick(0, 200)), bits());
      case 2:
        return b_.copy(bits(), b_.shr32(bits(), pick(0, 31)));
      default:
        return b_.op(op, bits(), bits(), bits());
    }
  }

  void change_floats() {
    using vir::Opcode;
    switch (pick(0, 3)) {
      case 0:
        return b_.fma(floating(), floating(), floating(), floating());
      case 1:
        return b_.fma(floating(), floating(), b_.constant(0.5F), floating());
      case 2:
        return b_.op(Opcode::kMax, floating(), floating(), b_.constant(3.0F));
      default:
        return b_.op(Opcode::kSub, floating(), floating(), floating());
    }
  }

  void masked() {
    const vir::M first = b_.first(bounded(0, b_.lanes()));
    const vir::M less = b_.less(floating(), floating());
    b_.copy(bits(), b_.select(less, bits(), bits()));
    b_.store(out_, offset(), bits(), first);
    b_.load(bits(), in_, 4 * pick(0, 100), less);
    b_.copy(bits(), b_.select(first, bits(), bits()));
    const vir::V four = b_.load4(in_, 4 * pick(0, 100));
    if (b_.lanes() > 4) b_.copy(bits(), b_.insert(four, pick(1, b_.lanes() / 4 - 1), in_, 8));
    const vir::I begin = bounded(0, b_.lanes());
    b_.store(out_, offset(), bits(), b_.between(begin, bounded(0, b_.lanes())));
  }

  void block(int depth) {
    const auto body = [&] { statements(pick(1, 8), depth + 1); };
    switch (pick(0, 3)) {
      case 0: {
        const vir::I count = pick(0, 1) == 0 ? b_.iconst(pick(-1, 3)) : b_.icopy(bounded(-2, 3));
        // The loop owns its counter; its value is read inside and behind the loop.
        integers_.push_back({count, true});
        b_.loop(count, "l", body);
        integers_.pop_back();
        observe(count);
        break;
      }
      case 1: {
        const vir::I i = b_.iconst(pick(-2, 0));
        const vir::I n = bounded(-1, 2);
        integers_.push_back({i, true});
        integers_.push_back({n, true});
        b_.while_less(i, n, "w", [&] {
          body();
          b_.iaddc(i, i, 1);
        });
        integers_.pop_back();
        integers_.pop_back();
        break;
      }
      case 2:
        b_.within(integer(), number(), integer(), body);
        break;
      default:
        b_.if_less(integer(), integer(), "i", body);
    }
  }

  std::mt19937 random_;
  class FuzzBuilder : public vir::Builder {
   public:
    using Builder::Builder;
    vir::V bcast_new(vir::P p, int64_t at) {
      const vir::V d = vec();
      bcast(d, p, at);
      return d;
    }
  } b_;
  vir::P in_{}, out_{};
  std::vector<Integer> integers_;
  std::vector<vir::V> bits_;
  std::vector<vir::V> floats_;
};

}  // namespace convsmith::x86_test
