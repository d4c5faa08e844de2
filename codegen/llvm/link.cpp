#include "codegen/llvm/link.hpp"

#include <llvm/BinaryFormat/ELF.h>
#include <llvm/ExecutionEngine/JITLink/JITLink.h>
#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/ExecutionEngine/JITLink/aarch64.h>
#include <llvm/ExecutionEngine/JITLink/x86_64.h>
#include <llvm/Object/ELFObjectFile.h>

#include <algorithm>
#include <optional>

namespace convsmith::llvm_backend {

namespace {

namespace jitlink = llvm::jitlink;
using llvm::orc::ExecutorAddr;

// Where the image seems to lie while it is linked: nothing in it may depend on that.
constexpr uint64_t kBase = 0x10000;
constexpr size_t kPage = 4096;

llvm::Error failed(const std::string& what) {
  return llvm::createStringError(llvm::inconvertibleErrorCode(), what);
}

// What one link leaves behind. The link runs to its end inside jitlink::link, so references to it
// are safe.
struct Outcome {
  CodeImage image;
  std::optional<std::string> failure;
};

// Nothing is mapped: the linker writes into the image.
class ImageAllocation final : public jitlink::JITLinkMemoryManager::InFlightAlloc {
 public:
  void finalize(OnFinalizedFunction on_finalized) override {
    on_finalized(jitlink::JITLinkMemoryManager::FinalizedAlloc(ExecutorAddr(kBase)));
  }
  void abandon(OnAbandonedFunction on_abandoned) override { on_abandoned(llvm::Error::success()); }
};

bool is_code(const llvm::orc::AllocGroup& group) {
  using namespace llvm::BitmaskEnumDetail;  // operators
  return (group.getMemProt() & llvm::orc::MemProt::Exec) != llvm::orc::MemProt::None;
}

class ImageMemory final : public jitlink::JITLinkMemoryManager {
 public:
  explicit ImageMemory(CodeImage& image) : image_(image) {}

  void allocate(const jitlink::JITLinkDylib*, jitlink::LinkGraph& graph,
                OnAllocatedFunction on_allocated) override {
    jitlink::BasicLayout layout(graph);
    uint64_t bytes = 0;
    for_each_segment(layout, [&](Segment& segment) {
      bytes = llvm::alignTo(bytes, segment.Alignment) + segment.ContentSize + segment.ZeroFillSize;
    });
    image_.bytes.assign(bytes, 0);
    bytes = 0;
    for_each_segment(layout, [&](Segment& segment) {
      bytes = llvm::alignTo(bytes, segment.Alignment);
      segment.Addr = ExecutorAddr(kBase + bytes);
      segment.WorkingMem = reinterpret_cast<char*>(image_.bytes.data()) + bytes;
      bytes += segment.ContentSize + segment.ZeroFillSize;
    });
    if (auto error = layout.apply()) return on_allocated(std::move(error));
    on_allocated(std::make_unique<ImageAllocation>());
  }

  void deallocate(std::vector<FinalizedAlloc> allocations, OnDeallocatedFunction on_deallocated) override {
    for (FinalizedAlloc& allocation : allocations) allocation.release();
    on_deallocated(llvm::Error::success());
  }

 private:
  using Segment = jitlink::BasicLayout::Segment;

  // Code first, then constants.
  template <class Visit>
  static void for_each_segment(jitlink::BasicLayout& layout, Visit&& visit) {
    for (const bool code : {true, false}) {
      for (auto& [group, segment] : layout.segments()) {
        if (is_code(group) == code) visit(segment);
      }
    }
  }

  CodeImage& image_;
};

// The ELF relocation of an edge that is relative to its place; nullopt for one that is not.
std::optional<uint32_t> relative_type(bool is_x86, jitlink::Edge::Kind kind) {
  namespace x86 = jitlink::x86_64;
  namespace arm = jitlink::aarch64;
  struct Type {
    jitlink::Edge::Kind kind;
    uint32_t elf;
  };
  static constexpr Type kX86[] = {{x86::Delta32, llvm::ELF::R_X86_64_PC32},
                                  {x86::PCRel32, llvm::ELF::R_X86_64_PC32},
                                  {x86::BranchPCRel32, llvm::ELF::R_X86_64_PLT32},
                                  {x86::Delta64, llvm::ELF::R_X86_64_PC64}};
  static constexpr Type kArm[] = {{arm::Branch26PCRel, llvm::ELF::R_AARCH64_CALL26},
                                  {arm::Page21, llvm::ELF::R_AARCH64_ADR_PREL_PG_HI21},
                                  {arm::PageOffset12, llvm::ELF::R_AARCH64_ADD_ABS_LO12_NC},
                                  {arm::ADRLiteral21, llvm::ELF::R_AARCH64_ADR_PREL_LO21},
                                  {arm::LDRLiteral19, llvm::ELF::R_AARCH64_LD_PREL_LO19},
                                  {arm::Delta32, llvm::ELF::R_AARCH64_PREL32},
                                  {arm::Delta64, llvm::ELF::R_AARCH64_PREL64}};
  const std::span<const Type> types = is_x86 ? std::span<const Type>(kX86) : std::span<const Type>(kArm);
  for (const Type& type : types) {
    if (type.kind == kind) return type.elf;
  }
  return std::nullopt;
}

class LinkContext final : public jitlink::JITLinkContext {
 public:
  LinkContext(std::span<const std::string> functions, Outcome& outcome)
      : JITLinkContext(nullptr), functions_(functions), outcome_(outcome), memory_(outcome.image) {}

