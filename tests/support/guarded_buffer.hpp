// Floats that end, or start, at a page that nobody may touch, with canaries on the other side.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <stdexcept>
#include <string>

namespace convsmith::test {

enum class Edge { kEnd, kStart };

class GuardedBuffer {
 public:
  // `gap` canary floats lie between the data and the forbidden page at `edge`.
  GuardedBuffer(size_t floats, Edge edge, size_t gap = 0) : size_(floats) {
    const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
    const size_t inner = ((floats + gap) * sizeof(float) + page - 1) / page * page;
    mapped_ = inner + 2 * page;
    void* const all = mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) throw std::runtime_error("no memory for a guarded buffer");
    base_ = static_cast<std::byte*>(all);
    if (inner > 0 && mprotect(base_ + page, inner, PROT_READ | PROT_WRITE) != 0) {
      throw std::runtime_error("no memory for a guarded buffer");
    }
    all_ = {reinterpret_cast<float*>(base_ + page), inner / sizeof(float)};
    for (float& x : all_) x = std::bit_cast<float>(kCanary);
    data_ = all_.data() + (edge == Edge::kStart ? gap : all_.size() - gap - floats);
  }
  GuardedBuffer(std::span<const float> values, Edge edge, size_t gap = 0)
      : GuardedBuffer(values.size(), edge, gap) {
    if (!values.empty()) std::memcpy(data_, values.data(), values.size_bytes());
  }
  ~GuardedBuffer() { munmap(base_, mapped_); }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;

  float* data() const { return data_; }
  std::span<const float> values() const { return {data_, size_}; }

  bool canaries_live() const {
    for (const float& x : all_) {
      const bool is_data = &x >= data_ && &x < data_ + size_;
      if (!is_data && std::bit_cast<uint32_t>(x) != kCanary) return false;
    }
    return true;
  }

 private:
  static constexpr uint32_t kCanary = 0x7fa5c3e1;  // a signalling NaN that no computation gives

  size_t size_;
  size_t mapped_ = 0;
  std::byte* base_ = nullptr;
  std::span<float> all_;
  float* data_ = nullptr;
};

// Says which case was running when a page was touched that must not be; the process still dies of it.
class FaultReport {
 public:
  FaultReport() {
    struct sigaction action {};
    action.sa_handler = report;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    for (size_t i = 0; i < 2; ++i) sigaction(kSignals[i], &action, &old_[i]);
  }
  ~FaultReport() {
    for (size_t i = 0; i < 2; ++i) sigaction(kSignals[i], &old_[i], nullptr);
  }
  FaultReport(const FaultReport&) = delete;
  FaultReport& operator=(const FaultReport&) = delete;

  void set_case(const std::string& text) { text_[text.copy(text_, sizeof text_ - 1)] = '\0'; }

 private:
  static constexpr int kSignals[2] = {SIGSEGV, SIGBUS};

  static void report(int signal) {
    for (const char* part : {"\nfault in ", static_cast<const char*>(text_), "\n"}) {
      if (write(STDERR_FILENO, part, std::strlen(part)) < 0) break;
    }
    raise(signal);
  }

  inline static char text_[1024] = "";
  struct sigaction old_[2]{};
};

}  // namespace convsmith::test
