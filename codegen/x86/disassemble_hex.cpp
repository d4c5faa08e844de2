// What disassemble does in a build without Zydis: bytes, as objdump -b binary takes them.
#include <fmt/format.h>

#include <iterator>

#include "codegen/x86/disassemble.hpp"

namespace convsmith::x86 {

Disassembly disassemble(const vir::Program&, const MachineCode& code) {
  Disassembly result;
  result.code_bytes = code.bytes.size();
  result.constant_bytes = code.bytes.size() - code.constants_offset;
  for (size_t i = 0; i < code.bytes.size(); ++i) {
    fmt::format_to(std::back_inserter(result.text), "{:02x}{}", code.bytes[i], i % 32 == 31 ? '\n' : ' ');
  }
  return result;
}

}  // namespace convsmith::x86
