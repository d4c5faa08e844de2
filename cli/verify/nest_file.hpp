// The nests of a .nest file as the layer that they compute. Used by verify, compare and run.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "cli/verify/back_ends.hpp"
#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "ir/graph/graph.hpp"
#include "ir/nest/nest.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith::cli {

// Scheduled nests: all of `layer`, or each on its own.
struct NestFile {
  std::optional<LayerSpec> layer;
  std::vector<ir::LoopNest> nests;
};

// A layer with its graph, and all of its nests in the order in which it computes them.
struct NestedLayer {
  LayerSpec spec;
  ir::Graph graph;
  std::vector<ir::LoopNest> nests;
};

// What the file computes: its layer, or each nest as a layer of its own. An error where a nest is none, or
// where they are not those of the layer.
Result<std::vector<NestedLayer>> layers_of(const NestFile& file);

// The layer's graph with the kernels of its nests.
Result<std::shared_ptr<const CompiledGraph>> compile_nests(const NestedLayer& layer, BackEnd back_end,
                                                           KernelCache& kernels);

// The graph with other kernels where `replace`, called for each part of each nest in their order, gives one.
using ReplaceKernel = std::function<Result<std::shared_ptr<const CompiledKernel>>(const CompiledPart&)>;
Result<std::shared_ptr<const CompiledGraph>> with_kernels(const CompiledGraph& graph,
                                                          const ReplaceKernel& replace);

}  // namespace convsmith::cli