  jitlink::JITLinkMemoryManager& getMemoryManager() override { return memory_; }
  void notifyFailed(llvm::Error error) override { outcome_.failure = llvm::toString(std::move(error)); }
  void lookup(const LookupMap&, std::unique_ptr<jitlink::JITLinkAsyncLookupContinuation> go_on) override {
    go_on->run(failed("the code needs a symbol from outside"));
  }

  llvm::Error modifyPassConfig(jitlink::LinkGraph&, jitlink::PassConfiguration& config) override {
    config.PostAllocationPasses.push_back(
        [this](jitlink::LinkGraph& graph) { return open_references(graph); });
    return llvm::Error::success();
  }

  llvm::Error notifyResolved(jitlink::LinkGraph& graph) override {
    for (const std::string& function : functions_) {
      const auto symbols = graph.defined_symbols();
      const auto found = std::find_if(symbols.begin(), symbols.end(), [&](const jitlink::Symbol* symbol) {
        return symbol->hasName() && symbol->getName() == llvm::StringRef(function);
      });
      if (found == symbols.end()) return failed("the code lacks " + function);
      outcome_.image.functions.push_back(function_of(**found));
    }
    for (const jitlink::Symbol* symbol : graph.defined_symbols()) {
      const bool is_helper =
          symbol->hasName() && symbol->isCallable() &&
          std::find(functions_.begin(), functions_.end(), symbol->getName().str()) == functions_.end();
      if (is_helper) outcome_.image.helpers.emplace_back(symbol->getName().str(), function_of(*symbol));
    }
    return llvm::Error::success();
  }

  void notifyFinalized(jitlink::JITLinkMemoryManager::FinalizedAlloc allocation) override {
    allocation.release();
  }

 private:
  static CodeImage::Function function_of(const jitlink::Symbol& symbol) {
    return {symbol.getAddress().getValue() - kBase, symbol.getSize()};
  }

  // Takes references to what is outside from the graph into the image, and sees that all others are relative.
  llvm::Error open_references(jitlink::LinkGraph& graph) {
    const bool is_x86 = graph.getTargetTriple().isX86();
    for (jitlink::Block* block : graph.blocks()) {
      for (auto edge = block->edges().begin(); edge != block->edges().end();) {
        const auto type = relative_type(is_x86, edge->getKind());
        if (edge->isRelocation() && !type) return failed("the code is not position independent");
        if (type == llvm::ELF::R_AARCH64_ADR_PREL_PG_HI21 && !is_x86) outcome_.image.alignment = kPage;
        if (!edge->isRelocation() || !edge->getTarget().isExternal()) {
          ++edge;
          continue;
        }
        outcome_.image.references.push_back({block->getFixupAddress(*edge).getValue() - kBase,
                                             edge->getTarget().getName().str(), *type, edge->getAddend()});
        edge = block->removeEdge(edge);
      }
    }
    const std::vector<jitlink::Symbol*> outside(graph.external_symbols().begin(),
                                                graph.external_symbols().end());
    for (jitlink::Symbol* symbol : outside) graph.removeExternalSymbol(*symbol);
    return llvm::Error::success();
  }

  std::span<const std::string> functions_;
  Outcome& outcome_;
  ImageMemory memory_;
};

// The object's .eh_frame as it is, and which functions its entries are for. Code begins with .text.
llvm::Expected<CodeImage::Unwind> unwind_table(llvm::MemoryBufferRef buffer) {
  CodeImage::Unwind unwind;
  auto object = llvm::object::ObjectFile::createELFObjectFile(buffer);
  if (!object) return object.takeError();
  for (const llvm::object::SectionRef& section : (*object)->sections()) {
    auto name = section.getName();
    if (!name) return name.takeError();
    if (*name == ".eh_frame") {
      auto contents = section.getContents();
      if (!contents) return contents.takeError();
      unwind.bytes.assign(contents->begin(), contents->end());
    }
    auto relocated = section.getRelocatedSection();
    if (!relocated) return relocated.takeError();
    if (*relocated == (*object)->section_end()) continue;
    auto relocated_name = (*relocated)->getName();
    if (!relocated_name) return relocated_name.takeError();
    if (*relocated_name != ".eh_frame") continue;
    for (const llvm::object::ELFRelocationRef relocation : section.relocations()) {
      auto symbol = relocation.getSymbol()->getValue();
      if (!symbol) return symbol.takeError();
      auto addend = relocation.getAddend();
      if (!addend) return addend.takeError();
      unwind.functions.push_back({relocation.getOffset(), *symbol + static_cast<uint64_t>(*addend)});
    }
  }
  return unwind;
}

}  // namespace

Result<CodeImage> link_object(llvm::MemoryBufferRef object, std::span<const std::string> functions) {
  Outcome outcome;
  const auto note = [&](llvm::Error error) { outcome.failure = llvm::toString(std::move(error)); };
  auto graph = jitlink::createLinkGraphFromObject(object);
  if (graph) {
    // Unwind tables travel apart: their form in memory is not that of an object. Notes are the writer's.
    for (const char* name : {".eh_frame", ".note.gnu.property"}) {
      if (jitlink::Section* section = (*graph)->findSectionByName(name)) (*graph)->removeSection(*section);
    }
    jitlink::link(std::move(*graph), std::make_unique<LinkContext>(functions, outcome));
  } else {
    note(graph.takeError());
  }
  if (auto unwind = unwind_table(object)) {
    outcome.image.unwind = std::move(*unwind);
  } else {
    note(unwind.takeError());
  }
  if (outcome.failure) {
    return make_error(ErrorCode::kUnavailable, "The LLVM back end can't link its code: " + *outcome.failure);
  }
  return std::move(outcome.image);
}

}  // namespace convsmith::llvm_backend
