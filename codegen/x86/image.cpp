#include "codegen/x86/image.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>

#include "codegen/x86/assemble.hpp"
#include "codegen/x86/unwind.hpp"

namespace convsmith::x86 {

Result<CodeImage> assemble_image(std::span<const vir::Program> functions, const Target& target) {
  CodeImage image;
  std::vector<MachineCode> codes;
  for (const vir::Program& function : functions) {
    auto code = assemble(function, target);
    if (!code) return tl::unexpected(code.error());
    // Functions without vectors have no loops that a place could slow down.
    const bool has_vectors = function.registers[static_cast<size_t>(vir::Kind::kVec)] > 0;
    const size_t alignment = has_vectors ? image.alignment : 16;
    const size_t begin = (image.bytes.size() + alignment - 1) / alignment * alignment;
    constexpr uint8_t kTrap = 0xcc;
    image.bytes.resize(begin, kTrap);
    image.bytes.insert(image.bytes.end(), code->bytes.begin(), code->bytes.end());
    image.functions.push_back({begin, code->constants_offset});
    codes.push_back(std::move(*code));
  }
  for (size_t i = 0; i < codes.size(); ++i) {
    for (const NameReference& reference : codes[i].names) {
      const size_t at = image.functions[i].offset + reference.offset;
      const auto callee = std::find_if(functions.begin(), functions.end(), [&](const vir::Program& function) {
        return function.name == reference.name;
      });
      if (callee == functions.end()) {
        image.references.push_back({at, reference.name, R_X86_64_PC32, -4});
        continue;
      }
      const size_t target_offset = image.functions[static_cast<size_t>(callee - functions.begin())].offset;
      const auto distance =
          static_cast<int32_t>(static_cast<int64_t>(target_offset) - static_cast<int64_t>(at + 4));
      std::memcpy(&image.bytes[at], &distance, sizeof distance);
    }
  }
  image.unwind = unwind_table(codes, image.functions);
  return image;
}

}  // namespace convsmith::x86
