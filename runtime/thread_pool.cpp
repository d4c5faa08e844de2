#include <pthreadpool.h>

#include <cstdlib>
#include <thread>
#include <utility>

#include "convsmith/convsmith.hpp"

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
  if (const char* text = std::getenv("CONVSMITH_NUM_THREADS")) {
    const int threads = std::atoi(text);
    if (threads >= 1) return static_cast<size_t>(threads);
  }
  return 0;  // pthreadpool: all processors
}

void run_on_pool(void* pool, void (*task)(void*, size_t), void* context, size_t count) {
  pthreadpool_parallelize_1d(static_cast<pthreadpool_t>(pool), task, context, count, 0);
}

}  // namespace

ThreadPool::ThreadPool(int threads)
    : impl_(std::make_unique<Impl>(threads > 0 ? static_cast<size_t>(threads) : default_threads())) {}
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
