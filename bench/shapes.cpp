#include "bench/shapes.hpp"

#include <algorithm>
#include <array>

#include "frontend/keras/make_problem.hpp"

namespace convsmith::bench {

LayerClass layer_class(const Shape1d& shape) {
  const Problem problem = make_problem(shape.spec, Rules::kAny).value();
  if (problem.transposed) return LayerClass::kTransposed;
  if (problem.output_steps(shape.steps) <= 4) return LayerClass::kOneStep;
  if (problem.groups > 1)
    return problem.group_channels() == 1 ? LayerClass::kDepthwise : LayerClass::kGrouped;
  if (problem.filters == 1) return LayerClass::kOneFilter;
  if (problem.filters <= 8) return LayerClass::kFewFilters;
  if (problem.channels <= 4) return LayerClass::kStem;
  if (std::min(problem.channels, problem.filters) <= 32) return LayerClass::kSmallChannels;
  return LayerClass::kDense;
}

std::string class_name(LayerClass layer_class) {
  constexpr std::array<const char*, kLayerClasses> kNames = {"transposed", "one step",       "depthwise",
                                                             "grouped",    "one filter",     "few filters",
                                                             "stem",       "small channels", "dense"};
  return kNames[static_cast<size_t>(layer_class)];
}

std::string default_shapes() {
  return CONVSMITH_BENCH_SHAPES;
}

std::vector<Shape1d> read_shapes(const std::string& path) {
  auto rows = cli::read_shapes(path);
  if (rows) return std::move(*rows);
  std::fprintf(stderr, "%s\n", rows.error().message.c_str());
  std::exit(2);
}

}  // namespace convsmith::bench
