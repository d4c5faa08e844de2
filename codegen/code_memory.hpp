// Memory for machine code: one arena, a memfd mapped twice. Code is written through the write view
// and runs in the execute view; no page is ever both, and none changes its protection once
// published, so this works where the host forbids turning writable memory executable. Both machine
// code back ends take their blocks here.
//
// Blocks are whole pages. Freed pages are mapped anew in the execute view before they are used
// again, which serialises other cores; page granularity means that no neighbour, which may be
// running, is touched by that.
//
// The mappings are shared, so after fork() parent and child see the same bytes. From then on both
// sides leave every page that existed at the fork as it is and take new blocks from new segments:
// neither can overwrite code that the other still runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "convsmith/error.hpp"

namespace convsmith {

// A piece of code memory, owned. It starts at a page, filled with trap instructions.
class CodeBlock {
 public:
  CodeBlock() = default;
  CodeBlock(CodeBlock&& other) noexcept { *this = std::move(other); }
  CodeBlock& operator=(CodeBlock&& other) noexcept;
  // The code must not be running.
  ~CodeBlock();

  std::byte* write_view() const { return write_; }
  const std::byte* execute_view() const { return execute_; }
  size_t size() const { return size_; }

 private:
  friend class CodeMemory;
  std::byte* write_ = nullptr;
  const std::byte* execute_ = nullptr;
  size_t size_ = 0;  // as asked for; the arena keeps whole pages
  std::shared_ptr<class CodeArena> arena_;
};

class CodeMemory {
 public:
  // Error (kUnavailable) where the host refuses memfd_create or an executable mapping.
  static Result<CodeMemory> create();
  // Thread-safe. Write the block through its write view, then run it in its execute view.
  // Error (kUnavailable) where the host grants no more memory.
  Result<CodeBlock> allocate(size_t bytes);

 private:
  explicit CodeMemory(std::shared_ptr<class CodeArena> arena) : arena_(std::move(arena)) {}
  std::shared_ptr<class CodeArena> arena_;
};

}  // namespace convsmith
