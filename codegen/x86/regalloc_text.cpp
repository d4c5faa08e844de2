#include "codegen/x86/regalloc_text.hpp"

#include <fmt/format.h>

#include <array>
#include <iterator>

#include "codegen/vir/text.hpp"
#include "codegen/x86/fold.hpp"
#include "codegen/x86/liveness.hpp"
#include "codegen/x86/regalloc.hpp"

namespace convsmith::x86 {

namespace {

constexpr std::array<std::string_view, 16> kGeneral = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp",
                                                       "rsi", "rdi", "r8",  "r9",  "r10", "r11",
                                                       "r12", "r13", "r14", "r15"};

std::string location_text(vir::Kind kind, Location where, const Target& target) {
  if (where.spilled()) return fmt::format("slot{}", where.slot());
  if (kind == vir::Kind::kPtr || kind == vir::Kind::kInt) {
    return std::string(kGeneral[static_cast<size_t>(where.reg())]);
  }
  if (kind == vir::Kind::kMask && target.mask_registers) return fmt::format("k{}", where.reg());
  return fmt::format("{}mm{}", target.lanes == 16 ? 'z' : 'y', where.reg());
}

}  // namespace

std::string print_allocation(const vir::Program& program, const Target& target) {
  const std::vector<Fold> folds = fold_operands(program, target);
  const Liveness liveness = find_live_ranges(program, folds);
  const auto allocation = allocate_registers(program, liveness, target);
  if (!allocation) return allocation.error().message + "\n";
  std::string out = fmt::format("{} stack slots\n", allocation->spills);
  for (size_t i = 0; i < program.body.size(); ++i) {
    const vir::Inst& inst = program.body[i];
    std::string where = folds[i].gone ? " folded into its user" : "";
    const vir::Uses uses = vir::uses(inst);
    for (size_t u = 0; !folds[i].gone && u < static_cast<size_t>(uses.count); ++u) {
      const uint32_t range = liveness.operands[i][u];
      if (folds[i].operand == u) {
        where += " memory";
        continue;
      }
      where += " " + location_text(uses.items[u].kind, allocation->of[range], target);
    }
    fmt::format_to(std::back_inserter(out), "{:<48} ;{}\n", vir::print(program, inst), where);
  }
  return out;
}

}  // namespace convsmith::x86
