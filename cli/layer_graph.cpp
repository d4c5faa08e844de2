#include "cli/layer_graph.hpp"

#include "ir/build_graph.hpp"

namespace convsmith::cli {

Result<ir::Graph> layer_graph(const LayerSpec& spec, const LayerProblem& problem) {
  const Problem& first = problem.chain.front();
  Shape shape{std::nullopt, first.channels};
  if (first.layout == Layout::kChannelsFirst) std::swap(shape[0], shape[1]);
  // The problem has been checked by the rules that count.
  return ir::build_graph(spec, shape, Rules::kAny);
}

}  // namespace convsmith::cli
