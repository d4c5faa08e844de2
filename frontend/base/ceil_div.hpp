#pragma once

#include <cstdint>

namespace convsmith {

// a / b, rounded up; a at least 0, b at least 1.
constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

// The next multiple of `unit`.
template <class Int>
constexpr Int round_up(Int n, Int unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace convsmith
