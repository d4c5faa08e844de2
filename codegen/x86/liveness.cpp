#include "codegen/x86/liveness.hpp"

#include <algorithm>
#include <bit>

#include "codegen/x86/operands.hpp"
#include "frontend/check.hpp"

namespace convsmith::x86 {

namespace {

using vir::Inst;
using vir::Opcode;

bool is_loop(Opcode op) {
  return op == Opcode::kLoop || op == Opcode::kWhile;
}

// Sets of virtual registers of all kinds, one row of bits each.
class RegisterSets {
 public:
  RegisterSets(size_t rows, size_t registers) : words_((registers + 63) / 64), bits_(rows * words_) {}

  size_t words() const { return words_; }
  uint64_t* row(size_t r) { return bits_.data() + r * words_; }
  void push() { bits_.resize(bits_.size() + words_); }
  void pop() { bits_.resize(bits_.size() - words_); }
  uint64_t* last() { return bits_.data() + bits_.size() - words_; }
  bool empty() const { return bits_.empty(); }

 private:
  size_t words_;
  std::vector<uint64_t> bits_;
};

void insert(uint64_t* set, size_t r) {
  set[r / 64] |= uint64_t{1} << (r % 64);
}
void erase(uint64_t* set, size_t r) {
  set[r / 64] &= ~(uint64_t{1} << (r % 64));
}
bool contains(const uint64_t* set, size_t r) {
  return (set[r / 64] >> (r % 64) & 1) != 0;
}

class Analysis {
 public:
  Analysis(const vir::Program& program, const std::vector<int32_t>& match, const std::vector<Fold>& folds)
      : body_(program.body),
        match_(match),
        folds_(folds),
        registers_(count_registers(program)),
        row_of_loop_(body_.size()),
        exposed_(count_loops(program), registers_),
        live_(1, registers_),
        pinned_(0, registers_),
        current_(registers_, kDead),
        kinds_(registers_) {
    for (size_t k = 0; k < vir::kKinds; ++k) {
      std::fill_n(kinds_.begin() + static_cast<std::ptrdiff_t>(base_[k]), program.registers[k],
                  static_cast<vir::Kind>(k));
    }
    result_.operands.resize(body_.size());
    result_.ranges.reserve(body_.size());
    result_.by_start.reserve(body_.size());
  }

  Liveness run() {
    find_exposed();
    cut_ranges();
    std::reverse(result_.by_start.begin(), result_.by_start.end());
    CONVSMITH_CHECK(result_.by_start.size() == result_.ranges.size(),
                    "a register is read before it is written");
    return std::move(result_);
  }

 private:
  size_t count_registers(const vir::Program& program) {
    size_t n = 0;
    for (size_t k = 0; k < vir::kKinds; ++k) {
      base_[k] = n;
      n += program.registers[k];
    }
    return n;
  }
  static size_t count_loops(const vir::Program& program) {
    return static_cast<size_t>(
        std::count_if(program.body.begin(), program.body.end(), [](const Inst& i) { return is_loop(i.op); }));
  }
  // The number among registers of all kinds of operand k.
  size_t number(const Inst& inst, const Operands& operands, size_t k) const {
    return base_[static_cast<size_t>(operands.kind[k])] + inst.regs[k];
  }

  // Forward. A register is exposed in a loop when some read there may see a value from before the
  // loop's block: it then lives all through the loop. What a block writes may not have happened when
  // it ends, so the writes that are known to come first are forgotten there.
  void find_exposed() {
    struct Block {
      bool loop;
      size_t row;        // in exposed_
      size_t forgotten;  // size of `changes` at the opener
    };
    std::vector<Block> open;
    std::vector<uint32_t> written_at(registers_);  // depth of the innermost block that surely wrote it
    std::vector<std::pair<size_t, uint32_t>> changes;
    size_t loops = 0;
    const auto read = [&](size_t r) {
      for (size_t depth = open.size(); depth > written_at[r]; --depth) {
        if (open[depth - 1].loop) insert(exposed_.row(open[depth - 1].row), r);
      }
    };
    const auto write = [&](size_t r) {
      if (written_at[r] >= open.size()) return;
      changes.emplace_back(r, written_at[r]);
      written_at[r] = static_cast<uint32_t>(open.size());
    };
    for (const Inst& inst : body_) {
      const Operands& operands = operands_of(inst.op);
      if (is_loop(inst.op)) {  // before the reads: its test is in the loop
        row_of_loop_[static_cast<size_t>(&inst - body_.data())] = static_cast<uint32_t>(loops);
        open.push_back({true, loops++, changes.size()});
      }
      for (size_t k = 0; k < operands.count; ++k) {
        if (operands.read[k]) read(number(inst, operands, k));
      }
      if (inst.op == Opcode::kIf) open.push_back({false, 0, changes.size()});
      if (inst.op == Opcode::kEnd) {
        for (; changes.size() > open.back().forgotten; changes.pop_back()) {
          written_at[changes.back().first] = changes.back().second;
        }
        open.pop_back();
      }
      if (vir::opens_block(inst.op)) continue;  // a counter is as good as only read: one range
      if (operands.count > 0 && operands.written[0]) write(number(inst, operands, 0));
    }
  }

