// Memory of one thread that only grows: a call that fits what earlier ones needed allocates nothing.
#pragma once

#include <cstddef>
#include <cstdlib>

namespace convsmith {

class ThreadMemory {
 public:
  ThreadMemory() = default;
  ThreadMemory(const ThreadMemory&) = delete;
  ThreadMemory& operator=(const ThreadMemory&) = delete;
  // Nothing is called for memory that was never asked for: that happens at every call.
  ~ThreadMemory() {
    if (data_ != nullptr) std::free(data_);
  }

  // At least `bytes` bytes at a multiple of 64, of any content; null if there is no memory.
  void* get(size_t bytes) {
    if (bytes > size_) {
      std::free(data_);
      size_ = (bytes + 4095) / 4096 * 4096;
      data_ = std::aligned_alloc(64, size_);
      if (data_ == nullptr) size_ = 0;
    }
    return data_;
  }

 private:
  friend class BorrowedMemory;
  void* data_ = nullptr;
  size_t size_ = 0;
  bool is_borrowed_ = false;
};

// A thread's memory for the time of one call. A pool may let a thread that waits run another call meanwhile:
// that one gets memory of its own.
class BorrowedMemory {
 public:
  explicit BorrowedMemory(ThreadMemory& memory) : lender_(memory.is_borrowed_ ? own_ : memory) {
    lender_.is_borrowed_ = true;
  }
  BorrowedMemory(const BorrowedMemory&) = delete;
  BorrowedMemory& operator=(const BorrowedMemory&) = delete;
  ~BorrowedMemory() { lender_.is_borrowed_ = false; }
  void* get(size_t bytes) { return lender_.get(bytes); }

 private:
  ThreadMemory own_;
  ThreadMemory& lender_;
};

}  // namespace convsmith
