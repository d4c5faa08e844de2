#include "codegen/x86/regalloc.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <bit>

namespace convsmith::x86 {

namespace {

using vir::Kind;

// Allocatable general registers by hardware number. Those that a function may overwrite come first:
// rcx rsi rdi r8-r11, then the callee-saved rbx rbp r12-r15.
constexpr std::array<int, 13> kGeneral = {1, 6, 7, 8, 9, 10, 11, 3, 5, 12, 13, 14, 15};
constexpr size_t kOverwritten = 7;  // a function that calls others does without them

// All registers of a machine as bits of one set, class by class: the general ones by their place above, then
// vectors and masks by hardware number. The last bit is in no class: ranges that are spilled "hold" it.
constexpr int kFirstVector = 16;
constexpr int kFirstMask = kFirstVector + 32;
constexpr uint8_t kSpilled = 63;

constexpr uint64_t bits(size_t count, size_t first) {
  return ((uint64_t{1} << count) - 1) << first;
}

class LinearScan {
 public:
  LinearScan(const vir::Program& program, const Liveness& liveness, const Target& target)
      : program_(program), liveness_(liveness), target_(target) {
    const bool calls = std::any_of(program.body.begin(), program.body.end(),
                                   [](const vir::Inst& inst) { return vir::calls(inst.op); });
    if (calls) first_general_ = kOverwritten;
    const uint64_t general = bits(kGeneral.size() - first_general_, first_general_);
    const uint64_t vectors = bits(static_cast<size_t>(target.vector_registers), kFirstVector);
    const uint64_t masks = bits(7, kFirstMask + 1);  // k0 means "no mask" in encodings
    class_of_ = {general, general, vectors, target.mask_registers ? masks : vectors};
    free_ = general | vectors | masks;
    held_.resize(liveness.ranges.size(), kSpilled);
    unreleased_ = liveness.ranges.size();
  }

  Result<Allocation> run() {
    for (const uint32_t range : liveness_.by_start) {
      const LiveRange& live = liveness_.ranges[range];
      release_before(live.start);
      const uint64_t choice = free_ & class_of(live.kind);
      if (choice != 0) {
        hold(range, choose(choice, live.start / 2));
      } else if (live.kind == Kind::kPtr || live.kind == Kind::kInt) {
        spill(range);
      } else {
        return fail(range);
      }
    }
    place_all();
    return std::move(result_);
  }

 private:
  uint64_t class_of(Kind kind) const { return class_of_[static_cast<size_t>(kind)]; }

  // Frees the registers of the ranges that ended before `start`. Ranges are in the order of falling ends; the
  // first never ends.
  void release_before(uint32_t start) {
    for (; liveness_.ranges[unreleased_ - 1].end < start; --unreleased_)
      free_ |= uint64_t{1} << held_[unreleased_ - 1];
  }

  // The register of an operand that dies in the defining instruction saves a move (the addend of an
  // fma first); otherwise the lowest one, which has the shortest encoding.
  int choose(uint64_t choice, size_t definition) const {
    const std::array<uint32_t, 4>& operands = liveness_.operands[definition];
    for (size_t k = operands.size(); k-- > 1;) {
      const int index = held_[operands[k]];
      if ((choice >> index & 1) != 0) return index;
    }
    return std::countr_zero(choice);
  }

  void hold(uint32_t range, int index) {
    held_[range] = static_cast<uint8_t>(index);
    free_ &= ~(uint64_t{1} << index);
    holder_[static_cast<size_t>(index)] = range;
  }

  // Sends the range of the least weight to the stack: the new one or one that holds a register.
  void spill(uint32_t range) {
    const auto costs_less = [&](uint32_t a, uint32_t b) {
      const LiveRange& x = liveness_.ranges[a];
      const LiveRange& y = liveness_.ranges[b];
      return x.weight != y.weight ? x.weight < y.weight : x.end > y.end;
    };
    const uint32_t victim = *std::min_element(holder_.begin() + static_cast<std::ptrdiff_t>(first_general_),
                                              holder_.begin() + kGeneral.size(), costs_less);
    if (costs_less(range, victim)) return;
    const int index = held_[victim];
    held_[victim] = kSpilled;
    hold(range, index);
  }

  void place_all() {
    std::array<Location, 64> places;
    for (size_t i = 0; i < kGeneral.size(); ++i) places[i] = Location::in_register(kGeneral[i]);
    for (int i = kFirstVector; i < kFirstMask; ++i)
      places[static_cast<size_t>(i)] = Location::in_register(i - kFirstVector);
    for (int i = kFirstMask; i < kSpilled; ++i)
      places[static_cast<size_t>(i)] = Location::in_register(i - kFirstMask);
    result_.of.resize(held_.size());
    uint64_t used = 0;
    for (size_t range = Liveness::kNone + 1; range < held_.size(); ++range) {
      const uint8_t index = held_[range];
      used |= uint64_t{1} << index;
      result_.of[range] = index == kSpilled ? Location::in_slot(result_.spills++) : places[index];
    }
    for (size_t i = 0; i < kGeneral.size(); ++i) {
      if ((used >> i & 1) != 0) result_.general_registers |= uint32_t{1} << kGeneral[i];
    }
  }

  tl::unexpected<Error> fail(uint32_t range) const {
    const uint64_t registers = class_of(liveness_.ranges[range].kind);
    // The most that live at once: a range starts at every maximum.
    size_t most = 0;
    for (const LiveRange& at : liveness_.ranges) {
      most =
          std::max(most, static_cast<size_t>(std::count_if(
                             liveness_.ranges.begin(), liveness_.ranges.end(), [&](const LiveRange& other) {
                               return class_of(other.kind) == registers && other.start <= at.start &&
                                      at.start <= other.end;
                             })));
    }
    const bool vectors = registers == class_of(Kind::kVec);
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("vir program '{}' needs {} {} registers (the first too many at instruction {}); "
                    "{} has {}.",
                    program_.name, most, vectors ? "vector" : "mask", liveness_.ranges[range].start / 2,
                    target_.name, std::popcount(registers)));
  }

  size_t first_general_ = 0;
  const vir::Program& program_;
  const Liveness& liveness_;
  const Target& target_;
  std::array<uint64_t, vir::kKinds> class_of_{};  // the registers for each kind
  uint64_t free_ = 0;
  std::array<uint32_t, kSpilled> holder_{};  // the range that holds each of the others
  std::vector<uint8_t> held_;                // by range
  size_t unreleased_ = 0;                    // ranges from this one on are released
  Allocation result_;
};

}  // namespace

Result<Allocation> allocate_registers(const vir::Program& program, const Liveness& liveness,
                                      const Target& target) {
  return LinearScan(program, liveness, target).run();
}

}  // namespace convsmith::x86
