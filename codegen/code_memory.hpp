// Memory for machine code: one arena, a memfd mapped twice. Code is written through the write view
// and runs in the execute view; no page is ever both, and none changes its protection once
// published, so this works where the host forbids turning writable memory executable. Both machine
// code back ends take their blocks here.
//
// Where the host gives no memfd, blocks are private pages of their own, written first and made executable
// then (seal): never both either. perf and GDB know code there only, so jit_events asks for it.
//
// Blocks are whole pages. Freed pages are mapped anew in the execute view before they are used
// again, which serialises other cores; page granularity means that no neighbour, which may be
// running, is touched by that.
//
// The mappings of an arena are shared, so after fork() parent and child see the same bytes. From then on both
// sides leave every page that existed at the fork as it is and take new blocks from new segments:
// neither can overwrite code that the other still runs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

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

  // From now on the block may be run, and private pages not be written any more. Error (kUnavailable) where
  // the host refuses that.
  Result<void> seal();

  std::byte* write_view() const { return write_; }
  const std::byte* execute_view() const { return execute_; }
  size_t size() const { return size_; }

 private:
  friend class CodeMemory;
  void release();

  std::byte* write_ = nullptr;
  const std::byte* execute_ = nullptr;
  size_t size_ = 0;                         // as asked for; the arena keeps whole pages
  std::shared_ptr<class CodeArena> arena_;  // null: pages of its own
};

class CodeMemory {
 public:
  // An arena; where the host refuses that, private pages. Error (kUnavailable) where it refuses both.
  static Result<CodeMemory> create();
  static Result<CodeMemory> create_private();

  bool is_private() const { return arena_ == nullptr; }
  // A sentence that says why create() gave private pages; empty where it did not.
  const std::string& why_private() const { return why_private_; }
  // Thread-safe. Write the block through its write view and seal it, then run it in its execute view.
  // Error (kUnavailable) where the host grants no more memory.
  Result<CodeBlock> allocate(size_t bytes);

 private:
  explicit CodeMemory(std::shared_ptr<class CodeArena> arena) : arena_(std::move(arena)) {}
  // A first block shows at once whether the host allows this at all.
  Result<void> probe();

  std::shared_ptr<class CodeArena> arena_;  // null: private pages
  std::string why_private_;
};

}  // namespace convsmith
