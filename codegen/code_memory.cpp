#include "codegen/code_memory.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <map>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "frontend/base/ceil_div.hpp"
#include "frontend/base/check.hpp"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace convsmith {

namespace {

constexpr size_t kSegmentBytes = size_t{1} << 20;
constexpr int kTrap = 0xCC;  // int3: whatever is not code stops there

// How often this process forked, and the lock of all arenas. The lock is held across fork(), so a
// child never inherits an arena in the middle of a change, nor a lock that nobody will release.
struct ForkState {
  std::mutex mutex;
  uint64_t forks = 0;
};
constinit ForkState fork_state;

void count_fork() {
  ++fork_state.forks;
  fork_state.mutex.unlock();
}

ForkState& watch_forks() {
  static const int registered = pthread_atfork([] { fork_state.mutex.lock(); }, count_fork, count_fork);
  CONVSMITH_CHECK(registered == 0, "pthread_atfork failed");
  return fork_state;
}

size_t page_bytes() {
  static const auto bytes = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  return bytes;
}

// Whole pages, at least one.
size_t pages_for(size_t bytes) {
  return round_up(std::max<size_t>(bytes, 1), page_bytes());
}

constexpr std::string_view kRefused = "The host gives no memory for machine code: ";

tl::unexpected<Error> refused(const char* what) {
  return make_error(ErrorCode::kUnavailable,
                    std::string(kRefused) + what + " failed (" + std::strerror(errno) + ").");
}

// One sentence of two such.
std::string join_reasons(std::string first, const std::string& second) {
  first.pop_back();
  return first + ", and " + second.substr(kRefused.size());
}

// A memfd and its two views. Offsets and sizes are whole pages.
class Segment {
 public:
  static Result<std::unique_ptr<Segment>> open(size_t bytes) {
    auto segment = std::unique_ptr<Segment>(new Segment(bytes));
    segment->fd_ = memfd_create("convsmith-code", MFD_CLOEXEC | MFD_EXEC);
    if (segment->fd_ < 0 && errno == EINVAL) {
      segment->fd_ = memfd_create("convsmith-code", MFD_CLOEXEC);  // Linux before 6.3 knows no MFD_EXEC
    }
    if (segment->fd_ < 0) return refused("memfd_create");
    if (ftruncate(segment->fd_, static_cast<off_t>(bytes)) != 0) return refused("ftruncate");
    segment->write_ = segment->map(nullptr, PROT_READ | PROT_WRITE, 0, bytes);
    if (segment->write_ == nullptr) return refused("mapping the write view");
    segment->execute_ = segment->map(nullptr, PROT_READ | PROT_EXEC, 0, bytes);
    if (segment->execute_ == nullptr) return refused("mapping the execute view");
    return segment;
  }
  ~Segment() {
    if (write_ != nullptr) munmap(write_, size_);
    if (execute_ != nullptr) munmap(execute_, size_);
    if (fd_ >= 0) close(fd_);
  }
  Segment(const Segment&) = delete;

  std::byte* write_view(size_t offset) const { return write_ + offset; }
  std::byte* execute_view(size_t offset) const { return execute_ + offset; }
  bool empty() const { return live_ == 0; }
  bool contains(const std::byte* execute) const {
    const auto distance = reinterpret_cast<uintptr_t>(execute) - reinterpret_cast<uintptr_t>(execute_);
    return distance < size_;
  }
  // No more blocks from here.
  void retire() { free_.clear(), retired_ = true; }
  bool retired() const { return retired_; }

  // First fit.
  std::optional<size_t> take(size_t bytes) {
    const auto range =
        std::find_if(free_.begin(), free_.end(), [&](const auto& r) { return r.second >= bytes; });
    if (range == free_.end()) return std::nullopt;
    const auto [offset, length] = *range;
    free_.erase(range);
    if (length > bytes) free_.emplace(offset + bytes, length - bytes);
    ++live_;
    return offset;
  }

  // The counterpart of take; joins the range with its free neighbours.
  void give(size_t offset, size_t bytes) {
    --live_;
    if (retired_) return;
    auto next = free_.lower_bound(offset);
    if (next != free_.end() && next->first == offset + bytes) {
      bytes += next->second;
      next = free_.erase(next);
    }
    if (next != free_.begin()) {
      const auto previous = std::prev(next);
      if (previous->first + previous->second == offset) {
        previous->second += bytes;
        return;
      }
    }
    free_.emplace(offset, bytes);
  }
  size_t offset_of(const std::byte* execute) const { return static_cast<size_t>(execute - execute_); }

  // Makes taken pages ready for code. Pages that held code before are mapped anew for execution.
  bool prepare(size_t offset, size_t bytes) {
    // Backs new pages now: a full memory is an error here, not a SIGBUS while code is written.
    if (offset + bytes > fresh_ &&
        fallocate(fd_, 0, static_cast<off_t>(offset), static_cast<off_t>(bytes)) != 0)
      return false;
    if (offset < fresh_ && map(execute_ + offset, PROT_READ | PROT_EXEC, offset, bytes) == nullptr)
      return false;
    fresh_ = std::max(fresh_, offset + bytes);
    std::memset(write_ + offset, kTrap, bytes);
    return true;
  }

 private:
  explicit Segment(size_t bytes) : size_(bytes) { free_.emplace(0, bytes); }

