// Machine code that has no address yet: what both machine code back ends make of vir functions. Position
// independent: it runs wherever it is put at a multiple of `alignment`, once its references to data outside
// are filled in. Code of a process is published in code memory (machine_kernel); ahead of time it goes into
// an object file (object/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace convsmith {

struct CodeImage {
  // Where an address outside is put in. kinds are those of ELF.
  struct Reference {
    size_t offset;
    std::string name;
    uint32_t elf_type;  // R_X86_64_PC32 and the like
    int64_t addend;
  };
  // One .eh_frame section: how debuggers and profilers unwind. `functions` are the places in `bytes` of
  // 32-bit distances to a function, by its offset in the code.
  struct Unwind {
    struct Place {
      size_t offset;
      size_t function;
    };
    std::vector<uint8_t> bytes;
    std::vector<Place> functions;
  };

  std::vector<uint8_t> bytes;  // code and its constants
  size_t alignment = 64;
  // By function: where it begins, and its size without constants.
  struct Function {
    size_t offset;
    size_t bytes;
  };
  std::vector<Function> functions;
  // Functions that the back end has added, by name.
  std::vector<std::pair<std::string, Function>> helpers;
  std::vector<Reference> references;
  Unwind unwind;
};

}  // namespace convsmith
