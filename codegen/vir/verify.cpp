#include "codegen/vir/verify.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/vir/operands.hpp"

namespace convsmith::vir {

namespace {

// Which registers hold a value at this point, whatever path led here. What a block writes may not
// have happened when it ends, so the set of its opener returns there.
class Verifier {
 public:
  explicit Verifier(const Program& program)
      : program_(program), numbers_(program), states_(numbers_.count()) {
    changes_.reserve(numbers_.count());
  }

  Result<void> run() {
    if (program_.lanes != 4 && program_.lanes != 8 && program_.lanes != 16) {
      fail(fmt::format("lanes is {}; it must be 4, 8 or 16", program_.lanes));
      return result();
    }
    for (at_ = 0; at_ < program_.body.size(); ++at_) {
      if (!check(program_.body[at_])) return result();
    }
    if (!open_.empty()) fail("a block is not closed by 'end'");
    return result();
  }

  Result<void> run_alone() {
    if (!program_.params.empty()) fail("a program of its own has no parameters");
    for (at_ = 0; wrong_.empty() && at_ < program_.body.size(); ++at_) {
      const Opcode op = program_.body[at_].op;
      if (is_for_functions(op))
        fail(fmt::format("'{}' is for functions that call each other", info(op).text));
    }
    return result();
  }

 private:
  static bool is_for_functions(Opcode op) {
    switch (op) {
      case Opcode::kPart:
      case Opcode::kModes:
      case Opcode::kFlushing:
      case Opcode::kSetModes:
      case Opcode::kData:
      case Opcode::kResultInt:
      case Opcode::kResultPtr:
        return true;
      default:
        return calls(op);
    }
  }

  enum State : uint8_t { kUnwritten, kWritten, kCounts };  // kCounts: the iterations of an open loop

  struct Block {
    Opcode op;
    size_t counter;  // of a loop
    size_t changes;  // how many there were at the opener
  };

  // Checks return whether all is well; the first that is not says so here.
  bool fail(const std::string& what) {
    wrong_ = fmt::format("vir program '{}', instruction {}: {}.", program_.name, at_, what);
    return false;
  }
  Result<void> result() const {
    if (wrong_.empty()) return {};
    return make_error(ErrorCode::kInvalidSpec, wrong_);
  }

  bool check(const Inst& inst) {
    const Operands& operands = operands_of(inst.op);
    if (operands.constant != 0 && !check_constant(inst, operands.constant)) return false;
    if (!check_place(inst.op)) return false;
    for (size_t k = 0; k < operands.count; ++k) {
      const auto kind = static_cast<size_t>(operands.kind[k]);
      if (inst.regs[k] >= program_.registers[kind])
        return fail(fmt::format("register {} is out of range", inst.regs[k]));
      if (k >= operands.first_read && states_[numbers_.of(inst, operands, k)] == kUnwritten) {
        return fail(fmt::format("'{}' reads {}{} before it is written", info(inst.op).text, "pivm"[kind],
                                inst.regs[k]));
      }
    }
    if (operands.writes && !write(numbers_.of(inst, operands, 0)))
      return fail(fmt::format("i{} counts a loop and is written inside it", inst.regs[0]));
    if (opens_block(inst.op)) open(inst, operands);
    return inst.op != Opcode::kEnd || close();
  }

  // What depends on where an operation stands, and on the number of lanes.
  bool check_place(Opcode op) {
    switch (op) {
      case Opcode::kCall:
      case Opcode::kFork:
      case Opcode::kSetModes:
        return program_.registers[2] + program_.registers[3] == 0 ||
               fail("a function that calls others or sets modes may not use vectors or masks");
      case Opcode::kPart:
        return program_.params.empty() || fail("a C function is no part of a fork");
      case Opcode::kResultInt:
      case Opcode::kResultPtr:
        return at_ + 1 == program_.body.size() ||
               fail(fmt::format("'{}' is not the last instruction", info(op).text));
      case Opcode::kInsert1:
      case Opcode::kInsert2:
      case Opcode::kInsert3:
        return program_.lanes > 4 * inserted_block(op) ||
               fail(fmt::format("{} lanes have no block {}", program_.lanes, inserted_block(op)));
      default:
        return true;
    }
  }

