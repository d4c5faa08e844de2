#include "codegen/object/elf_object.hpp"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace convsmith::object {

namespace {

#ifndef SHT_X86_64_UNWIND
#define SHT_X86_64_UNWIND 0x70000001
#endif

// Numbers of the sections in the file. In the symbol table, section symbols stand behind the file's, in the
// same order.
enum : uint16_t {
  kNone,
  kText,
  kData,
  kZero,
  kUnwind,
  kTextRelocations,
  kUnwindRelocations,
  kStack,
  kProperties,
  kSymbols,
  kStrings,
  kNames,
  kSections
};

uint16_t number_of(Section section) {
  return static_cast<uint16_t>(kText + static_cast<int>(section));
}

class Strings {
 public:
  uint32_t add(const std::string& text) {
    const auto at = static_cast<uint32_t>(bytes_.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    bytes_.push_back(0);
    return at;
  }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_ = {0};
};

template <class T>
void append(std::vector<uint8_t>& bytes, const T& value) {
  const auto* begin = reinterpret_cast<const uint8_t*>(&value);
  bytes.insert(bytes.end(), begin, begin + sizeof value);
}

std::vector<uint8_t> relocations_in(const Object& object, Section section) {
  std::vector<uint8_t> bytes;
  for (const Relocation& relocation : object.relocations) {
    if (relocation.section != section) continue;
    append(bytes, Elf64_Rela{relocation.offset,
                             ELF64_R_INFO(uint64_t{number_of(relocation.target) + 1U}, relocation.elf_type),
                             relocation.target_offset});
  }
  return bytes;
}

struct SymbolTable {
  std::vector<uint8_t> bytes;
  uint32_t first_global;
};

// Local symbols must come before global ones.
SymbolTable symbol_table(const Object& object, Strings& strings) {
  SymbolTable table{};
  append(table.bytes, Elf64_Sym{});
  append(table.bytes,
         Elf64_Sym{strings.add(object.file), ELF64_ST_INFO(STB_LOCAL, STT_FILE), 0, SHN_ABS, 0, 0});
  for (uint16_t section = kText; section <= kUnwind; ++section)
    append(table.bytes, Elf64_Sym{0, ELF64_ST_INFO(STB_LOCAL, STT_SECTION), 0, section, 0, 0});
  for (const bool global : {false, true}) {
    if (global) table.first_global = static_cast<uint32_t>(table.bytes.size() / sizeof(Elf64_Sym));
    for (const Symbol& symbol : object.symbols) {
      if (symbol.global != global) continue;
      append(table.bytes,
             Elf64_Sym{strings.add(symbol.name),
                       static_cast<unsigned char>(ELF64_ST_INFO(global ? STB_GLOBAL : STB_LOCAL,
                                                                symbol.function ? STT_FUNC : STT_OBJECT)),
                       STV_DEFAULT, number_of(symbol.section), symbol.offset, symbol.bytes});
    }
  }
  return table;
}

// What linkers and loaders ask of every object before they forbid jumps into the middle of code.
std::vector<uint8_t> branch_properties(uint16_t machine) {
  const bool is_arm = machine == EM_AARCH64;
  const uint32_t words[] = {4,  // bytes of the name
                            16,
                            NT_GNU_PROPERTY_TYPE_0,
                            0x00554e47,  // "GNU"
                            is_arm ? GNU_PROPERTY_AARCH64_FEATURE_1_AND : GNU_PROPERTY_X86_FEATURE_1_AND,
                            4,
                            is_arm ? GNU_PROPERTY_AARCH64_FEATURE_1_BTI
                                   : GNU_PROPERTY_X86_FEATURE_1_IBT | GNU_PROPERTY_X86_FEATURE_1_SHSTK,
                            0};
  std::vector<uint8_t> bytes;
  for (const uint32_t word : words) append(bytes, word);
  return bytes;
}

class File {
 public:
  File() : bytes_(sizeof(Elf64_Ehdr), 0), headers_(kSections) {}

