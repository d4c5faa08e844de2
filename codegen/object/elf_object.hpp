// A relocatable ELF object: code, read-only data, a few zeroed bytes and unwind tables, with symbols and
// relocations. Written by our own hand because the header <elf.h> is all that it takes; the bytes depend on
// nothing but the contents. Called by the ahead-of-time compiler.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace convsmith::object {

enum class Section : uint8_t { kText, kData, kZero, kUnwind };

struct Symbol {
  std::string name;
  Section section;
  uint64_t offset;
  uint64_t bytes;
  bool global;
  bool function;
};

// At `offset` of `section`: an address relative to it, `addend` behind `target_offset` of another section.
struct Relocation {
  Section section;
  uint64_t offset;
  uint32_t elf_type;
  Section target;
  int64_t target_offset;
};

struct Object {
  std::string
      file;  // what it is called: a linker that finds no name in an object puts in the one it was given
  uint16_t machine = 0;  // EM_X86_64, EM_AARCH64
  std::vector<uint8_t> text;
  uint64_t text_alignment = 64;
  uint64_t text_address = 0;  // where the text already lies, for debuggers
  std::vector<uint8_t> data;  // read-only, aligned to 64
  uint64_t zero_bytes = 0;    // aligned to 4
  std::vector<uint8_t> unwind;
  // Whether all code that is reached through a pointer begins with a mark (endbr64, bti), so that a process
  // may forbid jumps to anything else.
  bool marks_branch_targets = false;
  std::vector<Symbol> symbols;
  std::vector<Relocation> relocations;
};

std::vector<uint8_t> write_elf(const Object& object);

}  // namespace convsmith::object