  bool write(size_t number) {
    if (states_[number] == kUnwritten) {
      states_[number] = kWritten;
      if (!open_.empty()) changes_.push_back(number);
    }
    return states_[number] != kCounts;
  }

  void open(const Inst& inst, const Operands& operands) {
    open_.push_back({inst.op, numbers_.of(inst, operands, 0), changes_.size()});
    if (inst.op == Opcode::kLoop) states_[open_.back().counter] = kCounts;
  }

  bool close() {
    if (open_.empty()) return fail("'end' closes no block");
    const Block& block = open_.back();
    if (block.op == Opcode::kLoop) states_[block.counter] = kWritten;
    for (; changes_.size() > block.changes; changes_.pop_back()) states_[changes_.back()] = kUnwritten;
    open_.pop_back();
    return true;
  }

  bool check_constant(const Inst& inst, char kind) {
    const int64_t n = inst.imm;
    switch (kind) {
      case 's':
        return (n >= 0 && n < static_cast<int64_t>(program_.labels.size())) || fail("a name is missing");
      case '@':
        return (n >= INT32_MIN && n <= INT32_MAX - 64) ||
               fail(fmt::format("address offset {} does not fit 32 bits", n));
      case 'f':
        return (n >= 0 && n <= 0xffffffffLL) || fail("a vector constant has 32 bits");
      case 'a': {
        const bool pointer = inst.op == Opcode::kArgPtr || inst.op == Opcode::kSetPtr;
        return check_argument(n, pointer, inst.op == Opcode::kArgPtr || inst.op == Opcode::kArgInt);
      }
      default:
        return check_number(inst.op, n);
    }
  }

  bool check_number(Opcode op, int64_t n) {
    switch (op) {
      case Opcode::kIntDivC:
        return n >= 1 || fail(fmt::format("idivc divides by {}; the divisor must be at least 1", n));
      case Opcode::kShl32:
      case Opcode::kShr32:
        return (n >= 0 && n <= 31) || fail(fmt::format("a shift by {}; it must be 0..31", n));
      case Opcode::kBlocks:
        return check_blocks(n);
      default:
        return true;
    }
  }

  bool check_argument(int64_t n, bool pointer, bool read) {
    if (n < 0 || n >= kArgs || is_pointer(static_cast<Arg>(n)) != pointer)
      return fail(pointer ? "this argument is not a pointer" : "this argument is not an integer");
    const std::vector<Arg>& params = program_.params;
    if (read && !params.empty() &&
        std::find(params.begin(), params.end(), static_cast<Arg>(n)) == params.end())
      return fail("this argument is not among the function's parameters");
    return true;
  }

  bool check_blocks(int64_t pattern) {
    const int blocks = program_.lanes / 4;
    if (blocks == 1) return fail("'blocks' needs more than 4 lanes");
    for (int j = 0; j < blocks; ++j) {
      const int64_t source = pattern >> (4 * j) & 15;
      const bool from_a = source < blocks;
      if (source >= 2 * blocks || (blocks == 4 && from_a != (j < 2))) {
        return fail(fmt::format("block {} of 'blocks' can't come from block {}", j, source));
      }
    }
    return true;
  }

  const Program& program_;
  RegisterNumbers numbers_;
  size_t at_ = 0;
  std::vector<State> states_;    // of registers of all kinds
  std::vector<size_t> changes_;  // registers that the open blocks wrote first
  std::vector<Block> open_;
  std::string wrong_;
};

}  // namespace

Result<void> verify(const Program& program) {
  return Verifier(program).run();
}

Result<void> verify_alone(const Program& program) {
  return Verifier(program).run_alone();
}

}  // namespace convsmith::vir