  // Backward.
  void cut_ranges() {
    for (size_t i = body_.size(); i-- > 0;) {
      const Inst& inst = body_[i];
      if (folds_[i].gone) continue;
      if (inst.op == Opcode::kEnd) {
        enter_block(i);
        continue;
      }
      if (vir::opens_block(inst.op)) leave_block(inst.op);
      access_operands(i);
    }
  }

  // Behind a block (we walk backward). Every path round or past the block joins here, so what is live
  // here, or exposed in the loop, lives throughout: it is pinned, and writes inside do not cut it.
  void enter_block(size_t i) {
    const auto opener = static_cast<size_t>(match_[i]);
    const bool loop = is_loop(body_[opener].op);
    uint64_t* live = live_.row(0);
    if (loop) {
      const uint64_t* exposed = exposed_.row(row_of_loop_[opener]);
      for (size_t w = 0; w < live_.words(); ++w) {
        for (uint64_t rest = exposed[w] & ~live[w]; rest != 0; rest &= rest - 1) {
          open_range(64 * w + static_cast<size_t>(std::countr_zero(rest)), position(i) + 1);
        }
      }
      weight_ *= 10;
      const Operands& operands = operands_of(body_[opener].op);
      for (size_t k = 0; k < operands.count; ++k) {
        result_.ranges[current_[number(body_[opener], operands, k)]].weight +=
            weight_;  // the test at the bottom
      }
    }
    pinned_.push();
    std::copy_n(live, live_.words(), pinned_.last());
  }

  void leave_block(Opcode op) {
    pinned_.pop();
    if (is_loop(op)) weight_ /= 10;
  }

  void access_operands(size_t i) {
    const Inst& inst = body_[i];
    const Operands& operands = operands_of(inst.op);
    const Fold& fold = folds_[i];
    const auto reads = [&](size_t k) { return operands.read[k] && !(fold.source >= 0 && fold.operand == k); };
    std::array<uint32_t, 4>& ranges = result_.operands[i];
    if (operands.count > 0 && operands.written[0] && !operands.read[0]) {
      bool kept = false;
      for (size_t k = 1; k < operands.count; ++k) {
        kept |= inst.regs[k] == inst.regs[0] && operands.kind[k] == operands.kind[0] && reads(k);
      }
      ranges[0] = write(number(inst, operands, 0), i, kept);
    }
    for (size_t k = 0; k < operands.count; ++k) {
      if (reads(k)) ranges[k] = read(number(inst, operands, k), i);
    }
    if (fold.source < 0) return;
    const auto source = static_cast<size_t>(fold.source);
    if (body_[source].op == Opcode::kConst || body_[source].op == Opcode::kIntConst) return;
    result_.operands[source][1] =
        read(base_[static_cast<size_t>(vir::Kind::kPtr)] + body_[source].regs[1], i);
  }

  // `kept`: the instruction also reads the register, which then stays where it is.
  uint32_t write(size_t r, size_t i, bool kept) {
    if (current_[r] == kDead) open_range(r, position(i) + 1);
    const uint32_t range = current_[r];
    result_.ranges[range].weight += weight_;
    if (kept || (!pinned_.empty() && contains(pinned_.last(), r))) return range;
    result_.ranges[range].start = position(i) + 1;
    result_.by_start.push_back(range);
    erase(live_.row(0), r);
    current_[r] = kDead;
    return range;
  }

  uint32_t read(size_t r, size_t i) {
    if (current_[r] == kDead) open_range(r, position(i));
    result_.ranges[current_[r]].weight += weight_;
    return current_[r];
  }

  void open_range(size_t r, uint32_t end) {
    insert(live_.row(0), r);
    current_[r] = static_cast<uint32_t>(result_.ranges.size());
    result_.ranges.push_back({0, end, 0, kinds_[r]});
  }

  static uint32_t position(size_t i) { return static_cast<uint32_t>(2 * i); }

  static constexpr uint32_t kDead = UINT32_MAX;

  const std::vector<Inst>& body_;
  const std::vector<int32_t>& match_;
  const std::vector<Fold>& folds_;
  std::array<size_t, vir::kKinds> base_{};  // number of the first register of each kind
  size_t registers_;
  std::vector<uint32_t> row_of_loop_;  // by opener
  RegisterSets exposed_;               // one row a loop
  RegisterSets live_;                  // one row
  RegisterSets pinned_;                // one row an open block
  std::vector<uint32_t> current_;      // the open range of each live register
  std::vector<vir::Kind> kinds_;
  float weight_ = 1;
  Liveness result_;
};

}  // namespace

Liveness find_live_ranges(const vir::Program& program, const std::vector<int32_t>& match,
                          const std::vector<Fold>& folds) {
  return Analysis(program, match, folds).run();
}

}  // namespace convsmith::x86
