#include "codegen/machine_kernel.hpp"

#include <cstring>
#include <utility>

namespace convsmith {

namespace {

class MachineKernel final : public Kernel {
 public:
  MachineKernel(CodeBlock block, size_t entry)
      : block_(std::move(block)),
        entry_(entry),
        function_(
            reinterpret_cast<KernelFunction>(reinterpret_cast<uintptr_t>(block_.execute_view() + entry))) {}

  void run(const KernelArgs& args) const noexcept override { function_(&args); }
  Code code() const override {
    return {{reinterpret_cast<const uint8_t*>(block_.execute_view()), block_.size()}, entry_};
  }

 private:
  CodeBlock block_;
  size_t entry_;
  KernelFunction function_;
};

}  // namespace

Result<std::unique_ptr<Kernel>> publish(CodeMemory& memory, std::span<const uint8_t> code, size_t entry) {
  Result<CodeBlock> block = memory.allocate(code.size());
  if (!block) return tl::unexpected<Error>(std::move(block.error()));
  std::memcpy(block->write_view(), code.data(), code.size());
  if (auto sealed = block->seal(); !sealed) return tl::unexpected<Error>(std::move(sealed.error()));
  return std::make_unique<MachineKernel>(std::move(*block), entry);
}

}  // namespace convsmith
