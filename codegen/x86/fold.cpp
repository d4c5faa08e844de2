#include "codegen/x86/fold.hpp"

#include "codegen/x86/operands.hpp"

namespace convsmith::x86 {

namespace {

using vir::Inst;
using vir::Kind;
using vir::Opcode;

// May operand `k` of `op` be a memory operand? (Operands of commutative operations are exchanged, and
// comparisons turned round.)
bool takes_memory(Opcode op, size_t k) {
  switch (op) {
    case Opcode::kFma:
    case Opcode::kAdd:
    case Opcode::kMul:
    case Opcode::kAnd:
    case Opcode::kOr:
    case Opcode::kXor:
    case Opcode::kAdd32:
    case Opcode::kLess:
    case Opcode::kLessEqual:
    case Opcode::kEqual:
    case Opcode::kUnordered:
      return true;
    case Opcode::kSub:
    case Opcode::kDiv:
    case Opcode::kMax:
    case Opcode::kMin:
    case Opcode::kSub32:
    case Opcode::kSelect:
      return k == 2;
    default:
      return false;
  }
}

// Can the value that `inst` makes be the memory operand of another instruction?
bool is_memory_value(const Inst& inst, const Target& target) {
  switch (inst.op) {
    case Opcode::kLoad:
      return true;
    case Opcode::kBcast:
      return target.mask_registers;  // AVX-512 broadcasts memory operands
    case Opcode::kConst:
      return inst.imm != 0;  // zero is cheaper made than loaded
    default:
      return false;
  }
}

// The reads of the value that one instruction makes, as far as they are in its basic block.
struct Reads {
  uint32_t count = 0;
  size_t reader = 0;
};

struct Register {
  size_t block = 0;      // the basic block of its last write
  size_t writer = 0;     // that write
  bool crosses = false;  // some read gets its value from another basic block
};

// An integer constant that nothing but the `if` behind it reads.
void fold_bounds(const vir::Program& program, std::vector<Fold>& folds) {
  const std::vector<Inst>& body = program.body;
  std::vector<uint32_t> uses(program.registers[static_cast<size_t>(Kind::kInt)]);
  for (const Inst& inst : body) {
    const Operands& operands = operands_of(inst.op);
    for (size_t k = 0; k < operands.count; ++k) {
      if (operands.kind[k] == Kind::kInt) ++uses[inst.regs[k]];
    }
  }
  for (size_t i = 1; i < body.size(); ++i) {
    const Inst& constant = body[i - 1];
    if (body[i].op != Opcode::kIf || constant.op != Opcode::kIntConst || uses[constant.regs[0]] != 2)
      continue;
    if (constant.imm != static_cast<int32_t>(constant.imm) || body[i].regs[0] == body[i].regs[1]) continue;
    for (uint8_t k = 0; k < 2; ++k) {
      if (body[i].regs[k] != constant.regs[0]) continue;
      folds[i].source = static_cast<int32_t>(i - 1);
      folds[i].operand = k;
      folds[i - 1].gone = true;
    }
  }
}

}  // namespace

std::vector<Fold> fold_operands(const vir::Program& program, const Target& target) {
  const std::vector<Inst>& body = program.body;
  std::vector<Fold> folds(body.size());
  std::vector<Reads> reads(body.size());
  std::vector<Register> registers(program.registers[static_cast<size_t>(Kind::kVec)]);

  size_t block = 1;
  for (size_t i = 0; i < body.size(); ++i) {
    if (vir::opens_block(body[i].op) || body[i].op == Opcode::kEnd) ++block;
    const Operands& operands = operands_of(body[i].op);
    for (size_t k = 0; k < operands.count; ++k) {
      if (operands.kind[k] != Kind::kVec || !operands.read[k]) continue;
      Register& reg = registers[body[i].regs[k]];
      if (reg.block == block) {
        ++reads[reg.writer].count;
        reads[reg.writer].reader = i;
      } else {
        reg.crosses = true;
      }
    }
    if (operands.count == 0 || operands.kind[0] != Kind::kVec || !operands.written[0]) continue;
    registers[body[i].regs[0]].block = block;
    registers[body[i].regs[0]].writer = i;
  }

  for (size_t i = 0; i < body.size(); ++i) {
    if (!is_memory_value(body[i], target)) continue;
    const uint16_t id = body[i].regs[0];
    const auto [count, reader] = reads[i];
    if (count != 1 || registers[id].crosses || folds[reader].source >= 0) continue;
    if (body[i].op != Opcode::kConst && reader != i + 1) continue;
    const Operands& operands = operands_of(body[reader].op);
    for (size_t k = 0; k < operands.count; ++k) {
      if (operands.kind[k] != Kind::kVec || !operands.read[k] || body[reader].regs[k] != id) continue;
      if (!takes_memory(body[reader].op, k)) continue;
      folds[reader].source = static_cast<int32_t>(i);
      folds[reader].operand = static_cast<uint8_t>(k);
      folds[i].gone = true;
    }
  }
  fold_bounds(program, folds);
  return folds;
}

}  // namespace convsmith::x86
