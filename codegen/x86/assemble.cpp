#include "codegen/x86/assemble.hpp"

#include <fmt/format.h>

#include "codegen/x86/emitter.hpp"
#include "codegen/x86/fold.hpp"
#include "codegen/x86/isel.hpp"
#include "codegen/x86/liveness.hpp"
#include "codegen/x86/regalloc.hpp"

namespace convsmith::x86 {

namespace {

// More than any instruction takes: its longest sequence with everything spilled, and loop alignment.
constexpr size_t kMaxBytesPerInstruction = 96;
constexpr size_t kMaxFrameBytes = 256;   // of a prologue or an epilogue
constexpr size_t kUsualBytes = 8 << 10;  // that most layers need not grow

Result<void> check_target(const vir::Program& program, const Target& target) {
  if (!target.fused_multiply_add || target.lanes < 8) {
    return make_error(ErrorCode::kUnavailable,
                      fmt::format("the Xbyak back end makes AVX2 and AVX-512 code, not {}.", target.name));
  }
  if (program.lanes != target.lanes) {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("vir program '{}' has {} lanes; {} has {}.", program.name, program.lanes,
                                  target.name, target.lanes));
  }
  return {};
}

}  // namespace

Result<MachineCode> assemble(const vir::Program& program, const Target& target) {
  if (auto ok = check_target(program, target); !ok) return tl::unexpected<Error>(ok.error());
  const std::vector<Fold> folds = fold_operands(program, target);
  const Liveness liveness = find_live_ranges(program, folds);
  const auto allocation = allocate_registers(program, liveness, target);
  if (!allocation) return tl::unexpected<Error>(allocation.error());

  MachineCode code;
  code.bytes.resize(kUsualBytes);
  Emitter emitter(code.bytes, target);
  Frame frame(program, *allocation);
  Selector selector(emitter, program, folds, liveness, *allocation, frame, target);

  code.spills = allocation->spills;
  code.marks.resize(program.body.size() + 3);
  size_t marks = 0;
  const auto mark = [&](int32_t inst) { code.marks[marks++] = {emitter.position(), inst}; };
  mark(CodeMark::kPrologue);
  emitter.reserve(kMaxFrameBytes);
  frame.enter(emitter);
  for (size_t i = 0; i < program.body.size(); ++i) {
    if (folds[i].gone) continue;
    mark(static_cast<int32_t>(i));
    emitter.reserve(kMaxBytesPerInstruction);
    selector.select(i);
  }
  mark(CodeMark::kEpilogue);
  emitter.reserve(kMaxFrameBytes);
  frame.leave(emitter);
  mark(CodeMark::kConstants);
  code.marks.resize(marks);
  code.constants_offset = emitter.finish();
  code.names = emitter.take_names();
  code.frame = frame.steps();
  return code;
}

}  // namespace convsmith::x86
