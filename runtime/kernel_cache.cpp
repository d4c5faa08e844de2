#include "runtime/kernel_cache.hpp"

#include <algorithm>
#include <new>

namespace convsmith {

KernelResult KernelCache::get(const std::string& key, const std::function<KernelResult()>& make) {
  std::promise<KernelResult> promise;
  std::shared_future<KernelResult> other;
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = entries_[key];
    if (auto kernel = entry.alive.lock()) return kernel;
    if (entry.on_its_way.valid()) {
      other = entry.on_its_way;
    } else {
      entry.on_its_way = promise.get_future().share();
    }
  }
  if (other.valid()) return other.get();
  KernelResult kernel = [&]() -> KernelResult {
    try {
      return make();
    } catch (const std::bad_alloc&) {  // the waiting threads must hear of it too
      return make_error(ErrorCode::kUnavailable, "There is no memory left to compile this layer.");
    } catch (const std::exception& problem) {
      return make_error(ErrorCode::kUnavailable,
                        std::string("This layer could not be compiled: ") + problem.what() + ".");
    }
  }();
  promise.set_value(kernel);
  const std::lock_guard lock(mutex_);
  Entry& entry = entries_[key];
  if (kernel) entry.alive = *kernel;
  ++(kernel && (*kernel)->from_disk ? stats_.loads : stats_.compiles);
  entry.on_its_way = {};
  forget_dead();
  return kernel;
}

KernelCache::Stats KernelCache::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

// Keys of kernels that nobody holds any more would pile up: swept whenever the table has doubled.
void KernelCache::forget_dead() {
  if (entries_.size() < sweep_at_) return;
  std::erase_if(entries_, [](const auto& item) {
    return item.second.alive.expired() && !item.second.on_its_way.valid();
  });
  sweep_at_ = std::max<size_t>(64, 2 * entries_.size());
}

}  // namespace convsmith
