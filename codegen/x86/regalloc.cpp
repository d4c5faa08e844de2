#include "codegen/x86/regalloc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

#include "codegen/vir_operands.hpp"

namespace convsmith::x86 {

namespace {

using vir::Kind;

// Allocatable general registers by hardware number. Those that a function may overwrite come first:
// rcx rsi rdi r8-r11, then the callee-saved rbx rbp r12-r15.
constexpr std::array<int, 13> kGeneral = {1, 6, 7, 8, 9, 10, 11, 3, 5, 12, 13, 14, 15};
constexpr size_t kOverwritten = 7;  // a function that calls others does without them

enum Class { kGeneralClass, kVectorClass, kMaskClass, kClasses };

struct RegisterFile {
  uint32_t free = 0;                  // bit set of indices
  std::array<uint32_t, 32> holder{};  // the range that holds each of the others
};

class LinearScan {
 public:
  LinearScan(const vir::Program& program, const Liveness& liveness, const std::vector<Fold>& folds,
             const Target& target)
      : program_(program), liveness_(liveness), folds_(folds), target_(target) {
    classes_[static_cast<size_t>(Kind::kVec)] = kVectorClass;
    classes_[static_cast<size_t>(Kind::kMask)] = target.mask_registers ? kMaskClass : kVectorClass;
    files_[kGeneralClass].free = (uint32_t{1} << kGeneral.size()) - 1;
    const bool calls = std::any_of(program.body.begin(), program.body.end(),
                                   [](const vir::Inst& inst) { return vir::calls(inst.op); });
    if (calls) first_general_ = kOverwritten;
    files_[kGeneralClass].free &= ~((uint32_t{1} << first_general_) - 1);
    files_[kVectorClass].free = static_cast<uint32_t>((uint64_t{1} << target.vector_registers) - 1);
    files_[kMaskClass].free = target.mask_registers ? 0xfe : 0;  // k0 means "no mask" in encodings
    index_.resize(liveness.ranges.size());
    unreleased_ = liveness.ranges.size();
    result_.of.resize(liveness.ranges.size());
  }

  Result<Allocation> run() {
    for (const uint32_t range : liveness_.by_start) {
      const Class c = class_of(liveness_.ranges[range].kind);
      RegisterFile& file = files_[c];
      release_before(liveness_.ranges[range].start);
      if (file.free != 0) {
        hold(file, range, choose(file, range));
      } else if (c == kGeneralClass) {
        spill(file, range);
      } else {
        return fail(c, range);
      }
    }
    for (size_t range = 0; range < index_.size(); ++range) place(range);
    return std::move(result_);
  }

 private:
  Class class_of(Kind kind) const { return classes_[static_cast<size_t>(kind)]; }

  // Frees the registers of the ranges that ended before `start`. Ranges are in the order of falling ends.
  void release_before(uint32_t start) {
    for (; unreleased_ > 0 && liveness_.ranges[unreleased_ - 1].end < start; --unreleased_) {
      const int8_t index = index_[unreleased_ - 1];
      if (index == kSpilled) continue;
      files_[class_of(liveness_.ranges[unreleased_ - 1].kind)].free |= uint32_t{1} << index;
    }
  }

  // The register of an operand that dies in the defining instruction saves a move (the addend of an
  // fma first); otherwise the lowest one, which has the shortest encoding.
  int choose(const RegisterFile& file, uint32_t range) const {
    const size_t definition = liveness_.ranges[range].start / 2;
    const vir::Operands& operands = vir::operands_of(program_.body[definition].op);
    const Fold& fold = folds_[definition];
    const Class c = class_of(liveness_.ranges[range].kind);
    for (size_t k = operands.count; k-- > 1;) {
      if (class_of(operands.kind[k]) != c || fold.operand == k) continue;
      const int index = index_[liveness_.operands[definition][k]];
      if (index >= 0 && (file.free >> index & 1) != 0) return index;
    }
    return std::countr_zero(file.free);
  }

  void hold(RegisterFile& file, uint32_t range, int index) {
    index_[range] = static_cast<int8_t>(index);
    file.free &= ~(uint32_t{1} << index);
    file.holder[static_cast<size_t>(index)] = range;
  }

  // Sends the range of the least weight to the stack: the new one or one that holds a register.
  void spill(RegisterFile& file, uint32_t range) {
    const auto costs_less = [&](uint32_t a, uint32_t b) {
      const LiveRange& x = liveness_.ranges[a];
      const LiveRange& y = liveness_.ranges[b];
      return x.weight != y.weight ? x.weight < y.weight : x.end > y.end;
    };
    const uint32_t victim =
        *std::min_element(file.holder.begin() + static_cast<std::ptrdiff_t>(first_general_),
                          file.holder.begin() + kGeneral.size(), costs_less);
    if (costs_less(range, victim)) {
      index_[range] = kSpilled;
    } else {
      const int index = index_[victim];
      index_[victim] = kSpilled;
      hold(file, range, index);
    }
  }

  void place(size_t range) {
    if (index_[range] == kSpilled) {
      result_.of[range] = Location::in_slot(result_.spills++);
    } else if (class_of(liveness_.ranges[range].kind) == kGeneralClass) {
      const int reg = kGeneral[static_cast<size_t>(index_[range])];
      result_.of[range] = Location::in_register(reg);
      result_.general_registers |= uint32_t{1} << reg;
    } else {
      result_.of[range] = Location::in_register(index_[range]);
    }
  }

  tl::unexpected<Error> fail(Class c, uint32_t range) const {
    // The most that live at once: a range starts at every maximum.
    size_t most = 0;
    for (const LiveRange& at : liveness_.ranges) {
      most = std::max(
          most, static_cast<size_t>(std::count_if(
                    liveness_.ranges.begin(), liveness_.ranges.end(), [&](const LiveRange& other) {
                      return class_of(other.kind) == c && other.start <= at.start && at.start <= other.end;
                    })));
    }
    const int have = c == kVectorClass ? target_.vector_registers : std::popcount(0xfeU);
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("vir program '{}' needs {} {} registers (the first too many at instruction {}); "
                    "{} has {}.",
                    program_.name, most, c == kVectorClass ? "vector" : "mask",
                    liveness_.ranges[range].start / 2, target_.name, have));
  }

  static constexpr int8_t kSpilled = -1;

  std::array<Class, vir::kKinds> classes_{};  // kGeneralClass if not said otherwise

  size_t first_general_ = 0;
  const vir::Program& program_;
  const Liveness& liveness_;
  const std::vector<Fold>& folds_;
  const Target& target_;
  std::array<RegisterFile, kClasses> files_;
  std::vector<int8_t> index_;  // by range: index in its register file, or kSpilled
  size_t unreleased_ = 0;      // ranges from this one on are released
  Allocation result_;
};

}  // namespace

Result<Allocation> allocate_registers(const vir::Program& program, const Liveness& liveness,
                                      const std::vector<Fold>& folds, const Target& target) {
  return LinearScan(program, liveness, folds, target).run();
}

}  // namespace convsmith::x86
