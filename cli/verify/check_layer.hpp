// Holds one layer on all back ends against the interpreter, bit for bit, and the interpreter against the
// reference: sums against the strict order in float32 and a float64 loop, activations against double
// precision. The core of verify, as a library so that tests can call it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/verify/check_graph.hpp"
#include "cli/verify/nest_file.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/make_problem.hpp"
#include "ir/nest/nest.hpp"

namespace convsmith::cli {

struct CheckedLayer {
  LayerSpec spec;
  ir::Graph graph;
  std::vector<Variant> variants;     // the first one is an interpreter, which judges the others
  std::vector<std::string> skipped;  // back ends that a schedule of the caller's does not fit, and why
};

// Compiles the layer for every one of `back_ends`.
Result<CheckedLayer> make_checked_layer(const LayerSpec& spec, const LayerProblem& problem,
                                        const std::vector<BackEnd>& back_ends,
                                        const ScheduleChoice& schedule = {});
// The same for the scheduled nests of a layer, or for one that must be that of a layer.
Result<CheckedLayer> make_checked_nests(const NestedLayer& layer, const std::vector<BackEnd>& back_ends);
Result<CheckedLayer> make_checked_nest(const ir::LoopNest& nest, const std::vector<BackEnd>& back_ends);

// The first thing that is wrong, if anything is.
std::optional<Finding> check_call(const CheckedLayer& layer, const Call& call, const CheckOptions& options,
                                  Pools& pools);

}  // namespace convsmith::cli
