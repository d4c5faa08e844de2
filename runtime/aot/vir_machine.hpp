// The machine of GraphCall and its arithmetic (graph_call.hpp) that emits vir. Numbers that are known when
// the code is made stay numbers as long as they can.
#pragma once

#include <cstdint>

#include "codegen/vir/builder.hpp"
#include "runtime/host_machine.hpp"

namespace convsmith {

class VirMachine {
 public:
  static constexpr bool kIsCode = true;
  // A constant, or a register.
  class Int {
   public:
    Int() = default;
    explicit Int(int64_t n) : number_(n) {}
    explicit Int(vir::I reg) : is_known_(false), reg_(reg) {}
    bool is_known() const { return is_known_; }
    int64_t number() const { return number_; }
    vir::I reg() const { return reg_; }

   private:
    bool is_known_ = true;
    int64_t number_ = 0;
    vir::I reg_{};
  };
  using Ptr = vir::P;

  explicit VirMachine(vir::Builder& builder) : b_(builder) {}

  static Int number(int64_t n) { return Int(n); }
  static Int constant(int64_t n) { return Int(n); }  // as the algebras of ir/ call it
  vir::I reg(const Int& i) { return i.is_known() ? b_.iconst(i.number()) : i.reg(); }

  Int add(const Int& a, const Int& b) {
    if (a.is_known() && b.is_known()) return number(host_.add(a.number(), b.number()));
    if (a.is_known()) return addc(b, a.number());
    if (b.is_known()) return addc(a, b.number());
    return Int(b_.iadd(a.reg(), b.reg()));
  }
  Int addc(const Int& a, int64_t n) {
    if (a.is_known()) return number(host_.add(a.number(), n));
    return n == 0 ? a : Int(b_.iaddc(a.reg(), n));
  }
  Int sub(const Int& a, const Int& b) {
    if (b.is_known()) return addc(a, host_.sub(0, b.number()));
    const vir::I left = reg(a);
    return Int(b_.isub(left, b.reg()));
  }
  Int mul(const Int& a, const Int& b) {
    if (a.is_known()) return mulc(b, a.number());
    if (b.is_known()) return mulc(a, b.number());
    return Int(b_.imul(a.reg(), b.reg()));
  }
  Int mulc(const Int& a, int64_t n) {
    if (a.is_known()) return number(host_.mul(a.number(), n));
    return n == 1 ? a : Int(b_.imulc(a.reg(), n));
  }
  Int div(const Int& a, const Int& b) {
    if (b.is_known()) return divc(a, b.number());
    const vir::I left = reg(a);
    return Int(b_.idiv(left, b.reg()));
  }
  Int divc(const Int& a, int64_t n) {
    if (a.is_known()) return number(host_.divc(a.number(), n));
    return n == 1 ? a : Int(b_.idivc(a.reg(), n));
  }
  Int min(const Int& a, const Int& b) {
    if (a.is_known() && b.is_known()) return number(host_.min(a.number(), b.number()));
    const vir::I left = reg(a);
    const vir::I right = reg(b);
    return Int(b_.imin(left, right));
  }
  Int max(const Int& a, const Int& b) {
    if (a.is_known() && b.is_known()) return number(host_.max(a.number(), b.number()));
    const vir::I left = reg(a);
    const vir::I right = reg(b);
    return Int(b_.imax(left, right));
  }

  Int variable(const Int& i) { return Int(i.is_known() ? b_.iconst(i.number()) : b_.icopy(i.reg())); }
  void assign(const Int& variable, const Int& i) {
    if (i.is_known()) {
      b_.iconst(variable.reg(), i.number());
    } else {
      b_.icopy(variable.reg(), i.reg());
    }
  }
  template <class Then>
  void if_less(const Int& a, const Int& b, Then&& then) {
    if (a.is_known() && b.is_known()) {
      if (a.number() < b.number()) then();
      return;
    }
    const vir::I left = reg(a);
    const vir::I right = reg(b);
    b_.if_less(left, right, "if", then);
  }
  template <class Body>
  void while_less(const Int& a, const Int& b, Body&& body) {
    const vir::I left = reg(a);
    const vir::I right = reg(b);
    b_.while_less(left, right, "while", body);
  }

  template <class Then>
  void if_null(Ptr p, Then&& then) {
    const Int address(b_.pint(p));
    if_less(address, number(1), [&] { if_less(number(-1), address, then); });
  }

  Ptr moved(Ptr p, const Int& floats) {
    if (floats.is_known()) return floats.number() == 0 ? p : b_.paddc(p, 4 * floats.number());
    return b_.padd(p, b_.imulc(floats.reg(), 4));
  }
  // An argument of the calls that follow.
  void pass(vir::Arg arg, Ptr p) { b_.set(arg, p); }
  void pass(vir::Arg arg, const Int& i) { b_.set(arg, reg(i)); }
  Int argument(vir::Arg arg) { return Int(b_.arg_int(arg)); }

 protected:
  vir::Builder& b_;
  Host host_;
};

}  // namespace convsmith
