#include "runtime/host/jit_dump.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <vector>

#include "runtime/host/host_elf.hpp"

namespace convsmith {

namespace {

struct FileHeader {
  uint32_t magic = 0x4A695444;
  uint32_t version = 1;
  uint32_t total_size = sizeof(FileHeader);
  uint32_t elf_mach = kHostElfMachine;
  uint32_t pad1 = 0;
  uint32_t pid;
  uint64_t timestamp;
  uint64_t flags = 0;
};

struct CodeLoad {
  uint32_t id = 0;  // JIT_CODE_LOAD
  uint32_t total_size;
  uint64_t timestamp;
  uint32_t pid;
  uint32_t tid;
  uint64_t vma;
  uint64_t code_addr;
  uint64_t code_size;
  uint64_t code_index;
};

// perf record needs `-k mono` to use the same clock.
uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<uint64_t>(time.tv_sec) * 1000000000 + static_cast<uint64_t>(time.tv_nsec);
}

size_t page_bytes() {
  return static_cast<size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

JitDump::JitDump(Descriptor file, void* marker, pid_t process)
    : file_(std::move(file)), marker_(marker), process_(process) {}

JitDump::JitDump(JitDump&& other) noexcept
    : file_(std::move(other.file_)),
      marker_(std::exchange(other.marker_, nullptr)),
      process_(other.process_),
      index_(other.index_) {}

JitDump::~JitDump() {
  if (marker_ != nullptr) munmap(marker_, page_bytes());
}

tl::expected<JitDump, std::string> JitDump::open(pid_t process) {
  const char* const folder = secure_getenv("JITDUMPDIR");
  const std::string path = fmt::format("{}/jit-{}.dump", folder == nullptr ? "." : folder, process);
  const auto failed = [&] {
    return tl::unexpected(fmt::format("{} can't be written: {}.", path, std::strerror(errno)));
  };
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return failed();
  const FileHeader header{.pid = static_cast<uint32_t>(process), .timestamp = now()};
  if (!write_all(file.get(), {reinterpret_cast<const uint8_t*>(&header), sizeof header})) return failed();
  void* const marker = mmap(nullptr, page_bytes(), PROT_READ | PROT_EXEC, MAP_PRIVATE, file.get(), 0);
  if (marker == MAP_FAILED) return failed();
  return JitDump(std::move(file), marker, process);
}

bool JitDump::add(const std::string& name, std::span<const uint8_t> code) {
  const auto address = reinterpret_cast<uintptr_t>(code.data());
  const CodeLoad head{.total_size = static_cast<uint32_t>(sizeof head + name.size() + 1 + code.size()),
                      .timestamp = now(),
                      .pid = static_cast<uint32_t>(process_),
                      .tid = static_cast<uint32_t>(syscall(SYS_gettid)),
                      .vma = address,
                      .code_addr = address,
                      .code_size = code.size(),
                      .code_index = index_++};
  std::vector<uint8_t> record(head.total_size);
  std::memcpy(record.data(), &head, sizeof head);
  std::memcpy(record.data() + sizeof head, name.c_str(), name.size() + 1);
  std::memcpy(record.data() + sizeof head + name.size() + 1, code.data(), code.size());
  return write_all(file_.get(), record);
}

}  // namespace convsmith
