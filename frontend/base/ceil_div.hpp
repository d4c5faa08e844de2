#pragma once

#include <cstdint>

namespace convsmith {

// a / b, rounded up; a at least 0, b at least 1.
constexpr int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

}  // namespace convsmith