  Elf64_Shdr& header(uint16_t section) { return headers_[section]; }

  void section(uint16_t number, const char* name, uint32_t type, uint64_t flags, uint64_t alignment,
               const std::vector<uint8_t>& contents) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment, 0);
    Elf64_Shdr& h = headers_[number];
    h.sh_name = names_.add(name);
    h.sh_type = type;
    h.sh_flags = flags;
    h.sh_addralign = alignment;
    h.sh_offset = bytes_.size();
    h.sh_size = contents.size();
    bytes_.insert(bytes_.end(), contents.begin(), contents.end());
  }

  std::vector<uint8_t> finish(uint16_t machine) {
    const uint32_t own = names_.add(".shstrtab");
    section(kNames, "", SHT_STRTAB, 0, 1, names_.bytes());
    headers_[kNames].sh_name = own;
    bytes_.resize((bytes_.size() + 7) / 8 * 8, 0);
    Elf64_Ehdr head{};
    std::memcpy(head.e_ident, ELFMAG, SELFMAG);
    head.e_ident[EI_CLASS] = ELFCLASS64;
    head.e_ident[EI_DATA] = ELFDATA2LSB;
    head.e_ident[EI_VERSION] = EV_CURRENT;
    head.e_type = ET_REL;
    head.e_machine = machine;
    head.e_version = EV_CURRENT;
    head.e_shoff = bytes_.size();
    head.e_ehsize = sizeof head;
    head.e_shentsize = sizeof(Elf64_Shdr);
    head.e_shnum = kSections;
    head.e_shstrndx = kNames;
    std::memcpy(bytes_.data(), &head, sizeof head);
    for (const Elf64_Shdr& h : headers_) append(bytes_, h);
    return std::move(bytes_);
  }

 private:
  std::vector<uint8_t> bytes_;
  std::vector<Elf64_Shdr> headers_;
  Strings names_;
};

}  // namespace

std::vector<uint8_t> write_elf(const Object& object) {
  File file;
  Strings strings;
  const SymbolTable symbols = symbol_table(object, strings);
  const uint32_t unwind_type = object.machine == EM_X86_64 ? SHT_X86_64_UNWIND : SHT_PROGBITS;
  file.section(kText, ".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, object.text_alignment, object.text);
  file.header(kText).sh_addr = object.text_address;
  file.section(kData, ".rodata", SHT_PROGBITS, SHF_ALLOC, 64, object.data);
  file.section(kZero, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 4, {});
  file.header(kZero).sh_size = object.zero_bytes;
  file.section(kUnwind, ".eh_frame", unwind_type, SHF_ALLOC, 8, object.unwind);
  const auto relocations = [&](uint16_t number, const char* name, Section section) {
    file.section(number, name, SHT_RELA, SHF_INFO_LINK, 8, relocations_in(object, section));
    Elf64_Shdr& h = file.header(number);
    h.sh_link = kSymbols;
    h.sh_info = number_of(section);
    h.sh_entsize = sizeof(Elf64_Rela);
  };
  relocations(kTextRelocations, ".rela.text", Section::kText);
  relocations(kUnwindRelocations, ".rela.eh_frame", Section::kUnwind);
  file.section(kStack, ".note.GNU-stack", SHT_PROGBITS, 0, 1, {});  // the stack need not be executable
  if (object.marks_branch_targets)
    file.section(kProperties, ".note.gnu.property", SHT_NOTE, SHF_ALLOC, 8,
                 branch_properties(object.machine));
  file.section(kSymbols, ".symtab", SHT_SYMTAB, 0, 8, symbols.bytes);
  file.header(kSymbols).sh_link = kStrings;
  file.header(kSymbols).sh_info = symbols.first_global;
  file.header(kSymbols).sh_entsize = sizeof(Elf64_Sym);
  file.section(kStrings, ".strtab", SHT_STRTAB, 0, 1, strings.bytes());
  return file.finish(object.machine);
}

}  // namespace convsmith::object
