#include "codegen/x86/unwind.hpp"

#include <array>

#include "codegen/x86/regalloc.hpp"

namespace convsmith::x86 {

namespace {

constexpr uint8_t kAdvance = 0x40;   // DW_CFA_advance_loc, distance in the low bits
constexpr uint8_t kAdvance4 = 0x04;  // DW_CFA_advance_loc4
constexpr uint8_t kOffset = 0x80;    // DW_CFA_offset, register in the low bits
constexpr uint8_t kDistance = 0x0e;  // DW_CFA_def_cfa_offset
constexpr uint8_t kBase = 0x0c;      // DW_CFA_def_cfa
constexpr uint8_t kRelative = 0x1b;  // DW_EH_PE_pcrel | DW_EH_PE_sdata4
constexpr uint8_t kReturnAddress = 16;
constexpr uint8_t kRspNumber = 7;

// DWARF numbers of rax rcx rdx rbx rsp rbp rsi rdi; from r8 on they are the hardware's.
constexpr std::array<uint8_t, 8> kNumbers = {0, 2, 1, 3, 7, 6, 4, 5};
uint8_t dwarf_number(int reg) {
  return static_cast<uint8_t>(reg < 8 ? kNumbers[static_cast<size_t>(reg)] : reg);
}

class Table {
 public:
  void byte(uint8_t b) { bytes_.push_back(b); }
  void word(uint32_t w) {
    for (int shift = 0; shift < 32; shift += 8) byte(static_cast<uint8_t>(w >> shift));
  }
  void leb(uint32_t n) {
    for (; n >= 0x80; n >>= 7) byte(static_cast<uint8_t>(n | 0x80));
    byte(static_cast<uint8_t>(n));
  }
  size_t size() const { return bytes_.size(); }

  // An entry is its length, then what `body` appends, filled up to a multiple of 8.
  template <class Body>
  void entry(Body&& body) {
    const size_t begin = size();
    word(0);
    body();
    while ((size() - begin) % 8 != 0) byte(0);  // DW_CFA_nop
    const auto length = static_cast<uint32_t>(size() - begin - 4);
    for (size_t i = 0; i < 4; ++i) bytes_[begin + i] = static_cast<uint8_t>(length >> (8 * i));
  }
  std::vector<uint8_t> take() { return std::move(bytes_); }

 private:
  std::vector<uint8_t> bytes_;
};

void write_steps(Table& table, const std::vector<FrameStep>& steps) {
  uint32_t at = 0;
  for (const FrameStep& step : steps) {
    const uint32_t distance = step.offset - at;
    if (distance < 0x40) {
      table.byte(static_cast<uint8_t>(kAdvance | distance));
    } else {
      table.byte(kAdvance4);
      table.word(distance);
    }
    at = step.offset;
    table.byte(kDistance);
    table.leb(static_cast<uint32_t>(step.distance));
    if (step.pushed < 0) continue;
    table.byte(static_cast<uint8_t>(kOffset | dwarf_number(step.pushed)));
    table.leb(static_cast<uint32_t>(step.distance) / 8);
  }
}

}  // namespace

CodeImage::Unwind unwind_table(std::span<const MachineCode> codes,
                               std::span<const CodeImage::Function> functions) {
  Table table;
  CodeImage::Unwind unwind;
  table.entry([&] {  // what holds for all functions
    table.word(0);
    table.byte(1);  // version
    for (const char c : {'z', 'R', '\0'}) table.byte(static_cast<uint8_t>(c));
    table.leb(1);      // code alignment
    table.byte(0x78);  // data alignment, -8
    table.byte(kReturnAddress);
    table.leb(1);
    table.byte(kRelative);
    table.byte(kBase);
    table.leb(kRspNumber);
    table.leb(8);
    table.byte(kOffset | kReturnAddress);
    table.leb(1);
  });
  for (size_t i = 0; i < codes.size(); ++i) {
    table.entry([&] {
      table.word(static_cast<uint32_t>(table.size()));  // back to the common entry
      unwind.functions.push_back({table.size(), functions[i].offset});
      table.word(0);
      table.word(static_cast<uint32_t>(functions[i].bytes));
      table.leb(0);
      write_steps(table, codes[i].frame);
    });
  }
  unwind.bytes = table.take();
  return unwind;
}

}  // namespace convsmith::x86
