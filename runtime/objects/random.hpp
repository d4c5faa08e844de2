// Random numbers that are the same bits on every machine and compiler: an integer generator, and on top of it
// nothing but IEEE operations that are correctly rounded (the library's distributions and logarithms are
// not).
//
// The generator is SplitMix64 (Steele, Lea, Flood 2014): number i is a hash of seed and i. Streams of one
// seed are independent for all practical purposes. Used by draw_weight.
#pragma once

#include <cstdint>

namespace convsmith {

class Random {
 public:
  explicit Random(uint64_t seed, uint64_t stream = 0);

  uint64_t bits();
  double unit();    // uniform in [0, 1), a multiple of 2^-53
  double normal();  // mean 0, standard deviation 1

 private:
  uint64_t state_;
  double spare_ = 0.0;  // normal() makes two at a time
  bool has_spare_ = false;
};

}  // namespace convsmith
