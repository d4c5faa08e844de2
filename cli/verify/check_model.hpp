// Holds one model on all back ends against the interpreter, bit for bit; the optimized graph against the one
// whose layers are passes of their own (equal bits, but for what folding a batch normalization changes); and
// the interpreter against the float64 reference within its bound. Called by verify.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "cli/verify/check_graph.hpp"
#include "frontend/model_spec.hpp"

namespace convsmith::cli {

struct CheckedModel {
  std::shared_ptr<const ModelSpec> spec;
  std::vector<Variant> variants;                // of the optimized graph; the first one is an interpreter
  std::shared_ptr<const CompiledGraph> plain;   // nothing folded, nothing fused
  std::shared_ptr<const CompiledGraph> folded;  // nothing fused

  const ir::Graph& graph() const { return variants.front().graph->graph; }
};

Result<CheckedModel> make_checked_model(ModelSpec model, Rules rules, const std::vector<BackEnd>& back_ends,
                                        const ScheduleChoice& schedule = {});

// Batch 0..3, or one that fits, and a length that fits, of at most 2 million multiply-adds if the model
// leaves its length open.
Call random_model_call(const CheckedModel& model, uint64_t seed);

// The first thing that is wrong, if anything is.
std::optional<Finding> check_call(const CheckedModel& model, const Call& call, const CheckOptions& options,
                                  Pools& pools);

}  // namespace convsmith::cli
