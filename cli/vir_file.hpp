// Runs a .vir file: vector programs as text, each with a comment line that says what to call it with:
//
//   # run in=256 weights=256 out=256 scratch=64 steps=10 step_end=8
//
// in, weights, out, operand and scratch are sizes in floats (scratch: at least what the program asks for);
// every other word is the value of an argument slot by its name in codegen/vir/args.def; what is not named is
// 0. Inputs are drawn from a seed. The interpreter runs a program first and checks every operation: what
// leaves its arrays or does not end is an error, and never becomes machine code. Then it runs on every back
// end whose vectors have as many lanes as the program, on the same arrays, and all must leave the bits in
// `out` that the interpreter leaves. Used by verify and compare.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "cli/verify/check_layer.hpp"
#include "cli/verify/placed_array.hpp"
#include "cli/verify/random_layer.hpp"
#include "codegen/interp/interp.hpp"
#include "codegen/kernel.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"

namespace convsmith::cli {

struct VirCall {
  int64_t in = 0;  // floats
  int64_t weights = 0;
  int64_t out = 0;
  int64_t operand = 0;
  int64_t scratch = 0;
  KernelArgs args{};  // integers only
  Denormals denormals = Denormals::kKeep;
};

// The `# run` line of a program's text; an error says what is wrong with it or that there is none.
Result<VirCall> parse_vir_call(std::string_view text, const vir::Program& program);

// The arrays of a call, inputs drawn from a seed, `place` as PlacedArray takes it.
class VirArrays {
 public:
  VirArrays(const VirCall& call, DataKind data, uint64_t seed, Place place);
  const KernelArgs& args() const { return args_; }
  std::vector<float> out() const { return {out_.data(), out_.data() + out_.size()}; }
  bool is_intact() const;
  // What the program writes is as before its first call.
  void reset();
  // Of a checked call.
  interp::Bounds bounds() const;

 private:
  PlacedArray in_;
  PlacedArray weights_;
  PlacedArray out_;
  PlacedArray operand_;
  PlacedArray scratch_;
  KernelArgs args_;
};

// One call on the interpreter, where every operation is checked. An error (kInvalidData) names the one that
// may not run, by its line in a file, where `lines` has those of the instructions.
Result<void> run_checked(const vir::Program& program, const std::vector<int>& lines, VirArrays& arrays);
// Says so where a call that run_checked made has left all of `out` as it was.
void note_idle(const vir::Program& program, const VirArrays& arrays);

// The interpreter with the program's number of lanes, then those of `back_ends` that make machine code for
// it.
std::vector<BackEnd> back_ends_for(const vir::Program& program, const std::vector<BackEnd>& back_ends);
// The same of what the options name; an error where that can't run the program.
Result<std::vector<BackEnd>> back_ends_for(const vir::Program& program, Backend backend, Isa isa);
Result<std::unique_ptr<Kernel>> compile_vir(const vir::Program& program, BackEnd back_end);

// Runs the program on every one of `back_ends` that has its number of lanes, `guard` as in CheckOptions.
// Returns what differs, empty if nothing does; `ran` counts the back ends, `lines` as in run_checked.
Result<std::vector<Finding>> check_vir(const vir::Program& program, const VirCall& call, DataKind data,
                                       uint64_t seed, const std::vector<BackEnd>& back_ends, bool guard,
                                       int& ran, const std::vector<int>& lines = {});

}  // namespace convsmith::cli
