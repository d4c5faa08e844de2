// Kernels by the canonical text of everything that shapes their code, so that layers which differ only
// in what does not (name, initializers, input length) share one. Two threads that ask for the same kernel
// compile it once: the second waits for the first.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "runtime/compile.hpp"

namespace convsmith {

using KernelResult = Result<std::shared_ptr<const CompiledKernel>>;

class KernelCache {
 public:
  // `disk` null: nothing is kept beyond the process.
  explicit KernelCache(const class DiskCache* disk = nullptr) : disk_(disk) {}

  // The kernel of `key`, made by `make` unless it is alive or on its way.
  KernelResult get(const std::string& key, const std::function<KernelResult()>& make);
  const class DiskCache* disk() const { return disk_; }
  struct Stats {
    uint64_t compiles = 0;  // those that failed as well
    uint64_t loads = 0;     // from disk
  };
  Stats stats() const;

 private:
  struct Entry {
    std::weak_ptr<const CompiledKernel> alive;
    std::shared_future<KernelResult> on_its_way;  // valid while a thread compiles
  };
  void forget_dead();

  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  size_t sweep_at_ = 64;
  Stats stats_;
  const class DiskCache* disk_;
};

}  // namespace convsmith
