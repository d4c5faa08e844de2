// The pipeline: from a problem to something that runs. compile() reads as the list of passes; explain
// and compare on the command line use the same functions to show what lies between.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "codegen/code_memory.hpp"
#include "codegen/kernel.hpp"
#include "codegen/target.hpp"
#include "codegen/vir/vir.hpp"
#include "convsmith/error.hpp"
#include "convsmith/options.hpp"
#include "frontend/problem.hpp"
#include "ir/nest/nest.hpp"
#include "ir/nest/pack_layout.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith {

// A kernel with what its callers must know about it.
struct CompiledKernel {
  Problem problem;
  Backend backend = Backend::kInterp;  // never kAuto
  Isa isa = Isa::kBaseline;            // never kAuto
  ir::PackLayout weights{};
  ir::ParallelBlocks blocks{};
  int64_t tile_steps = 1;     // output steps of a whole tile: the grain for splitting steps
  int64_t scratch_bytes = 0;  // for one thread
  bool from_disk = false;     // neither scheduled nor lowered nor assembled by this process
  std::unique_ptr<Kernel> kernel;
  std::unique_ptr<const vir::Program> program;  // in its place, of a graph that is compiled ahead of time
};

// "conv1d.nwc.64x64.k5": names a kernel in dumps and profiles.
std::string kernel_name(const Problem& problem);

// One nest on its way to code: what each pass made.
struct LoweredLayer {
  ir::LoopNest naive;
  ir::Schedule schedule;
  ir::LoopNest nest;
  vir::Program program;
};

// The passes up to vir. An empty schedule text means the chosen one, for which `weights_of` is as in
// choose_schedule. The second form leaves what was reached before an error.
Result<LoweredLayer> lower_layer(const Problem& problem, const Target& target, std::string_view schedule_text,
                                 const Target* weights_of = nullptr);
Result<void> lower_layer(LoweredLayer& layer, const Problem& problem, const Target& target,
                         std::string_view schedule_text, const Target* weights_of = nullptr);
// Those behind a schedule, of layer.nest, which may be anybody's: it is completed and verified.
Result<void> lower_nest(LoweredLayer& layer, const Target& target);
// All that callers must know about the kernel of a nest, without the kernel.
CompiledKernel kernel_without_code(const ir::LoopNest& nest, const vir::Program& program,
                                   const Target& target);
// Of a program that is no convolution.
CompiledKernel kernel_without_code(const vir::Program& program, const Target& target);

// The last pass. kAuto is not allowed here. `memory` is not used for the interpreter.
Result<std::unique_ptr<Kernel>> make_kernel(const vir::Program& program, Backend backend,
                                            const Target& target, CodeMemory* memory);

// All passes.
Result<std::shared_ptr<const CompiledKernel>> compile_problem(const Problem& problem, Backend backend,
                                                              Isa isa, std::string_view schedule_text,
                                                              CodeMemory* memory);
// From a scheduled nest.
Result<std::shared_ptr<const CompiledKernel>> compile_nest(const ir::LoopNest& nest, Backend backend, Isa isa,
                                                           CodeMemory* memory);

// The best pair that this CPU, host and build allow for what the caller left open, or why there is none.
// CONVSMITH_MAX_ISA caps kAuto. What was picked, and why not better, goes to the verbose channel.
struct Choice {
  Backend backend;
  Isa isa;
};
Result<Choice> choose_backend(Backend backend, Isa isa);

// What CONVSMITH_MAX_ISA says.
Result<Isa> parse_isa_cap(std::string_view text);

// The process-wide code memory, or why the host has none.
const Result<CodeMemory*>& process_code_memory();

std::string_view backend_name(Backend backend);  // as --backend spells it
std::string_view isa_name(Isa isa);              // as --isa spells it

}  // namespace convsmith
