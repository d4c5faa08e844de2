#include "codegen/llvm/link.hpp"

#include <llvm/ExecutionEngine/JITLink/JITLink.h>
#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>

#include <optional>

namespace convsmith::llvm_backend {

namespace {

namespace jitlink = llvm::jitlink;
using llvm::orc::ExecutorAddr;

// What one link leaves behind. The link runs to its end inside jitlink::link, so references to it
// are safe.
struct Outcome {
  CodeBlock block;
  ExecutorAddr entry;
  std::optional<std::string> failure;
};

llvm::Error failed(const char* what) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), what);
}

// The linker writes through the write view and resolves addresses of the execute view. To finalize
// changes no protection: code is in place as soon as the fix-ups are applied.
class BlockAllocation final : public jitlink::JITLinkMemoryManager::InFlightAlloc {
 public:
  explicit BlockAllocation(const CodeBlock& block) : block_(block) {}
  void finalize(OnFinalizedFunction on_finalized) override {
    on_finalized(jitlink::JITLinkMemoryManager::FinalizedAlloc(ExecutorAddr::fromPtr(block_.execute_view())));
  }
  void abandon(OnAbandonedFunction on_abandoned) override { on_abandoned(llvm::Error::success()); }

 private:
  const CodeBlock& block_;
};

bool is_code(const llvm::orc::AllocGroup& group) {
  using namespace llvm::BitmaskEnumDetail;  // operators
  return (group.getMemProt() & llvm::orc::MemProt::Exec) != llvm::orc::MemProt::None;
}

class BlockMemoryManager final : public jitlink::JITLinkMemoryManager {
 public:
  BlockMemoryManager(CodeMemory& memory, CodeBlock& block) : memory_(memory), block_(block) {}

  void allocate(const jitlink::JITLinkDylib*, jitlink::LinkGraph& graph,
                OnAllocatedFunction on_allocated) override {
    jitlink::BasicLayout layout(graph);
    uint64_t bytes = 0;
    for_each_segment(layout, [&](Segment& segment) {
      bytes = llvm::alignTo(bytes, segment.Alignment) + segment.ContentSize + segment.ZeroFillSize;
    });
    auto block = memory_.allocate(bytes);
    if (!block) return on_allocated(failed(block.error().message.c_str()));
    block_ = std::move(*block);
    bytes = 0;
    for_each_segment(layout, [&](Segment& segment) {
      bytes = llvm::alignTo(bytes, segment.Alignment);
      segment.Addr = ExecutorAddr::fromPtr(block_.execute_view()) + bytes;
      segment.WorkingMem = reinterpret_cast<char*>(block_.write_view()) + bytes;
      bytes += segment.ContentSize + segment.ZeroFillSize;
    });
    if (auto error = layout.apply()) return on_allocated(std::move(error));
    on_allocated(std::make_unique<BlockAllocation>(block_));
  }

  // The block frees itself.
  void deallocate(std::vector<FinalizedAlloc> allocations, OnDeallocatedFunction on_deallocated) override {
    for (FinalizedAlloc& allocation : allocations) allocation.release();
    on_deallocated(llvm::Error::success());
  }

 private:
  using Segment = jitlink::BasicLayout::Segment;

  // Code first, so that a kernel starts where its block does, then constants.
  template <class Visit>
  static void for_each_segment(jitlink::BasicLayout& layout, Visit&& visit) {
    for (const bool code : {true, false}) {
      for (auto& [group, segment] : layout.segments()) {
        if (is_code(group) == code) visit(segment);
      }
    }
  }

  CodeMemory& memory_;
  CodeBlock& block_;
};

class LinkContext final : public jitlink::JITLinkContext {
 public:
  LinkContext(std::string_view entry, CodeMemory& memory, Outcome& outcome)
      : JITLinkContext(nullptr), entry_(entry), outcome_(outcome), memory_manager_(memory, outcome.block) {}

  jitlink::JITLinkMemoryManager& getMemoryManager() override { return memory_manager_; }
  void notifyFailed(llvm::Error error) override { outcome_.failure = llvm::toString(std::move(error)); }
  void lookup(const LookupMap&, std::unique_ptr<jitlink::JITLinkAsyncLookupContinuation> go_on) override {
    go_on->run(failed("the code needs a symbol from outside"));
  }
  llvm::Error notifyResolved(jitlink::LinkGraph& graph) override {
    for (const jitlink::Symbol* symbol : graph.defined_symbols()) {
      if (symbol->hasName() && symbol->getName() == llvm::StringRef(entry_)) {
        outcome_.entry = symbol->getAddress();
        return llvm::Error::success();
      }
    }
    return failed("the code has no entry");
  }
  void notifyFinalized(jitlink::JITLinkMemoryManager::FinalizedAlloc allocation) override {
    allocation.release();
  }

 private:
  std::string_view entry_;
  Outcome& outcome_;
  BlockMemoryManager memory_manager_;
};

}  // namespace

Result<LinkedCode> link_object(llvm::MemoryBufferRef object, std::string_view entry, CodeMemory& memory) {
  Outcome outcome;
  auto graph = jitlink::createLinkGraphFromObject(object);
  if (graph) {
    jitlink::link(std::move(*graph), std::make_unique<LinkContext>(entry, memory, outcome));
  } else {
    outcome.failure = llvm::toString(graph.takeError());
  }
  if (outcome.failure) {
    return make_error(ErrorCode::kUnavailable, "The LLVM back end can't link its code: " + *outcome.failure);
  }
  return LinkedCode{std::move(outcome.block), outcome.entry.toPtr<const std::byte*>()};
}

}  // namespace convsmith::llvm_backend
