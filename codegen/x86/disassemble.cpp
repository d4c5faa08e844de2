#include "codegen/x86/disassemble.hpp"

#include <Zydis/Zydis.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>

namespace convsmith::x86 {
namespace {

constexpr int32_t kOutside = -1;

// The blocks of a program by the index of the instruction that opens them.
class Blocks {
 public:
  explicit Blocks(const vir::Program& program)
      : program_(program), around_(program.body.size(), kOutside), has_loop_(program.body.size(), false) {
    std::vector<int32_t> open{kOutside};
    for (size_t i = 0; i < program.body.size(); ++i) {
      const vir::Opcode op = program.body[i].op;
      around_[i] = open.back();
      if (vir::is_loop(op)) {
        for (const int32_t block : open) {
          if (block != kOutside) has_loop_[static_cast<size_t>(block)] = true;
        }
      }
      if (vir::opens_block(op)) open.push_back(static_cast<int32_t>(i));
      if (op == vir::Opcode::kEnd && open.size() > 1) open.pop_back();
    }
  }

  // The block that holds an instruction: its `end` lies inside, what opens it outside.
  int32_t around(int32_t inst) const { return around_[static_cast<size_t>(inst)]; }

  int depth(int32_t block) const { return block == kOutside ? 0 : 1 + depth(around(block)); }

  std::string path(int32_t block) const {
    if (block == kOutside) return "";
    const vir::Inst& inst = program_.body[static_cast<size_t>(block)];
    const std::string_view label = vir::label_of(program_, inst);
    const std::string own = fmt::format("{}{}{}", vir::info(inst.op).text, label.empty() ? "" : " ", label);
    const std::string outer = path(around(block));
    return outer.empty() ? own : outer + " > " + own;
  }

  // The innermost loop that an instruction of `block` runs in, if that loop has no loops inside.
  int32_t innermost(int32_t block) const {
    while (block != kOutside && !vir::is_loop(program_.body[static_cast<size_t>(block)].op))
      block = around(block);
    return block != kOutside && !has_loop_[static_cast<size_t>(block)] ? block : kOutside;
  }

 private:
  const vir::Program& program_;
  std::vector<int32_t> around_;
  std::vector<bool> has_loop_;
};

class Printer {
 public:
  Printer(const vir::Program& program, const MachineCode& code) : blocks_(program), code_(code) {
    ZydisDecoderInit(&decoder_, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
    ZydisFormatterInit(&formatter_, ZYDIS_FORMATTER_STYLE_INTEL);
    for (const ZydisFormatterProperty padding :
         {ZYDIS_FORMATTER_PROP_ADDR_PADDING_ABSOLUTE, ZYDIS_FORMATTER_PROP_ADDR_PADDING_RELATIVE,
          ZYDIS_FORMATTER_PROP_DISP_PADDING, ZYDIS_FORMATTER_PROP_IMM_PADDING}) {
      ZydisFormatterSetProperty(&formatter_, padding, ZYDIS_PADDING_DISABLED);
    }
    result_.code_bytes = code.bytes.size();
    result_.constant_bytes = code.bytes.size() - code.constants_offset;
  }

  Disassembly run() {
    for (uint32_t at = 0; at < code_.constants_offset;) {
      enter(at);
      at += instruction(at);
    }
    if (result_.constant_bytes > 0) {
      print(0,
            fmt::format("; {} bytes of constants from {:x}", result_.constant_bytes, code_.constants_offset));
    }
    return std::move(result_);
  }

 private:
  void print(int depth, std::string_view line) {
    fmt::format_to(std::back_inserter(result_.text), "{:{}}{}\n", "", 2 * depth, line);
  }

  // Prints a heading where the instruction at `offset` belongs elsewhere than the one before it.
  void enter(uint32_t offset) {
    while (next_mark_ < code_.marks.size() && code_.marks[next_mark_].offset <= offset) ++next_mark_;
    const int32_t inst = next_mark_ > 0 ? code_.marks[next_mark_ - 1].inst : CodeMark::kPrologue;
    block_ = inst >= 0 ? blocks_.around(inst) : kOutside;
    std::string place = blocks_.path(block_);
    if (inst == CodeMark::kPrologue) place = "prologue";
    if (inst == CodeMark::kEpilogue) place = "epilogue";
    if (place.empty()) place = "outside of loops";
    if (place == place_) return;
    place_ = std::move(place);
    print(blocks_.depth(block_), "; " + place_);
  }

  // Prints one instruction and returns its length.
  uint32_t instruction(uint32_t at) {
    ZydisDecodedInstruction inst;
    std::array<ZydisDecodedOperand, ZYDIS_MAX_OPERAND_COUNT> operands;
    std::array<char, 160> text{};
    const uint8_t* const bytes = code_.bytes.data() + at;
    if (!ZYAN_SUCCESS(
            ZydisDecoderDecodeFull(&decoder_, bytes, code_.constants_offset - at, &inst, operands.data()))) {
      print(blocks_.depth(block_), fmt::format("{:5x}  db 0x{:02x}", at, *bytes));
      return 1;
    }
    ZydisFormatterFormatInstruction(&formatter_, &inst, operands.data(), inst.operand_count_visible,
                                    text.data(), text.size(), at, ZYAN_NULL);
    print(blocks_.depth(block_), fmt::format("{:5x}  {}", at, text.data()));
    count(text.data());
    return inst.length;
  }

  void count(std::string_view text) {
    const int32_t loop = blocks_.innermost(block_);
    if (loop == kOutside) return;
    auto known = std::find(loops_.begin(), loops_.end(), loop);
    if (known == loops_.end()) {
      known = loops_.insert(known, loop);
      result_.loops.push_back({blocks_.path(loop)});
    }
    InnermostLoop& row = result_.loops[static_cast<size_t>(known - loops_.begin())];
    ++row.instructions;
    if (text.starts_with("vfmadd")) ++row.fmas;
  }

  Blocks blocks_;
  const MachineCode& code_;
  ZydisDecoder decoder_{};
  ZydisFormatter formatter_{};
  Disassembly result_;
  size_t next_mark_ = 0;
  int32_t block_ = kOutside;
  std::string place_;
  std::vector<int32_t> loops_;  // parallel to result_.loops
};

}  // namespace

Disassembly disassemble(const vir::Program& program, const MachineCode& code) {
  return Printer(program, code).run();
}

}  // namespace convsmith::x86
