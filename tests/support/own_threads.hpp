// Threads that the built-in pool knows nothing of.
#pragma once

#include <atomic>
#include <cstddef>
#include <thread>
#include <vector>

#include "codegen/control_word.hpp"
#include "convsmith/convsmith.hpp"

namespace convsmith::test {

// A caller's own threads: made for each call, counted.
struct OwnThreads {
  static constexpr int64_t kUsual = 0x1f80;

  std::atomic<size_t> tasks = 0;
  std::atomic<bool> control_word_kept = true;

  static void run(void* pool, void (*task)(void*, size_t), void* context, size_t count) {
    OwnThreads& self = *static_cast<OwnThreads*>(pool);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < count; ++i) {
      threads.emplace_back([&self, task, context, i] {
        set_control_word(kUsual);  // a worker's own; threads inherit their maker's
        task(context, i);
        if ((control_word() & ~int64_t{0x3f}) != kUsual) self.control_word_kept = false;
        ++self.tasks;
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  ParallelFor parallel_for(int threads) { return {run, this, threads}; }
};

}  // namespace convsmith::test
