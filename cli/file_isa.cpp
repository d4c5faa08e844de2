#include "cli/file_isa.hpp"

#include "codegen/target.hpp"

namespace convsmith::cli {

namespace {

Isa isa_with(int64_t lanes, Isa asked) {
  if (asked != Isa::kAuto) return asked;
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512})
    if (target_for(isa).lanes == lanes) return isa;
  return Isa::kAuto;
}

}  // namespace

Isa isa_of(const NestFile& file, Isa asked) {
  const ir::LoopNest& nest = file.nests.front();
  return ir::lanes_dim(nest) ? isa_with(ir::lane_count(nest), asked) : asked;
}

Isa isa_of(const VirFile& file, Isa asked) {
  return isa_with(file.front().program.lanes, asked);
}

}  // namespace convsmith::cli
