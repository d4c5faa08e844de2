// The numbers of the interpreter: floats by their bits, x86's choices between two, integers that wrap. Used
// by interp.cpp.
#pragma once

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <bit>
#include <cstdint>

namespace convsmith::interp {

inline float f(uint32_t bits) {
  return std::bit_cast<float>(bits);
}
inline uint32_t b(float x) {
  return std::bit_cast<uint32_t>(x);
}

// As the instructions of x86 have them: where denormals are flushed, the result is, too, which a comparison
// and a choice would not do.
inline float largest(float x, float y) {
#if defined(__x86_64__)
  return _mm_cvtss_f32(_mm_max_ss(_mm_set_ss(x), _mm_set_ss(y)));
#else
  return x > y ? x : y;
#endif
}
inline float smallest(float x, float y) {
#if defined(__x86_64__)
  return _mm_cvtss_f32(_mm_min_ss(_mm_set_ss(x), _mm_set_ss(y)));
#else
  return x < y ? x : y;
#endif
}

// Two's complement: wraps where signed arithmetic would be undefined.
inline int64_t wrap_add(int64_t a, int64_t c) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(c));
}
inline int64_t wrap_sub(int64_t a, int64_t c) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) - static_cast<uint64_t>(c));
}
inline int64_t wrap_mul(int64_t a, int64_t c) {
  return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(c));
}

inline int64_t floor_div(int64_t a, int64_t n) {
  return a / n - (a % n < 0 ? 1 : 0);
}

}  // namespace convsmith::interp
