#include "runtime/compile.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "codegen/interp/interp.hpp"
#include "codegen/llvm_loader.hpp"
#include "codegen/lower/lower.hpp"
#include "codegen/machine_kernel.hpp"
#include "codegen/schedule/choose_schedule.hpp"
#include "codegen/schedule/completed.hpp"
#include "codegen/vir/text.hpp"
#include "codegen/vir/verify.hpp"
#include "codegen/x86/assemble.hpp"
#include "codegen/x86/disassemble.hpp"
#include "codegen/x86/regalloc_text.hpp"
#include "ir/nest/build_nest.hpp"
#include "ir/nest/nest_text.hpp"
#include "runtime/host/verbose.hpp"
#include "runtime/jit_events.hpp"

namespace convsmith {

namespace {

int64_t tile_steps_of(const ir::LoopNest& nest) {
  int64_t step = 1;
  for (const ir::Loop& loop : nest.loops) {
    if (loop.dim == ir::Dim::kStep && loop.role == ir::Role::kSerial) step = loop.step;
  }
  return step;
}

Result<std::unique_ptr<Kernel>> make_xbyak_kernel(const vir::Program& program, const Target& target,
                                                  CodeMemory& memory) {
  if (dump_wanted("regalloc")) dump("regalloc", x86::print_allocation(program, target));
  auto code = [&] {
    const PassScope scope("assemble");
    return x86::assemble(program, target);
  }();
  if (!code) return tl::unexpected(code.error());
  if (dump_wanted("asm")) dump("asm", x86::disassemble(program, *code).text);
  const PassScope scope("publish");
  return publish(memory, code->bytes);
}

Result<std::unique_ptr<Kernel>> make_llvm_kernel(const vir::Program& program, const Target& target,
                                                 CodeMemory& memory) {
  const auto& module = load_llvm_module();
  if (!module) return tl::unexpected(module.error());
  if (dump_wanted("llvm")) dump("llvm", (*module)->print_ir({&program, 1}, target, /*to_ship=*/false));
  const PassScope scope("llvm");
  const auto image = (*module)->compile({&program, 1}, target, /*to_ship=*/false);
  if (!image) return tl::unexpected(image.error());
  return publish(memory, image->bytes, image->functions.front().offset);
}

Result<std::shared_ptr<const CompiledKernel>> finish(const ir::LoopNest& nest, const vir::Program& program,
                                                     Backend backend, const Target& target,
                                                     CodeMemory* memory) {
  auto kernel = make_kernel(program, backend, target, memory);
  if (!kernel) return tl::unexpected(kernel.error());
  auto compiled = std::make_shared<CompiledKernel>(kernel_without_code(nest, program, target));
  compiled->backend = backend;
  compiled->kernel = std::move(*kernel);
  return compiled;
}

Result<void> complete_and_lower(LoweredLayer& layer, const Target& target, bool verifies) {
  layer.nest = completed(std::move(layer.nest), target);
  if (dump_wanted("nest")) dump("nest", ir::print(layer.nest));
  const PassScope scope("lower");
  auto program = lower(layer.nest, target, kernel_name(layer.nest.problem));
  if (!program) return tl::unexpected(program.error());
  if (dump_wanted("vir")) dump("vir", vir::print(*program));
  layer.program = std::move(*program);
  return verifies ? vir::verify(layer.program) : Result<void>{};
}

}  // namespace

std::string kernel_name(const Problem& p) {
  std::string name = fmt::format("conv1d.{}.{}x{}.k{}", p.layout == Layout::kChannelsLast ? "nwc" : "ncw",
                                 p.channels, p.filters, p.taps);
  if (p.stride != 1) name += fmt::format(".s{}", p.stride);
  if (p.dilation != 1) name += fmt::format(".d{}", p.dilation);
  if (p.groups != 1) name += fmt::format(".g{}", p.groups);
  return name;
}

CompiledKernel kernel_without_code(const vir::Program& program, const Target& target) {
  CompiledKernel kernel;
  kernel.isa = target.isa;
  kernel.blocks = {ir::Dim::kSample, 1, 1};
  kernel.scratch_bytes = program.scratch_bytes;
  return kernel;
}

CompiledKernel kernel_without_code(const ir::LoopNest& nest, const vir::Program& program,
                                   const Target& target) {
  CompiledKernel kernel = kernel_without_code(program, target);
  kernel.problem = nest.problem;
  kernel.weights = ir::pack_layout(nest);
  kernel.blocks = ir::parallel_blocks(nest);
  kernel.tile_steps = tile_steps_of(nest);
  return kernel;
}

Result<LoweredLayer> lower_layer(const Problem& problem, const Target& target, std::string_view schedule_text,
                                 const Target* weights_of) {
  LoweredLayer layer;
  if (auto done = lower_layer(layer, problem, target, schedule_text, weights_of); !done)
    return tl::unexpected(done.error());
  return layer;
}

Result<void> lower_layer(LoweredLayer& layer, const Problem& problem, const Target& target,
                         std::string_view schedule_text, const Target* weights_of) {
  layer.naive = ir::build_nest(problem);
  {
    const PassScope scope("choose_schedule");
    auto schedule = schedule_text.empty() ? choose_schedule(problem, target, weights_of)
                                          : ir::parse_schedule(schedule_text);
    if (!schedule) return tl::unexpected(schedule.error());
    layer.schedule = std::move(*schedule);
  }
  if (dump_wanted("schedule")) dump("schedule", ir::print(layer.schedule));
  {
    const PassScope scope("apply");
    auto nest = ir::apply(layer.naive, layer.schedule);
    if (!nest) return tl::unexpected(nest.error());
    layer.nest = std::move(*nest);
  }
  // Programs of our own schedules are verified by the tests, which interpret them.
  return complete_and_lower(layer, target, !schedule_text.empty());
}

Result<void> lower_nest(LoweredLayer& layer, const Target& target) {
  return complete_and_lower(layer, target, true);
}

Result<std::unique_ptr<Kernel>> make_kernel(const vir::Program& program, Backend backend,
                                            const Target& target, CodeMemory* memory) {
  if (backend == Backend::kInterp) return interp::make_kernel(program);
  if (memory == nullptr)
    return make_error(ErrorCode::kUnavailable, "This host allows no memory for machine code.");
  auto kernel = backend == Backend::kXbyak ? make_xbyak_kernel(program, target, *memory)
                                           : make_llvm_kernel(program, target, *memory);
  if (!kernel) return kernel;
  return announce_kernel(std::move(*kernel), program.name, backend, target.isa);
}

Result<std::shared_ptr<const CompiledKernel>> compile_problem(const Problem& problem, Backend backend,
                                                              Isa isa, std::string_view schedule_text,
                                                              CodeMemory* memory) {
  const Target& target = host_target(isa);
  auto layer = lower_layer(problem, target, schedule_text);
  if (!layer) return tl::unexpected(layer.error());
  return finish(layer->nest, layer->program, backend, target, memory);
}

Result<std::shared_ptr<const CompiledKernel>> compile_nest(const ir::LoopNest& scheduled, Backend backend,
                                                           Isa isa, CodeMemory* memory) {
  const Target& target = host_target(isa);
  LoweredLayer layer;
  layer.nest = scheduled;
  if (auto done = lower_nest(layer, target); !done) return tl::unexpected(done.error());
  return finish(layer.nest, layer.program, backend, target, memory);
}

}  // namespace convsmith
