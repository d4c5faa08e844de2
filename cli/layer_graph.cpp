#include "cli/layer_graph.hpp"

#include "frontend/layer_class.hpp"
#include "ir/build_graph.hpp"

namespace convsmith::cli {

Result<ir::Graph> layer_graph(const LayerSpec& spec, const LayerProblem& problem) {
  const int64_t channels = problem.chain.front().channels;
  // The problem has been checked by the rules that count.
  if (spec.kind != LayerKind::kDense) return ir::build_graph(spec, channels, Rules::kAny);
  ModelSpec model;
  model.layers = {{"input", "InputLayer", InputOp{{std::nullopt, channels}}, {}},
                  {"dense", std::string(class_name_of(spec.kind)), spec, {}}};
  model.nodes = {{0, {}}, {1, {0}}};
  model.inputs = {0};
  model.outputs = {1};
  return ir::build_graph(model, Rules::kAny);
}

}  // namespace convsmith::cli
