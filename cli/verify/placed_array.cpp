#include "cli/verify/placed_array.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "frontend/base/ceil_div.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::cli {

namespace {

constexpr size_t kMargin = 32;  // floats of canaries on each side on the heap: two of the widest vectors

}  // namespace

PlacedArray::PlacedArray(size_t floats, Place place) : size_(floats) {
  if (place.kind == Place::kHeap) {
    place_on_heap(place.gap);
  } else {
    place_at_guard(place);
  }
  std::fill(room_.begin(), room_.end(), kCanary);
}

PlacedArray::PlacedArray(std::span<const float> values, Place place) : PlacedArray(values.size(), place) {
  if (!values.empty()) std::memcpy(data_, values.data(), values.size_bytes());
}

PlacedArray::~PlacedArray() {
  if (mapping_ != nullptr) munmap(mapping_, mapping_bytes_);
}

void PlacedArray::place_on_heap(size_t gap) {
  heap_.resize(size_ + 2 * kMargin + 32);
  const size_t to_line = (64 - reinterpret_cast<uintptr_t>(heap_.data() + kMargin) % 64) % 64 / sizeof(float);
  data_ = reinterpret_cast<float*>(heap_.data()) + kMargin + to_line + gap % 16;
  room_ = heap_;
}

void PlacedArray::place_at_guard(Place place) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t bytes = round_up(std::max<size_t>((size_ + place.gap) * sizeof(float), 1), page);
  mapping_bytes_ = bytes + 2 * page;
  mapping_ = mmap(nullptr, mapping_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CONVSMITH_CHECK(mapping_ != MAP_FAILED, "a page of guarded memory can be mapped");
  std::byte* const begin = static_cast<std::byte*>(mapping_) + page;
  const int opened = mprotect(begin, bytes, PROT_READ | PROT_WRITE);
  CONVSMITH_CHECK(opened == 0, "a page between guards can be opened");
  room_ = {reinterpret_cast<uint32_t*>(begin), bytes / sizeof(float)};
  const size_t before = place.kind == Place::kGuardBefore ? place.gap : room_.size() - size_ - place.gap;
  data_ = reinterpret_cast<float*>(begin) + before;
}

bool PlacedArray::is_intact() const {
  const auto is_canary = [](uint32_t word) { return word == kCanary; };
  const auto* const first = reinterpret_cast<const uint32_t*>(data_);
  const auto before = static_cast<size_t>(first - room_.data());
  return std::all_of(room_.begin(), room_.begin() + static_cast<std::ptrdiff_t>(before), is_canary) &&
         std::all_of(room_.begin() + static_cast<std::ptrdiff_t>(before + size_), room_.end(), is_canary);
}

}  // namespace convsmith::cli
