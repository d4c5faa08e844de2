#include "codegen/x86/fold.hpp"

#include "codegen/vir_operands.hpp"

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

// A value that could be a memory operand, and its reads as far as they are in its basic block.
struct Candidate {
  size_t writer;
  size_t reader = 0;
  uint32_t reads = 0;
};

// Of a vector register.
struct Register {
  size_t block = 0;             // the basic block of its last write
  size_t candidate = kNothing;  // what that wrote
  bool crosses = false;         // some read gets its value from another basic block

  static constexpr size_t kNothing = SIZE_MAX;
};

class Folding {
 public:
  Folding(const vir::Program& program, const Target& target)
      : body_(program.body),
        target_(target),
        folds_(body_.size()),
        vectors_(program.registers[static_cast<size_t>(Kind::kVec)]),
        integer_uses_(program.registers[static_cast<size_t>(Kind::kInt)]) {
    candidates_.reserve(vectors_.size());
    bounded_.reserve(integer_uses_.size());
  }

  std::vector<Fold> run() {
    find_candidates();
    for (const Candidate& candidate : candidates_) {
      if (candidate.reads == 1) fold_value(candidate.writer, candidate.reader);
    }
    for (const size_t at : bounded_) fold_bound(at);
    return std::move(folds_);
  }

 private:
  void find_candidates() {
    size_t block = 1;
    for (size_t i = 0; i < body_.size(); ++i) {
      const Inst& inst = body_[i];
      if (vir::opens_block(inst.op) || inst.op == Opcode::kEnd) ++block;
      if (inst.op == Opcode::kIf && i > 0 && body_[i - 1].op == Opcode::kIntConst) bounded_.push_back(i);
      const vir::Operands& operands = vir::operands_of(inst.op);
      for (size_t k = 0; k < operands.count; ++k) {
        if (operands.kind[k] == Kind::kInt) {
          ++integer_uses_[inst.regs[k]];
        } else if (operands.kind[k] == Kind::kVec && k >= operands.first_read) {
          read(vectors_[inst.regs[k]], i, block);
        }
      }
      if (operands.kind[0] != Kind::kVec || !operands.makes_value()) continue;
      Register& written = vectors_[inst.regs[0]];
      written.block = block;
      written.candidate = Register::kNothing;
      if (!is_memory_value(inst, target_)) continue;
      written.candidate = candidates_.size();
      candidates_.push_back({i});
    }
  }

  void read(Register& reg, size_t reader, size_t block) {
    if (reg.block != block) {
      reg.crosses = true;
    } else if (reg.candidate != Register::kNothing) {
      candidates_[reg.candidate].reader = reader;
      ++candidates_[reg.candidate].reads;
    }
  }

  void fold_value(size_t writer, size_t reader) {
    const uint16_t id = body_[writer].regs[0];
    if (vectors_[id].crosses || folds_[reader].source >= 0) return;
    if (body_[writer].op != Opcode::kConst && reader != writer + 1) return;
    const vir::Operands& operands = vir::operands_of(body_[reader].op);
    for (size_t k = operands.first_read; k < operands.count; ++k) {
      if (operands.kind[k] != Kind::kVec || body_[reader].regs[k] != id) continue;
      if (!takes_memory(body_[reader].op, k)) continue;
      folds_[reader].source = static_cast<int32_t>(writer);
      folds_[reader].operand = static_cast<uint8_t>(k);
      folds_[writer].gone = true;
    }
  }

  // An integer constant that nothing but the `if` behind it reads.
  void fold_bound(size_t at) {
    const Inst& inst = body_[at];
    const Inst& constant = body_[at - 1];
    if (integer_uses_[constant.regs[0]] != 2 || inst.regs[0] == inst.regs[1]) return;
    if (constant.imm != static_cast<int32_t>(constant.imm)) return;
    for (uint8_t k = 0; k < 2; ++k) {
      if (inst.regs[k] != constant.regs[0]) continue;
      folds_[at].source = static_cast<int32_t>(at - 1);
      folds_[at].operand = k;
      folds_[at - 1].gone = true;
    }
  }

  const std::vector<Inst>& body_;
  const Target& target_;
  std::vector<Fold> folds_;
  std::vector<Register> vectors_;
  std::vector<uint32_t> integer_uses_;
  std::vector<Candidate> candidates_;
  std::vector<size_t> bounded_;  // `if`s behind an integer constant
};

}  // namespace

std::vector<Fold> fold_operands(const vir::Program& program, const Target& target) {
  return Folding(program, target).run();
}

}  // namespace convsmith::x86
