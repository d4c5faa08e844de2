#include "cli/verify/nest_file.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "ir/graph/build_graph.hpp"
#include "ir/nest/parts.hpp"
#include "ir/nest/problem_text.hpp"
#include "runtime/compile.hpp"

namespace convsmith::cli {

namespace {

Result<NestedLayer> nested_layer(const LayerSpec& spec, std::vector<ir::LoopNest> nests) {
  const auto problem = make_layer_problem(spec, Rules::kAny);
  if (!problem) return tl::unexpected(problem.error());
  auto graph = ir::build_graph(spec, problem->chain.front().channels, Rules::kAny);
  if (!graph) return tl::unexpected(graph.error());
  std::vector<Problem> wanted;
  for (const ir::Op& op : graph->ops) {
    if (op.kind != ir::OpKind::kNest) continue;
    for (ir::Part& part : ir::split_parts(op.problem)) wanted.push_back(std::move(part.problem));
  }
  const std::string text = to_call_text(spec);
  if (wanted.size() != nests.size()) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("{} is computed by {} nest{}, and the file has {}.", text, wanted.size(),
                                  wanted.size() == 1 ? "" : "s", nests.size()));
  }
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == nests[i].problem) continue;
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("Nest {} of {} must be that of {}, and is that of {}.", i + 1, text,
                                  ir::problem_text(wanted[i]), ir::problem_text(nests[i].problem)));
  }
  return NestedLayer{spec, std::move(*graph), std::move(nests)};
}

}  // namespace

Result<std::vector<NestedLayer>> layers_of(const NestFile& file) {
  std::vector<NestedLayer> layers;
  const auto add = [&](const LayerSpec& spec, std::vector<ir::LoopNest> nests) -> Result<void> {
    auto layer = nested_layer(spec, std::move(nests));
    if (!layer) return tl::unexpected(layer.error());
    layers.push_back(std::move(*layer));
    return {};
  };
  if (file.layer) {
    if (auto done = add(*file.layer, file.nests); !done) return tl::unexpected(done.error());
    return layers;
  }
  for (const ir::LoopNest& nest : file.nests) {
    const std::string text = ir::problem_text(nest.problem);
    const auto parsed = parse_layer(text, Rules::kAny);
    if (!parsed) {
      return make_error(
          ErrorCode::kUnsupported,
          fmt::format("A .nest file is taken as the layer that it computes, and {} is none.", text));
    }
    if (auto done = add(parsed->spec, {nest}); !done) return tl::unexpected(done.error());
  }
  return layers;
}

Result<std::shared_ptr<const CompiledGraph>> with_kernels(const CompiledGraph& graph,
                                                          const ReplaceKernel& replace) {
  auto out = std::make_shared<CompiledGraph>(graph);
  for (size_t i = 0; i < out->ops.size(); ++i) {
    if (out->graph.ops[i].kind != ir::OpKind::kNest) continue;
    for (CompiledPart& part : out->ops[i].parts) {
      auto kernel = replace(part);
      if (!kernel) return tl::unexpected(kernel.error());
      if (*kernel == nullptr) continue;
      out->scratch_bytes = std::max(out->scratch_bytes, (*kernel)->scratch_bytes);
      out->code_bytes += (*kernel)->kernel->code_bytes() - part.kernel->kernel->code_bytes();
      part.kernel = std::move(*kernel);
    }
  }
  return out;
}

Result<std::shared_ptr<const CompiledGraph>> compile_nests(const NestedLayer& layer, BackEnd back_end,
                                                           KernelCache& kernels) {
  CodeMemory* const memory = process_code_memory() ? *process_code_memory() : nullptr;
  // Around the nests' kernels, a graph that knows how to call them.
  auto frame = compile_graph(layer.graph, Backend::kInterp, back_end.isa, {}, kernels);
  if (!frame) return frame;
  size_t next = 0;
  auto compiled = with_kernels(**frame, [&](const CompiledPart&) {
    return compile_nest(layer.nests[next++], back_end.backend, back_end.isa, memory);
  });
  if (!compiled) return compiled;
  auto named = std::make_shared<CompiledGraph>(**compiled);
  named->backend = back_end.backend;
  return named;
}

}  // namespace convsmith::cli
