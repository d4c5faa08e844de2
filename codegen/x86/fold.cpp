#include "codegen/x86/fold.hpp"

#include "codegen/vir/operands.hpp"

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

class Folding {
 public:
  Folding(const vir::Program& program, const Target& target)
      : body_(program.body),
        target_(target),
        numbers_(program),
        folds_(body_.size()),
        uses_(numbers_.count()) {}

  std::vector<Fold> run() {
    count_uses();
    for (size_t i = 0; i + 1 < body_.size(); ++i) {
      switch (body_[i].op) {
        case Opcode::kLoad:
          fold_value(i, i + 1);
          break;
        case Opcode::kBcast:
          if (target_.mask_registers) fold_value(i, i + 1);  // AVX-512 broadcasts memory operands
          break;
        case Opcode::kConst:
          fold_constant(i);
          break;
        case Opcode::kIntConst:
          if (body_[i + 1].op == Opcode::kIf) fold_bound(i + 1);
          break;
        default:
          break;
      }
    }
    return std::move(folds_);
  }

 private:
  struct Uses {
    uint32_t reads = 0;
    uint32_t writes = 0;
  };

  void count_uses() {
    for (const Inst& inst : body_) {
      const vir::Operands& operands = vir::operands_of(inst.op);
      for (size_t k = operands.first_read; k < operands.count; ++k)
        ++uses_[numbers_.of(inst, operands, k)].reads;
      if (operands.makes_value()) ++uses_[numbers_.of(inst, operands, 0)].writes;
    }
  }

  bool is_read_once(Kind kind, uint16_t id) const {
    const Uses& uses = uses_[numbers_.first_of(kind) + id];
    return uses.reads == 1 && uses.writes == 1;
  }

  void fold_constant(size_t writer) {
    const Inst& constant = body_[writer];
    // Zero is cheaper made than loaded.
    if (constant.imm == 0 || !is_read_once(Kind::kVec, constant.regs[0])) return;
    for (size_t i = writer + 1; i < body_.size(); ++i) {
      if (vir::opens_block(body_[i].op) || body_[i].op == Opcode::kEnd) return;
      if (fold_value(writer, i)) return;
    }
  }

  // Whether `reader` takes it.
  bool fold_value(size_t writer, size_t reader) {
    const uint16_t id = body_[writer].regs[0];
    const vir::Operands& operands = vir::operands_of(body_[reader].op);
    for (size_t k = operands.first_read; k < operands.count; ++k) {
      if (operands.kind[k] != Kind::kVec || body_[reader].regs[k] != id) continue;
      if (folds_[reader].source >= 0 || !takes_memory(body_[reader].op, k) || !is_read_once(Kind::kVec, id))
        return false;
      folds_[reader].source = static_cast<int32_t>(writer);
      folds_[reader].operand = static_cast<uint8_t>(k);
      folds_[writer].gone = true;
      return true;
    }
    return false;
  }

  // The integer constant before an `if` that nothing else reads.
  void fold_bound(size_t at) {
    const Inst& constant = body_[at - 1];
    if (!is_read_once(Kind::kInt, constant.regs[0])) return;
    if (constant.imm != static_cast<int32_t>(constant.imm)) return;
    for (uint8_t k = 0; k < 2; ++k) {
      if (body_[at].regs[k] != constant.regs[0]) continue;
      folds_[at].source = static_cast<int32_t>(at - 1);
      folds_[at].operand = k;
      folds_[at - 1].gone = true;
    }
  }

  const std::vector<Inst>& body_;
  const Target& target_;
  vir::RegisterNumbers numbers_;
  std::vector<Fold> folds_;
  std::vector<Uses> uses_;
};

}  // namespace

std::vector<Fold> fold_operands(const vir::Program& program, const Target& target) {
  return Folding(program, target).run();
}

}  // namespace convsmith::x86
