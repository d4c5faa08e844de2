// The machine of GraphCall and its arithmetic (graph_call.hpp) that does at once what it is told.
#pragma once

#include <algorithm>
#include <cstdint>

namespace convsmith {

class Host {
 public:
  static constexpr bool kIsCode = false;
  using Int = int64_t;
  using Ptr = uintptr_t;  // may point outside of any array on its way

  int64_t number(int64_t n) const { return n; }
  int64_t constant(int64_t n) const { return n; }  // as the algebras of ir/ call it
  int64_t add(int64_t a, int64_t b) const { return wrap(bits(a) + bits(b)); }
  int64_t addc(int64_t a, int64_t n) const { return add(a, n); }
  int64_t sub(int64_t a, int64_t b) const { return wrap(bits(a) - bits(b)); }
  int64_t mul(int64_t a, int64_t b) const { return wrap(bits(a) * bits(b)); }
  int64_t mulc(int64_t a, int64_t n) const { return mul(a, n); }
  int64_t div(int64_t a, int64_t b) const { return a / b; }
  // Most strides are 1, and a division takes as long as ten other operations.
  int64_t divc(int64_t a, int64_t n) const { return n == 1 ? a : a / n - (a % n < 0 ? 1 : 0); }
  int64_t min(int64_t a, int64_t b) const { return std::min(a, b); }
  int64_t max(int64_t a, int64_t b) const { return std::max(a, b); }
  int64_t variable(int64_t i) const { return i; }
  void assign(int64_t& variable, int64_t i) const { variable = i; }
  template <class Then>
  void if_less(int64_t a, int64_t b, Then&& then) const {
    if (a < b) then();
  }
  template <class Body>
  void while_less(const int64_t& a, const int64_t& b, Body&& body) const {
    while (a < b) body();
  }
  Ptr moved(Ptr p, int64_t floats) const { return p + bits(floats) * sizeof(float); }

 protected:
  static uint64_t bits(int64_t n) { return static_cast<uint64_t>(n); }
  static int64_t wrap(uint64_t n) { return static_cast<int64_t>(n); }
};

}  // namespace convsmith