  // `at` null: the system chooses the place; otherwise what is mapped there is replaced.
  std::byte* map(std::byte* at, int protection, size_t offset, size_t bytes) const {
    const int flags = MAP_SHARED | (at != nullptr ? MAP_FIXED : 0);
    void* const view = mmap(at, bytes, protection, flags, fd_, static_cast<off_t>(offset));
    return view == MAP_FAILED ? nullptr : static_cast<std::byte*>(view);
  }

  int fd_ = -1;
  size_t size_;
  std::byte* write_ = nullptr;
  std::byte* execute_ = nullptr;
  std::map<size_t, size_t> free_;  // offset -> bytes, never adjacent
  size_t fresh_ = 0;               // from here on no page ever held code
  size_t live_ = 0;                // blocks
  bool retired_ = false;
};

}  // namespace

// The segments of one CodeMemory. It lives as long as the CodeMemory or any of its blocks.
class CodeArena {
 public:
  struct Place {
    std::byte* write;
    std::byte* execute;
  };

  Result<Place> allocate(size_t bytes) {
    const size_t pages = pages_for(bytes);
    const std::lock_guard lock(state_.mutex);
    retire_after_fork();
    for (const auto& segment : segments_) {
      if (const auto offset = segment->take(pages)) return publish(*segment, *offset, pages);
    }
    auto segment = Segment::open(round_up(pages, kSegmentBytes));
    if (!segment) return tl::unexpected(segment.error());
    segments_.push_back(std::move(*segment));
    return publish(*segments_.back(), *segments_.back()->take(pages), pages);
  }

  void free(const std::byte* execute, size_t bytes) {
    const std::lock_guard lock(state_.mutex);
    const auto segment =
        std::find_if(segments_.begin(), segments_.end(), [&](const auto& s) { return s->contains(execute); });
    CONVSMITH_CHECK(segment != segments_.end(), "a code block lies outside of its arena");
    (*segment)->give((*segment)->offset_of(execute), pages_for(bytes));
    if (!(*segment)->empty()) return;
    // One empty segment is kept, so that a process that makes and drops one kernel at a time does
    // not map memory each time.
    const bool spare = std::any_of(segments_.begin(), segments_.end(), [&](const auto& s) {
      return s != *segment && s->empty() && !s->retired();
    });
    if (spare || (*segment)->retired()) segments_.erase(segment);
  }

 private:
  void retire_after_fork() {
    if (forks_ == state_.forks) return;
    forks_ = state_.forks;
    for (const auto& segment : segments_) segment->retire();
    std::erase_if(segments_, [](const auto& s) { return s->empty(); });
  }

  static Result<Place> publish(Segment& segment, size_t offset, size_t bytes) {
    // Where this fails the pages stay taken: what is mapped there now is unknown.
    if (!segment.prepare(offset, bytes)) return refused("mapping a block");
    return Place{segment.write_view(offset), segment.execute_view(offset)};
  }

  // The state of the library that made the arena: the LLVM module holds a second copy of this code
  // and must not use its own.
  ForkState& state_ = watch_forks();
  uint64_t forks_ = 0;  // the first allocation looks
  std::vector<std::unique_ptr<Segment>> segments_;
};

void CodeBlock::release() {
  if (arena_ != nullptr) return arena_->free(execute_, size_);
  if (write_ != nullptr) munmap(write_, pages_for(size_));
}

CodeBlock& CodeBlock::operator=(CodeBlock&& other) noexcept {
  if (this == &other) return *this;
  release();
  write_ = std::exchange(other.write_, nullptr);
  execute_ = std::exchange(other.execute_, nullptr);
  size_ = std::exchange(other.size_, 0);
  arena_ = std::move(other.arena_);
  return *this;
}

CodeBlock::~CodeBlock() {
  release();
}

Result<void> CodeBlock::seal() {
  if (arena_ != nullptr || write_ == nullptr) return {};
  if (mprotect(write_, pages_for(size_), PROT_READ | PROT_EXEC) == 0) return {};
  return refused("making private memory executable");
}

Result<CodeMemory> CodeMemory::create() {
  CodeMemory memory(std::make_shared<CodeArena>());
  const auto shared = memory.probe();
  if (shared) return memory;
  auto own = create_private();
  if (own) {
    own->why_private_ =
        "Memory that is mapped twice is refused: " + shared.error().message.substr(kRefused.size());
    return own;
  }
  return make_error(ErrorCode::kUnavailable, join_reasons(shared.error().message, own.error().message));
}

Result<CodeMemory> CodeMemory::create_private() {
  CodeMemory memory(nullptr);
  if (const auto granted = memory.probe(); !granted) return tl::unexpected(granted.error());
  return memory;
}

Result<void> CodeMemory::probe() {
  auto block = allocate(1);
  if (!block) return tl::unexpected(block.error());
  return block->seal();
}

Result<CodeBlock> CodeMemory::allocate(size_t bytes) {
  CodeBlock block;
  if (arena_ != nullptr) {
    const auto place = arena_->allocate(bytes);
    if (!place) return tl::unexpected(place.error());
    block.write_ = place->write;
    block.execute_ = place->execute;
  } else {
    void* const pages =
        mmap(nullptr, pages_for(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) return refused("mapping private memory");
    std::memset(pages, kTrap, pages_for(bytes));
    block.write_ = static_cast<std::byte*>(pages);
    block.execute_ = block.write_;
  }
  block.size_ = bytes;
  block.arena_ = arena_;
  return block;
}

}  // namespace convsmith
