#include <pthreadpool.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <utility>

#include "convsmith/convsmith.hpp"
#include "runtime/environment.hpp"
#include "runtime/host/verbose.hpp"
#include "runtime/shared.hpp"

#if defined(__SANITIZE_THREAD__)
#define CONVSMITH_TELL_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CONVSMITH_TELL_TSAN 1
#endif
#endif
#ifndef CONVSMITH_TELL_TSAN
#define CONVSMITH_TELL_TSAN 0
#endif

namespace convsmith {

struct ThreadPool::Impl {
  explicit Impl(size_t threads) : pool(pthreadpool_create(threads)) {}
  ~Impl() { pthreadpool_destroy(pool); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  pthreadpool_t pool;
};

namespace {

size_t default_threads() {
  const char* const text = std::getenv("CONVSMITH_NUM_THREADS");
  if (text == nullptr || *text == '\0') return 0;  // pthreadpool: all processors
  const Result<int> threads = parse_thread_count(text);
  if (threads) return static_cast<size_t>(*threads);
  say(1, threads.error().message + " All processors are used.");
  return 0;
}

#if CONVSMITH_TELL_TSAN
// pthreadpool orders a call before its parts and the parts before its return, but the system's library is not
// compiled with the sanitizer, which then sees neither. This says it once more.
struct HandOver {
  void (*task)(void*, size_t);
  void* context;
  std::atomic<bool> begun = false;
  std::atomic<size_t> ended = 0;

  static void run_part(void* self, size_t i) {
    HandOver& h = *static_cast<HandOver*>(self);
    h.begun.load(std::memory_order_acquire);
    h.task(h.context, i);
    h.ended.fetch_add(1, std::memory_order_release);
  }
};

void run_on_pool(void* pool, void (*task)(void*, size_t), void* context, size_t count) {
  HandOver h{task, context};
  h.begun.store(true, std::memory_order_release);
  pthreadpool_parallelize_1d(static_cast<pthreadpool_t>(pool), HandOver::run_part, &h, count, 0);
  h.ended.load(std::memory_order_acquire);
}
#else
void run_on_pool(void* pool, void (*task)(void*, size_t), void* context, size_t count) {
  pthreadpool_parallelize_1d(static_cast<pthreadpool_t>(pool), task, context, count, 0);
}
#endif

}  // namespace

ThreadPool::ThreadPool(int threads)
    : impl_(std::make_shared<Impl>(threads > 0 ? static_cast<size_t>(threads) : default_threads())) {}
ThreadPool::~ThreadPool() = default;
ThreadPool::ThreadPool(ThreadPool&&) noexcept = default;
ThreadPool& ThreadPool::operator=(ThreadPool&&) noexcept = default;

int ThreadPool::threads() const {
  return static_cast<int>(pthreadpool_get_threads_count(impl_->pool));
}

ParallelFor ThreadPool::parallel_for() const {
  return {run_on_pool, impl_->pool, threads()};
}

}  // namespace convsmith
