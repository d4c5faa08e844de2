// What the machine code looks like: allowed instructions only, sound jumps, and hot loops of nothing
// but the tile's work.
#include "tests/codegen/hot_loop.hpp"
#include "tests/codegen/x86_program_fuzz.hpp"
#include "tests/codegen/x86_support.hpp"
#include "tests/codegen/x86_tile.hpp"

namespace convsmith::x86_test {
namespace {

// These need no such CPU: the code is only looked at.
std::vector<Target> all_targets() {
  return {target_for(Isa::kAvx2), target_for(Isa::kAvx512)};
}

TEST(X86Code, AuditOfRandomPrograms) {
  for (const Target& target : all_targets()) {
    for (uint32_t seed = 0; seed < 100; ++seed) {
      const vir::Program program = ProgramFuzzer(seed, target.lanes).make();
      const x86::MachineCode code = assemble(program, target);
      const std::vector<std::string> wrong = audit(code, target);
      ASSERT_TRUE(wrong.empty()) << wrong.front() << ", seed " << seed << ", " << target.name;
    }
  }
}

TEST(X86Code, AuditSeesWhatIsForbidden) {
  x86::MachineCode code;
  const auto wrong = [&](std::vector<uint8_t> bytes) {
    code.bytes = std::move(bytes);
    code.constants_offset = static_cast<uint32_t>(code.bytes.size());
    return audit(code, target_for(Isa::kAvx2)).size();
  };
  EXPECT_EQ(wrong({0xc3}), 0U);
  EXPECT_NE(wrong({0x0f, 0x05, 0xc3}), 0U) << "syscall";
  EXPECT_NE(wrong({0xcc, 0xc3}), 0U) << "int3";
  EXPECT_NE(wrong({0xeb, 0x05, 0xc3}), 0U) << "a jump out of the code";
  EXPECT_NE(wrong({0x62, 0xf1, 0x7c, 0x48, 0x58, 0xc0, 0xc3}), 0U) << "vaddps zmm on AVX2";
  EXPECT_NE(wrong({0xc3, 0x0f}), 0U) << "half an instruction";
}

TEST(X86Code, MarksCoverTheCodeInOrder) {
  const vir::Program program = make_tile({6, 2}, 8);
  const x86::MachineCode code = assemble(program, target_for(Isa::kAvx2));
  ASSERT_GE(code.marks.size(), 3U);
  EXPECT_EQ(code.marks.front().inst, x86::CodeMark::kPrologue);
  EXPECT_EQ(code.marks.front().offset, 0U);
  EXPECT_EQ(code.marks.back().inst, x86::CodeMark::kConstants);
  EXPECT_EQ(code.marks.back().offset, code.constants_offset);
  EXPECT_TRUE(std::is_sorted(code.marks.begin(), code.marks.end(),
                             [](const auto& a, const auto& b) { return a.offset < b.offset; }));
}

struct Case {
  Isa isa;
  Tile tile;
  int loads;  // of one reduction step
};

TEST(X86Code, HotLoopsHoldTheTileAndNothingElse) {
  const std::vector<Case> cases = {
      {Isa::kAvx512, {14, 2}, 16}, {Isa::kAvx512, {9, 3}, 12}, {Isa::kAvx512, {6, 4}, 10},
      {Isa::kAvx512, {28, 1}, 29}, {Isa::kAvx2, {6, 2}, 8},    {Isa::kAvx2, {4, 3}, 7},
  };
  for (const Case& c : cases) {
    const Target& target = target_for(c.isa);
    const vir::Program program = make_tile(c.tile, target.lanes);
    const x86::MachineCode code = assemble(program, target);
    EXPECT_EQ(code.spills, 0) << program.name;
    EXPECT_TRUE(audit(code, target).empty()) << program.name;
    const std::vector<HotLoop> loops = hot_loops(code, program);
    ASSERT_EQ(loops.size(), 1U) << program.name;
    const HotLoop& loop = loops[0];
    const int fmas = c.tile.steps * c.tile.vectors * c.tile.unroll;
    EXPECT_EQ(loop.vir_fmas, fmas) << program.name;
    EXPECT_EQ(loop.packed_fmas, fmas) << program.name;
    EXPECT_EQ(loop.scalar_fmas, 0) << program.name;
    EXPECT_EQ(loop.stack_accesses, 0) << program.name;
    EXPECT_EQ(loop.vector_moves, 0) << program.name;
    EXPECT_EQ(loop.vector_stores, 0) << program.name;
    EXPECT_EQ(loop.vector_loads, c.loads * c.tile.unroll) << program.name;
    EXPECT_EQ(loop.begin % 32, 0U) << program.name;
    // Two pointers and the counter with its jump; a single vector's broadcasts are folded.
    const int folded = c.isa == Isa::kAvx512 && c.tile.vectors == 1 ? c.tile.steps * c.tile.unroll : 0;
    EXPECT_EQ(loop.instructions, fmas + c.loads * c.tile.unroll - folded + 4) << program.name;
  }
}

TEST(X86Code, HotLoopsSeeMovesAndStores) {
  // The fma may take over a dying factor's register; bringing the sum back is a move.
  const auto program = vir::parse(R"(vir moving lanes 8 scratch 0 {
    p0 = arg.ptr in
    i0 = arg.int steps
    v0 = const 0x00000000
    loop i0 l {
      v1 = load [p0+0]
      v2 = load [p0+32]
      v3 = fma v1 v2 v0
      store [p0+64] v0
      v0 = copy v3
      store [p0+64] v3
    }
    store [p0+0] v0
  })");
  ASSERT_TRUE(program.has_value()) << program.error().message;
  const auto loops = hot_loops(assemble(*program, target_for(Isa::kAvx2)), *program);
  ASSERT_EQ(loops.size(), 1U);
  EXPECT_EQ(loops[0].vector_moves, 1);
  EXPECT_EQ(loops[0].vector_stores, 2);
  EXPECT_EQ(loops[0].packed_fmas, 1);
}

}  // namespace
}  // namespace convsmith::x86_test
