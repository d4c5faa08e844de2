#include "codegen/vir/vir.hpp"

#include "codegen/vir/operands.hpp"

namespace convsmith::vir {

namespace {

constexpr OpInfo kOps[] = {
#define OP(enumerator, text, signature, meaning) {text, signature, meaning},
#include "codegen/vir/ops.def"
#undef OP
};

constexpr std::string_view kArgTexts[] = {
#define ARG(enumerator, text, type, meaning) text,
#include "codegen/vir/args.def"
#undef ARG
};

}  // namespace

const OpInfo& info(Opcode op) {
  return kOps[static_cast<int>(op)];
}

std::string_view arg_text(Arg arg) {
  return kArgTexts[static_cast<int>(arg)];
}

Uses uses(const Inst& inst) {
  const Operands& operands = operands_of(inst.op);
  Uses result{.items = {}, .count = operands.count};
  for (size_t k = 0; k < operands.count; ++k)
    result.items[k] = {operands.kind[k], inst.regs[k], k >= operands.first_read, k == 0 && operands.writes};
  return result;
}

std::string_view label_of(const Program& program, const Inst& opener) {
  if (operands_of(opener.op).constant != 's') return {};
  return program.labels[static_cast<size_t>(opener.imm)];
}

std::vector<int32_t> match_blocks(const Program& program) {
  std::vector<int32_t> match(program.body.size(), 0);
  std::vector<int32_t> open;
  for (size_t i = 0; i < program.body.size(); ++i) {
    const Opcode op = program.body[i].op;
    if (opens_block(op)) {
      open.push_back(static_cast<int32_t>(i));
    } else if (op == Opcode::kEnd) {
      match[i] = open.back();
      match[static_cast<size_t>(open.back())] = static_cast<int32_t>(i);
      open.pop_back();
    }
  }
  return match;
}

}  // namespace convsmith::vir
