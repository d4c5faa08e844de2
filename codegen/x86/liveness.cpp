#include "codegen/x86/liveness.hpp"

#include <algorithm>
#include <bit>

#include "codegen/vir/operands.hpp"
#include "frontend/base/check.hpp"

namespace convsmith::x86 {

namespace {

using vir::Inst;
using vir::Opcode;

// Sets of virtual registers of all kinds, one row of bits each.
class RegisterSets {
 public:
  RegisterSets(size_t rows, size_t registers)
      : rows_(rows), words_((registers + 63) / 64), bits_(rows * words_) {}

  size_t rows() const { return rows_; }

  // Whether it was not there yet.
  bool insert(size_t row, size_t r) {
    uint64_t& word = bits_[row * words_ + r / 64];
    const uint64_t bit = uint64_t{1} << (r % 64);
    const bool is_new = (word & bit) == 0;
    word |= bit;
    return is_new;
  }
  template <class Visit>
  void for_each(size_t row, Visit&& visit) const {
    for (size_t w = 0; w < words_; ++w) {
      for (uint64_t rest = bits_[row * words_ + w]; rest != 0; rest &= rest - 1)
        visit(64 * w + static_cast<size_t>(std::countr_zero(rest)));
    }
  }

 private:
  size_t rows_;
  size_t words_;
  std::vector<uint64_t> bits_;
};

class Analysis {
 public:
  Analysis(const vir::Program& program, const std::vector<Fold>& folds)
      : body_(program.body),
        folds_(folds),
        numbers_(program),
        exposed_(count_loops(program), numbers_.count()),
        current_(numbers_.count(), kDead),
        kinds_(numbers_.count()) {
    for (size_t k = 0; k < vir::kKinds; ++k) {
      const auto kind = static_cast<vir::Kind>(k);
      std::fill_n(kinds_.begin() + static_cast<std::ptrdiff_t>(numbers_.first_of(kind)), program.registers[k],
                  kind);
    }
    current_[kNoNumber] = Liveness::kNone;
    result_.operands.resize(body_.size());
    result_.ranges.reserve(body_.size() + 1);
    result_.ranges.push_back({0, UINT32_MAX, 0, {}});  // kNone
    result_.by_start.reserve(body_.size());
  }

  Liveness run() {
    find_exposed();
    cut_ranges();
    CONVSMITH_CHECK(result_.by_start.size() + 1 == result_.ranges.size(),
                    "a register is read before it is written");
    std::reverse(result_.by_start.begin(), result_.by_start.end());
    return std::move(result_);
  }

 private:
  static size_t count_loops(const vir::Program& program) {
    return static_cast<size_t>(std::count_if(program.body.begin(), program.body.end(),
                                             [](const Inst& i) { return vir::is_loop(i.op); }));
  }

  // Forward; leaves registers' numbers in place of ranges. A register is exposed in a loop when some read
  // there may see a value from before the loop's block: it then lives all through the loop. What a block
  // settles may not have happened when it ends, so that is forgotten there. Not inlined, like the other pass:
  // one function of both has too few registers for either's loop.
  [[gnu::noinline]] void find_exposed() {
    struct Change {
      uint32_t reg;
      uint32_t settled_at;
    };
    struct Open {
      size_t opener;
      size_t changes;  // how many there were at the opener
      size_t row;      // of a loop
    };
    struct Loop {
      uint32_t depth = 0;
      size_t row = 0;  // in exposed_
    };
    // The depth of the innermost block where it is sure that the register was written or is exposed: the
    // reads that follow there add nothing.
    std::vector<uint32_t> settled_at(numbers_.count());
    std::vector<Change> changes;
    changes.reserve(numbers_.count());
    std::vector<Open> open;
    std::vector<Loop> loops(exposed_.rows() + 1);  // the open ones; the first stands for none
    uint32_t depth = 0;
    size_t rows = 0;
    Loop* innermost = loops.data();
    const auto settle = [&](uint32_t r) {
      changes.push_back({r, settled_at[r]});
      settled_at[r] = depth;
    };
    const auto read = [&](uint32_t r) {
      if (settled_at[r] >= innermost->depth) return;
      // Where it is exposed already, it is in the loops around too.
      for (const Loop* loop = innermost; loop->depth > settled_at[r]; --loop) {
        if (!exposed_.insert(loop->row, r)) break;
      }
      settle(r);
    };
    for (size_t i = 0; i < body_.size(); ++i) {
      const Inst& inst = body_[i];
      if (vir::opens_block(inst.op)) {
        ++depth;
        open.push_back({i, changes.size(), rows});
        if (vir::is_loop(inst.op))
          *++innermost = {depth, rows++};  // before the reads: its test is in the loop
      }
      const vir::Operands& operands = vir::operands_of(inst.op);
      std::array<uint32_t, 4>& numbers = result_.operands[i];
      for (size_t k = 0; k < operands.count; ++k)
        numbers[k] = static_cast<uint32_t>(numbers_.of(inst, operands, k));
      for (size_t k = operands.first_read; k < operands.count; ++k) read(numbers[k]);
      // A counter is as good as only read: one range.
      if (operands.makes_value() && settled_at[numbers[0]] < depth) settle(numbers[0]);
      if (inst.op == Opcode::kEnd) {
        const Open& block = open.back();
        for (; changes.size() > block.changes; changes.pop_back())
          settled_at[changes.back().reg] = changes.back().settled_at;
        blocks_.push_back({block.opener, block.row});
        open.pop_back();
        if (innermost->depth == depth--) --innermost;
      }
    }
  }

