#include "codegen/vir.hpp"

namespace convsmith::vir {

namespace {

constexpr OpInfo kOps[] = {
#define OP(enumerator, text, signature, meaning) {text, signature, meaning},
#include "codegen/vir_ops.def"
#undef OP
};

constexpr Uses parse_uses(std::string_view signature) {
  Uses result{};
  const auto add = [&](Kind kind, bool read, bool written) {
    result.items[static_cast<size_t>(result.count++)] = {kind, 0, read, written};
  };
  for (const char c : signature) {
    switch (c) {
      case 'P':
        add(Kind::kPtr, false, true);
        break;
      case 'p':
        add(Kind::kPtr, true, false);
        break;
      case '@':
        add(Kind::kPtr, true, false);
        break;
      case 'I':
        add(Kind::kInt, false, true);
        break;
      case 'i':
        add(Kind::kInt, true, false);
        break;
      case 'X':
        add(Kind::kInt, true, true);
        break;
      case 'V':
        add(Kind::kVec, false, true);
        break;
      case 'v':
        add(Kind::kVec, true, false);
        break;
      case 'M':
        add(Kind::kMask, false, true);
        break;
      case 'm':
        add(Kind::kMask, true, false);
        break;
      default:
        break;  // n f a s: no register
    }
  }
  return result;
}

constexpr Uses kUses[] = {
#define OP(enumerator, text, signature, meaning) parse_uses(signature),
#include "codegen/vir_ops.def"
#undef OP
};

constexpr std::string_view kArgTexts[] = {
#define ARG(enumerator, text, type, meaning) text,
#include "codegen/args.def"
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
  Uses result = kUses[static_cast<size_t>(inst.op)];
  for (size_t i = 0; i < static_cast<size_t>(result.count); ++i) result.items[i].id = inst.regs[i];
  return result;
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
