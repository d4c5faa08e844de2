#include "runtime/disk_cache.hpp"

#include <fmt/format.h>
#include <sys/random.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <optional>

#include "codegen/code_id.hpp"
#include "codegen/llvm_loader.hpp"
#include "codegen/machine_kernel.hpp"
#include "runtime/host/private_folder.hpp"
#include "runtime/host/verbose.hpp"
#include "runtime/jit_events.hpp"

namespace convsmith {

namespace {

constexpr uint64_t kDefaultLimit = uint64_t{256} << 20;

// Who makes the code of a back end in this process; nothing where nobody does.
std::optional<std::string> build_of(Backend backend) {
  if (backend != Backend::kLlvm) return std::string(code_id());
  const auto& module = load_llvm_module();
  if (!module) return std::nullopt;
  return fmt::format("{} {}", code_id(), (*module)->code_id());
}

tl::unexpected<Error> not_used(const std::string& folder, std::string_view why) {
  return make_error(ErrorCode::kUnavailable,
                    fmt::format("CONVSMITH_CACHE_DIR is '{}', which {}; nothing is cached.", folder, why));
}

uint64_t limit_of_environment() {
  const char* const text = secure_getenv("CONVSMITH_CACHE_BYTES");
  if (text == nullptr || *text == '\0') return kDefaultLimit;
  const Result<uint64_t> bytes = parse_cache_bytes(text);
  if (bytes) return *bytes;
  say(1, fmt::format("{} It is taken as {}.", bytes.error().message, kDefaultLimit));
  return kDefaultLimit;
}

std::optional<DiskCache> cache_of_environment() {
  const char* const folder = secure_getenv("CONVSMITH_CACHE_DIR");
  if (folder == nullptr || *folder == '\0') return std::nullopt;
  if (any_dump_wanted()) {
    say(1,
        "CONVSMITH_DUMP is set: all kernels are compiled, and the folder CONVSMITH_CACHE_DIR is not used.");
    return std::nullopt;
  }
  auto cache = DiskCache::open(folder, limit_of_environment());
  if (cache) return std::move(*cache);
  say(1, cache.error().message);
  return std::nullopt;
}

}  // namespace

Result<uint64_t> parse_cache_bytes(std::string_view digits) {
  uint64_t bytes = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bytes);
  if (error == std::errc() && end == digits.data() + digits.size()) return bytes;
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("CONVSMITH_CACHE_BYTES is '{}'; it must be a number of bytes.", digits));
}

DiskCache::DiskCache(std::string folder, uint64_t limit_bytes)
    : folder_(std::move(folder)), limit_bytes_(std::max<uint64_t>(limit_bytes, 1)) {}

Result<DiskCache> DiskCache::open(const std::string& folder, uint64_t limit_bytes) {
  std::error_code error;
  const std::string path = std::filesystem::absolute(folder, error).string();
  if (error) return not_used(folder, error.message());
  if (const auto usable = PrivateFolder::open(path); !usable) return not_used(folder, usable.error());
  return DiskCache(path, limit_bytes);
}

Result<void> DiskCache::check(const std::string& folder) {
  std::error_code error;
  const std::string path = std::filesystem::absolute(folder, error).string();
  if (error) return not_used(folder, error.message());
  if (const auto usable = PrivateFolder::check(path); !usable) return not_used(folder, usable.error());
  return {};
}

KernelResult DiskCache::get(const Wanted& wanted, CodeMemory& memory,
                            const std::function<KernelResult()>& make) const {
  auto build = build_of(wanted.backend);
  if (!build) return make();
  const KernelFileId id{wanted.key, std::move(*build), wanted.backend, wanted.isa};
  if (auto kernel = load(wanted, id, memory)) return kernel;
  auto kernel = make();
  if (kernel) store(id, **kernel);
  return kernel;
}

std::shared_ptr<CompiledKernel> DiskCache::load(const Wanted& wanted, const KernelFileId& id,
                                                CodeMemory& memory) const {
  const PassScope scope("read kernel");
  const auto refused = [&](std::string_view why) {
    say(1, fmt::format("{}/{} {}: the kernel is compiled anew.", folder_, id.file_name(), why));
    return nullptr;
  };
  const auto folder = PrivateFolder::open(folder_);
  if (!folder) return refused("is in a folder that " + folder.error());
  const auto bytes = folder->read(id.file_name(), kMaxKernelFileBytes);
  if (!bytes) return refused(bytes.error());
  if (bytes->empty()) return nullptr;
  auto file = read_kernel_file(*bytes, id);
  if (!file) return refused(file.error());
  auto code = publish(memory, file->code, file->entry);
  if (code) code = announce_kernel(std::move(*code), wanted.name, wanted.backend, wanted.isa);
  if (!code) return nullptr;  // compiling it meets the same error and tells
  auto kernel = std::make_shared<CompiledKernel>(std::move(file->kernel));
  kernel->problem = wanted.problem;
  kernel->from_disk = true;
  kernel->kernel = std::move(*code);
  say(2, fmt::format("{} comes from {}/{}", wanted.name, folder_, id.file_name()));
  return kernel;
}

void DiskCache::store(const KernelFileId& id, const CompiledKernel& kernel) const {
  const PassScope scope("write kernel");
  const auto refused = [&](std::string_view why) {
    say(1, fmt::format("{}/{} {}: the kernel is not cached.", folder_, id.file_name(), why));
  };
  const std::vector<uint8_t> bytes = write_kernel_file(id, kernel);
  uint64_t random = 0;
  if (bytes.size() > kMaxKernelFileBytes) return refused("is too long");
  if (getrandom(&random, sizeof random, GRND_NONBLOCK) != sizeof random) return refused("has no random name");
  const auto folder = PrivateFolder::open(folder_);
  if (!folder) return refused("is in a folder that " + folder.error());
  if (const auto written = folder->write(id.file_name(), bytes, random); !written)
    return refused(written.error());
  if (random % limit_bytes_ < 16 * bytes.size()) folder->sweep(".kernel", limit_bytes_);
}

const DiskCache* process_disk_cache() {
  // Never destroyed, as the caches that hold it.
  static const auto* const cache = new std::optional<DiskCache>(cache_of_environment());
  return cache->has_value() ? &**cache : nullptr;
}

}  // namespace convsmith
