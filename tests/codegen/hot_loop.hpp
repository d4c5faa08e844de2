// What the innermost loops that multiply and add are made of, counted in the machine code. Layer
// tests compare it with the register tile: as many fmas as it says, nothing on the stack, no moves.
#pragma once

#include "codegen/vir.hpp"
#include "tests/codegen/x86_decode.hpp"

namespace convsmith::x86_test {

struct HotLoop {
  size_t opener = 0;   // of the loop, in the program
  uint32_t begin = 0;  // its machine code
  uint32_t end = 0;
  int vir_fmas = 0;  // fma operations in the program's loop
  int packed_fmas = 0;
  int scalar_fmas = 0;
  int stack_accesses = 0;
  int vector_moves = 0;  // register to register
  int vector_loads = 0;  // broadcasts and folded operands included
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
  for (ZyanU8 k = 0; k < d.inst.operand_count_visible; ++k) {
    const ZydisDecodedOperand& op = d.operands[k];
    vectors |= op.type == ZYDIS_OPERAND_TYPE_REGISTER && is_vector(op.reg.value);
    if (op.type != ZYDIS_OPERAND_TYPE_MEMORY || op.mem.type != ZYDIS_MEMOP_TYPE_MEM) continue;
    memory = true;
    stores |= k == 0 && vectors == false && (op.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) != 0;
    if (op.mem.base == ZYDIS_REGISTER_RSP) ++loop.stack_accesses;
  }
  if (memory && stores) ++loop.vector_stores;
  if (memory && !stores && vectors) ++loop.vector_loads;
  if (!memory && name.starts_with("vmov") && vectors) ++loop.vector_moves;
}

// One entry for each innermost loop of `program` with an fma in it.
inline std::vector<HotLoop> hot_loops(const x86::MachineCode& code, const vir::Program& program) {
  const std::vector<int32_t> match = vir::match_blocks(program);
  const std::vector<Decoded> all = decode(code);
  std::vector<HotLoop> result;
  for (size_t i = 0; i < program.body.size(); ++i) {
    const auto is_loop = [&](size_t at) {
      return program.body[at].op == vir::Opcode::kLoop || program.body[at].op == vir::Opcode::kWhile;
    };
    if (!is_loop(i)) continue;
    HotLoop loop;
    loop.opener = i;
    bool innermost = true;
    const auto end = static_cast<size_t>(match[i]);
    for (size_t at = i + 1; at < end; ++at) {
      innermost &= !is_loop(at);
      loop.vir_fmas += program.body[at].op == vir::Opcode::kFma ? 1 : 0;
    }
    if (!innermost || loop.vir_fmas == 0) continue;
    for (size_t m = 0; m < code.marks.size(); ++m) {
      const int32_t inst = code.marks[m].inst;
      if (loop.begin == 0 && inst > static_cast<int32_t>(i)) loop.begin = code.marks[m].offset;
      if (inst == static_cast<int32_t>(end)) loop.end = code.marks[m + 1].offset;
    }
    for (const Decoded& d : all) {
      if (d.offset >= loop.begin && d.offset < loop.end) count(d, loop);
    }
    result.push_back(loop);
  }
  return result;
}

}  // namespace convsmith::x86_test
