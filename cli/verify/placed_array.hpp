// An array of floats at an awkward place, so that reads and writes outside of it are found: misaligned and
// between canaries, or ending (or starting) at a page that may not be touched. Used by verify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace convsmith::cli {

struct Place {
  enum Kind {
    kHeap,         // between canaries
    kGuardBefore,  // a forbidden page ends `gap` floats before the array
    kGuardAfter,   // a forbidden page begins `gap` floats after the array
  };
  Kind kind = kHeap;
  size_t gap = 0;  // floats, filled with canaries; on the heap the distance from a 64-byte boundary
};

class PlacedArray {
 public:
  PlacedArray(size_t floats, Place place);
  explicit PlacedArray(std::span<const float> values, Place place);
  ~PlacedArray();
  PlacedArray(const PlacedArray&) = delete;
  PlacedArray& operator=(const PlacedArray&) = delete;

  // Filled with a pattern that no computation makes, unless values were given.
  float* data() { return data_; }
  const float* data() const { return data_; }
  size_t size() const { return size_; }
  // Whether nobody wrote around the array.
  bool is_intact() const;

  static constexpr uint32_t kCanary = 0xCA1ABA5E;  // a float of about -2.5e6

 private:
  void place_on_heap(size_t gap);
  void place_at_guard(Place place);

  float* data_ = nullptr;
  size_t size_ = 0;
  std::span<uint32_t> room_;  // all that is writable: canaries, array, canaries
  std::vector<uint32_t> heap_;
  void* mapping_ = nullptr;
  size_t mapping_bytes_ = 0;
};

}  // namespace convsmith::cli