  // Backward.
  [[gnu::noinline]] void cut_ranges() {
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
    const Block block = blocks_.back();
    blocks_.pop_back();
    const Inst& opener = body_[block.opener];
    if (vir::is_loop(opener.op)) {
      exposed_.for_each(block.row, [&](size_t r) {
        if (current_[r] == kDead) open_range(r, position(i) + 1);
      });
      weight_ *= 10;
      for (const uint32_t r : result_.operands[block.opener])  // the test at the bottom
        result_.ranges[current_[r]].weight += weight_;
    }
    outer_pinned_.push_back(pinned_);
    pinned_ = static_cast<uint32_t>(result_.ranges.size());
  }

  void leave_block(Opcode op) {
    pinned_ = outer_pinned_.back();
    outer_pinned_.pop_back();
    if (vir::is_loop(op)) weight_ /= 10;
  }

  void access_operands(size_t i) {
    const Inst& inst = body_[i];
    const vir::Operands& operands = vir::operands_of(inst.op);
    const Fold fold = folds_[i];
    std::array<uint32_t, 4>& ranges = result_.operands[i];  // still numbers
    if (fold.source >= 0) ranges[fold.operand] = kNoNumber;
    if (operands.makes_value()) {
      const bool kept = ranges[1] == ranges[0] || ranges[2] == ranges[0] || ranges[3] == ranges[0];
      ranges[0] = write(ranges[0], i, kept);
    }
    for (size_t k = operands.first_read; k < operands.count; ++k) ranges[k] = read(ranges[k], i);
    if (fold.source >= 0) access_folded(static_cast<size_t>(fold.source), i);
  }

  // Instruction i reads what `source` would have read.
  void access_folded(size_t source, size_t i) {
    std::array<uint32_t, 4>& ranges = result_.operands[source];
    ranges = {Liveness::kNone, read(ranges[1], i)};
  }

  // `kept`: the instruction also reads the register, which then stays where it is.
  uint32_t write(size_t r, size_t i, bool kept) {
    const uint32_t range = range_of(r, position(i) + 1);
    if (kept || range < pinned_) return range;
    result_.ranges[range].start = position(i) + 1;
    result_.by_start.push_back(range);
    current_[r] = kDead;
    return range;
  }

  uint32_t read(size_t r, size_t i) { return range_of(r, position(i)); }

  // Of an access at `position`.
  uint32_t range_of(size_t r, uint32_t position) {
    uint32_t range = current_[r];
    if (range == kDead) range = open_range(r, position);
    result_.ranges[range].weight += weight_;
    return range;
  }

  uint32_t open_range(size_t r, uint32_t end) {
    current_[r] = static_cast<uint32_t>(result_.ranges.size());
    result_.ranges.push_back({0, end, 0, kinds_[r]});
    return current_[r];
  }

  static uint32_t position(size_t i) { return static_cast<uint32_t>(2 * i); }

  static constexpr uint32_t kDead = UINT32_MAX;
  static constexpr uint32_t kNoNumber = 0;  // its range is Liveness::kNone

  struct Block {
    size_t opener;
    size_t row;  // of a loop, in exposed_
  };

  const std::vector<Inst>& body_;
  const std::vector<Fold>& folds_;
  vir::RegisterNumbers numbers_;
  std::vector<Block> blocks_;      // in the order of their ends
  RegisterSets exposed_;           // one row a loop
  std::vector<uint32_t> current_;  // the open range of each live register
  std::vector<vir::Kind> kinds_;
  // Ranges are numbered as they are met: those below were open when the innermost open block was entered.
  uint32_t pinned_ = 0;
  std::vector<uint32_t> outer_pinned_;  // of the blocks around it
  float weight_ = 1;
  Liveness result_;
};

}  // namespace

Liveness find_live_ranges(const vir::Program& program, const std::vector<Fold>& folds) {
  return Analysis(program, folds).run();
}

}  // namespace convsmith::x86
