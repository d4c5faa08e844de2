#include "codegen/vir_verify.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace convsmith::vir {

namespace {

// Which registers hold a value at this point, whatever path led here. What a block writes may not
// have happened when it ends, so the set of its opener returns there.
class Verifier {
 public:
  explicit Verifier(const Program& program) : program_(program) {
    for (size_t k = 0; k < kKinds; ++k) written_[k].assign(program.registers[k], false);
  }

  Result<void> run() {
    if (program_.lanes != 4 && program_.lanes != 8 && program_.lanes != 16) {
      return fail(fmt::format("lanes is {}; it must be 4, 8 or 16", program_.lanes));
    }
    const bool calls_others = std::any_of(program_.body.begin(), program_.body.end(),
                                          [](const Inst& inst) { return calls(inst.op); });
    if (calls_others && program_.registers[2] + program_.registers[3] > 0)
      return fail("a function that calls others may not use vectors or masks");
    for (at_ = 0; at_ < program_.body.size(); ++at_) {
      if (auto ok = check(program_.body[at_]); !ok) return ok;
    }
    if (!open_.empty()) return fail("a block is not closed by 'end'");
    return {};
  }

  Result<void> run_alone() {
    if (!program_.params.empty()) return fail("a program of its own has no parameters");
    for (at_ = 0; at_ < program_.body.size(); ++at_) {
      const Opcode op = program_.body[at_].op;
      if (calls(op) || op == Opcode::kPart || op == Opcode::kData || gives_result(op))
        return fail(fmt::format("'{}' is for functions that call each other", info(op).text));
    }
    return {};
  }

 private:
  static bool gives_result(Opcode op) { return op == Opcode::kResultInt || op == Opcode::kResultPtr; }

  struct Block {
    Opcode op;
    uint16_t counter;
    std::vector<uint32_t> new_registers;  // kind * 65536 + id, first written inside
  };

  Result<void> fail(const std::string& what) const {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("vir program '{}', instruction {}: {}.", program_.name, at_, what));
  }

  Result<void> check(const Inst& inst) {
    if (auto ok = check_constant(inst); !ok) return ok;
    if (gives_result(inst.op) && at_ + 1 != program_.body.size())
      return fail(fmt::format("'{}' is not the last instruction", info(inst.op).text));
    for (const Use& use : uses(inst)) {
      std::vector<bool>& written = written_[static_cast<size_t>(use.kind)];
      if (use.id >= written.size()) return fail(fmt::format("register {} is out of range", use.id));
      if (use.read && !written[use.id]) {
        return fail(fmt::format("'{}' reads {}{} before it is written", info(inst.op).text,
                                "pivm"[static_cast<size_t>(use.kind)], use.id));
      }
    }
    for (const Use& use : uses(inst)) {
      if (!use.written) continue;
      if (use.kind == Kind::kInt && inst.op != Opcode::kLoop &&
          std::any_of(open_.begin(), open_.end(),
                      [&](const Block& b) { return b.op == Opcode::kLoop && b.counter == use.id; })) {
        return fail(fmt::format("i{} counts a loop and is written inside it", use.id));
      }
      std::vector<bool>& written = written_[static_cast<size_t>(use.kind)];
      if (!written[use.id]) {
        written[use.id] = true;
        if (!open_.empty())
          open_.back().new_registers.push_back(static_cast<uint32_t>(use.kind) << 16 | use.id);
      }
    }
    if (opens_block(inst.op)) {
      open_.push_back({inst.op, inst.regs[0], {}});
    } else if (inst.op == Opcode::kEnd) {
      if (open_.empty()) return fail("'end' closes no block");
      for (const uint32_t key : open_.back().new_registers) written_[key >> 16][key & 0xffff] = false;
      open_.pop_back();
    }
    return {};
  }

  Result<void> check_constant(const Inst& inst) const {
    const int64_t n = inst.imm;
    switch (inst.op) {
      case Opcode::kArgPtr:
        return check_argument(n, true, true);
      case Opcode::kArgInt:
        return check_argument(n, false, true);
      case Opcode::kSetPtr:
        return check_argument(n, true, false);
      case Opcode::kSetInt:
        return check_argument(n, false, false);
      case Opcode::kPart:
        if (!program_.params.empty()) return fail("a C function is no part of a fork");
        break;
      case Opcode::kIntDivC:
        if (n < 1) return fail(fmt::format("idivc divides by {}; the divisor must be at least 1", n));
        break;
      case Opcode::kShl32:
      case Opcode::kShr32:
        if (n < 0 || n > 31) return fail(fmt::format("a shift by {}; it must be 0..31", n));
        break;
      case Opcode::kBlocks:
        return check_blocks(n);
      case Opcode::kInsert1:
      case Opcode::kInsert2:
      case Opcode::kInsert3:
        if (const int block = 1 + static_cast<int>(inst.op) - static_cast<int>(Opcode::kInsert1);
            program_.lanes <= 4 * block)
          return fail(fmt::format("{} lanes have no block {}", program_.lanes, block));
        return check_offset(n);
      case Opcode::kConst:
        if (n < 0 || n > 0xffffffffLL) return fail("a vector constant has 32 bits");
        break;
      default:
        if (info(inst.op).signature.ends_with('s') &&
            (n < 0 || n >= static_cast<int64_t>(program_.labels.size())))
          return fail("a name is missing");
        if (info(inst.op).signature.find('@') != std::string_view::npos) return check_offset(n);
    }
    return {};
  }

  Result<void> check_offset(int64_t n) const {
    if (n > INT32_MAX - 64 || n < INT32_MIN)
      return fail(fmt::format("address offset {} does not fit 32 bits", n));
    return {};
  }

  Result<void> check_argument(int64_t n, bool pointer, bool read) const {
    if (n < 0 || n >= kArgs || is_pointer(static_cast<Arg>(n)) != pointer)
      return fail(pointer ? "this argument is not a pointer" : "this argument is not an integer");
    const std::vector<Arg>& params = program_.params;
    if (read && !params.empty() &&
        std::find(params.begin(), params.end(), static_cast<Arg>(n)) == params.end())
      return fail("this argument is not among the function's parameters");
    return {};
  }

  Result<void> check_blocks(int64_t pattern) const {
    const int blocks = program_.lanes / 4;
    if (blocks == 1) return fail("'blocks' needs more than 4 lanes");
    for (int j = 0; j < blocks; ++j) {
      const int64_t source = pattern >> (4 * j) & 15;
      const bool from_a = source < blocks;
      if (source >= 2 * blocks || (blocks == 4 && from_a != (j < 2))) {
        return fail(fmt::format("block {} of 'blocks' can't come from block {}", j, source));
      }
    }
    return {};
  }

  const Program& program_;
  size_t at_ = 0;
  std::array<std::vector<bool>, kKinds> written_;
  std::vector<Block> open_;
};

}  // namespace

Result<void> verify(const Program& program) {
  return Verifier(program).run();
}

Result<void> verify_alone(const Program& program) {
  return Verifier(program).run_alone();
}

}  // namespace convsmith::vir
