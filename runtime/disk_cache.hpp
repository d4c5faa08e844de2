// Kernels kept beyond the process, in the folder that CONVSMITH_CACHE_DIR names: what one process has
// compiled the next ones read, and neither schedule nor lower nor assemble it again.
//
// What lies there is code, and runs if it is believed. So the folder and every file must belong to the user
// of this process and be writable by nobody else; each file is read into memory and checked from its first to
// its last byte (kernel_file) before any of it goes to code memory. A file that fails is reported on the
// verbose channel, compiled anew and replaced. Files appear under their names only when they are whole.
// Nothing that goes wrong with the folder keeps a kernel from being compiled.
//
// Files of another build of this library, or of another LLVM, have other names and are left to age. The
// folder has a size limit, above which the oldest files go; a write looks only so often that there is one
// look for each sixteenth of the limit written, by whichever processes.
//
// Held by KernelCache, asked where a kernel is neither alive nor on its way. Thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtime/kernel_cache.hpp"
#include "runtime/kernel_file.hpp"

namespace convsmith {

// What CONVSMITH_CACHE_BYTES says.
Result<uint64_t> parse_cache_bytes(std::string_view digits);

class DiskCache {
 public:
  // Error (kUnavailable): why the folder can't be used. It is made where only its last name is missing.
  static Result<DiskCache> open(const std::string& folder, uint64_t limit_bytes);
  // Whether open would succeed; makes nothing.
  static Result<void> check(const std::string& folder);

  struct Wanted {
    std::string key;   // all that shapes the code, with back end and instruction set
    std::string name;  // for profilers
    Problem problem;
    Backend backend;  // machine code
    Isa isa;          // one that this CPU runs
  };
  // The kernel from the folder, or made by `make` and put there.
  KernelResult get(const Wanted& wanted, CodeMemory& memory, const std::function<KernelResult()>& make) const;

 private:
  DiskCache(std::string folder, uint64_t limit_bytes);
  std::shared_ptr<CompiledKernel> load(const Wanted& wanted, const KernelFileId& id,
                                       CodeMemory& memory) const;
  void store(const KernelFileId& id, const CompiledKernel& kernel) const;

  std::string folder_;  // absolute
  uint64_t limit_bytes_;
};

// That of the environment: CONVSMITH_CACHE_DIR, its limit CONVSMITH_CACHE_BYTES (256 MiB). Null where the
// variable is not set, the folder can't be used, the process is privileged, or CONVSMITH_DUMP wants to see
// stages that a cached kernel does not go through.
const DiskCache* process_disk_cache();

}  // namespace convsmith
