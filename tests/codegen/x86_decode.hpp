// Machine code back into facts, by an independent decoder: which instructions there are, whether they
// may be there, where they jump.
#pragma once

#include <Zydis/Zydis.h>

#include <algorithm>
#include <string>
#include <vector>

#include "codegen/target.hpp"
#include "codegen/x86/assemble.hpp"

namespace convsmith::x86_test {

struct Decoded {
  uint32_t offset;
  ZydisDecodedInstruction inst;
  ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];

  std::string mnemonic() const { return ZydisMnemonicGetString(inst.mnemonic); }
};

// All instructions before the constants, in order; empty when some byte is not part of one.
inline std::vector<Decoded> decode(const x86::MachineCode& code) {
  ZydisDecoder decoder;
  ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64);
  std::vector<Decoded> result;
  for (uint32_t at = 0; at < code.constants_offset;) {
    Decoded& d = result.emplace_back();
    d.offset = at;
    const size_t left = code.constants_offset - at;
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, code.bytes.data() + at, left, &d.inst, d.operands))) {
      return {};
    }
    at += d.inst.length;
  }
  return result;
}

inline bool is_allowed(ZydisISASet set, const Target& target) {
  switch (set) {
    case ZYDIS_ISA_SET_I86:
    case ZYDIS_ISA_SET_I186:
    case ZYDIS_ISA_SET_I386:
    case ZYDIS_ISA_SET_LONGMODE:
    case ZYDIS_ISA_SET_CMOV:
    case ZYDIS_ISA_SET_FAT_NOP:
    case ZYDIS_ISA_SET_PPRO:
    case ZYDIS_ISA_SET_BMI2:
    case ZYDIS_ISA_SET_AVX:
    case ZYDIS_ISA_SET_AVX2:
    case ZYDIS_ISA_SET_FMA:
    case ZYDIS_ISA_SET_SSE_PREFETCH:
      return true;
    case ZYDIS_ISA_SET_AVX512F_512:
    case ZYDIS_ISA_SET_AVX512F_KOP:
    case ZYDIS_ISA_SET_AVX512BW_512:
    case ZYDIS_ISA_SET_AVX512BW_KOP:
    case ZYDIS_ISA_SET_AVX512DQ_512:
    case ZYDIS_ISA_SET_AVX512DQ_KOP:
      return target.isa == Isa::kAvx512;
    default:
      return false;
  }
}

// What is wrong with the code, one line each; empty when nothing is.
inline std::vector<std::string> audit(const x86::MachineCode& code, const Target& target) {
  const std::vector<Decoded> all = decode(code);
  if (all.empty()) return {"the bytes before the constants are not a row of instructions"};
  std::vector<std::string> wrong;
  const auto complain = [&](const Decoded& d, const std::string& what) {
    wrong.push_back(what + " at " + std::to_string(d.offset) + ": " + d.mnemonic());
  };
  const auto starts_at = [&](uint64_t offset) {
    return std::any_of(all.begin(), all.end(), [&](const Decoded& d) { return d.offset == offset; });
  };
  for (const Decoded& d : all) {
    // Of the oldest set only the fence, which has no younger form.
    const bool fence = d.inst.mnemonic == ZYDIS_MNEMONIC_SFENCE;
    if (!fence && !is_allowed(d.inst.meta.isa_set, target)) complain(d, "instruction set not allowed");
    const auto category = d.inst.meta.category;
    if (category == ZYDIS_CATEGORY_CALL || category == ZYDIS_CATEGORY_INTERRUPT ||
        category == ZYDIS_CATEGORY_SYSCALL || category == ZYDIS_CATEGORY_SYSTEM) {
      complain(d, "not an instruction of a kernel");
    }
    if ((d.inst.mnemonic == ZYDIS_MNEMONIC_RET) != (&d == &all.back())) complain(d, "return not at the end");
    for (ZyanU8 k = 0; k < d.inst.operand_count; ++k) {
      const ZydisDecodedOperand& op = d.operands[k];
      if (op.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && op.imm.is_relative) {
        if (!starts_at(d.offset + d.inst.length + static_cast<uint64_t>(op.imm.value.s)))
          complain(d, "bad jump");
      }
      if (op.type == ZYDIS_OPERAND_TYPE_MEMORY && op.mem.base == ZYDIS_REGISTER_RIP) {
        const uint64_t at = d.offset + d.inst.length + static_cast<uint64_t>(op.mem.disp.value);
        if (at < code.constants_offset || at + op.size / 8 > code.bytes.size()) complain(d, "bad constant");
      }
    }
  }
  return wrong;
}

}  // namespace convsmith::x86_test
