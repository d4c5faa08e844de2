// What the innermost loops that multiply and add are made of, counted in the machine code. Layer
// tests compare it with the register tile: as many fmas as it says, nothing on the stack, no moves.
#pragma once

#include "codegen/vir/vir.hpp"
#include "tests/codegen/x86_decode.hpp"

namespace convsmith::x86_test {

struct HotLoop {
  size_t opener = 0;   // of the loop or block, in the program
  uint32_t begin = 0;  // its machine code
  uint32_t end = 0;
  int vir_fmas = 0;  // fma operations in the program's loop
  int packed_fmas = 0;
  int scalar_fmas = 0;
  int stack_accesses = 0;
  int vector_spills = 0;  // those of vector instructions
  int vector_moves = 0;   // register to register
  int vector_loads = 0;   // broadcasts and folded operands included
  int vector_stores = 0;
  int instructions = 0;
};

inline bool is_vector(ZydisRegister reg) {
  const ZydisRegisterClass c = ZydisRegisterGetClass(reg);
  return c == ZYDIS_REGCLASS_XMM || c == ZYDIS_REGCLASS_YMM || c == ZYDIS_REGCLASS_ZMM;
}

inline void count(const Decoded& d, HotLoop& loop) {
  ++loop.instructions;
  const std::string name = d.mnemonic();
  if (name.starts_with("vfmadd")) ++(name.ends_with("ps") ? loop.packed_fmas : loop.scalar_fmas);
  bool vectors = false;
  bool memory = false;
  bool stores = false;
  bool stack = false;
  for (ZyanU8 k = 0; k < d.inst.operand_count_visible; ++k) {
    const ZydisDecodedOperand& op = d.operands[k];
    vectors |= op.type == ZYDIS_OPERAND_TYPE_REGISTER && is_vector(op.reg.value);
    if (op.type != ZYDIS_OPERAND_TYPE_MEMORY || op.mem.type != ZYDIS_MEMOP_TYPE_MEM) continue;
    memory = true;
    stores |= k == 0 && vectors == false && (op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    stack |= op.mem.base == ZYDIS_REGISTER_RSP;
  }
  if (stack) ++loop.stack_accesses;
  if (stack && vectors) ++loop.vector_spills;
  if (memory && stores) ++loop.vector_stores;
  if (memory && !stores && vectors) ++loop.vector_loads;
  if (!memory && name.starts_with("vmov") && vectors) ++loop.vector_moves;
}

// What the block that opens at `opener` holds.
inline HotLoop measure_block(const x86::MachineCode& code, const vir::Program& program,
                             const std::vector<Decoded>& all, size_t opener, size_t end) {
  HotLoop block;
  block.opener = opener;
  for (size_t at = opener + 1; at < end; ++at)
    block.vir_fmas += program.body[at].op == vir::Opcode::kFma ? 1 : 0;
  for (size_t m = 0; m < code.marks.size(); ++m) {
    const int32_t inst = code.marks[m].inst;
    if (block.begin == 0 && inst > static_cast<int32_t>(opener)) block.begin = code.marks[m].offset;
    if (inst == static_cast<int32_t>(end)) block.end = code.marks[m + 1].offset;
  }
  for (const Decoded& d : all) {
    if (d.offset >= block.begin && d.offset < block.end) count(d, block);
  }
  return block;
}

// One entry for each innermost loop of `program` with an fma in it.
inline std::vector<HotLoop> hot_loops(const x86::MachineCode& code, const vir::Program& program) {
  const std::vector<int32_t> match = vir::match_blocks(program);
  const std::vector<Decoded> all = decode(code);
  const auto is_loop = [](const vir::Inst& inst) {
    return inst.op == vir::Opcode::kLoop || inst.op == vir::Opcode::kWhile;
  };
  std::vector<HotLoop> result;
  for (size_t i = 0; i < program.body.size(); ++i) {
    if (!is_loop(program.body[i])) continue;
    const auto inner = program.body.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    if (std::any_of(inner, program.body.begin() + match[i], is_loop)) continue;
    const HotLoop loop = measure_block(code, program, all, i, static_cast<size_t>(match[i]));
    if (loop.vir_fmas > 0) result.push_back(loop);
  }
  return result;
}

// One entry for each block or loop of `program` that is called `label`.
inline std::vector<HotLoop> blocks_called(const x86::MachineCode& code, const vir::Program& program,
                                          std::string_view label) {
  const std::vector<int32_t> match = vir::match_blocks(program);
  const std::vector<Decoded> all = decode(code);
  std::vector<HotLoop> result;
  for (size_t i = 0; i < program.body.size(); ++i) {
    const vir::Inst& inst = program.body[i];
    if (vir::opens_block(inst.op) && vir::label_of(program, inst) == label)
      result.push_back(measure_block(code, program, all, i, static_cast<size_t>(match[i])));
  }
  return result;
}

}  // namespace convsmith::x86_test
