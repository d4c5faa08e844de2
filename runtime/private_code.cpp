#include "runtime/private_code.hpp"

#include <sys/mman.h>

#include <cstring>

namespace convsmith {

namespace {

class PrivateKernel final : public Kernel {
 public:
  PrivateKernel(void* memory, const Code& code)
      : memory_(memory),
        bytes_(code.bytes.size()),
        entry_(code.entry),
        function_(reinterpret_cast<KernelFunction>(reinterpret_cast<uintptr_t>(memory) + code.entry)) {}
  ~PrivateKernel() override { munmap(memory_, bytes_); }
  PrivateKernel(const PrivateKernel&) = delete;
  PrivateKernel& operator=(const PrivateKernel&) = delete;

  void run(const KernelArgs& args) const noexcept override { function_(&args); }
  Code code() const override { return {{static_cast<const uint8_t*>(memory_), bytes_}, entry_}; }

 private:
  void* memory_;
  size_t bytes_;
  size_t entry_;
  KernelFunction function_;
};

}  // namespace

std::unique_ptr<Kernel> copy_to_private_memory(const Kernel& kernel) {
  const Kernel::Code code = kernel.code();
  const size_t bytes = code.bytes.size();
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, /*fd=*/-1, /*offset=*/0);
  if (memory == MAP_FAILED) return nullptr;
  std::memcpy(memory, code.bytes.data(), bytes);
  auto copy = std::make_unique<PrivateKernel>(memory, code);
  if (mprotect(memory, bytes, PROT_READ | PROT_EXEC) != 0) return nullptr;
  return copy;
}

}  // namespace convsmith
