// What `explain` shows, collected: the stages of a layer or model, and of each of its passes and their parts.
// Used by explain.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/load_spec.hpp"
#include "codegen/target.hpp"
#include "frontend/keras/make_problem.hpp"
#include "ir/graph/graph.hpp"
#include "ir/nest/schedule.hpp"

namespace convsmith::cli {

// One loop nest, or one program for softmax and its like: what becomes one piece of code.
struct Unit {
  std::string name;  // "pass 2, part 1 of 2: conv1d + elu"; empty where there is one unit only
  std::optional<Problem> problem;
  std::optional<ir::LoopNest> naive;
  std::optional<ir::Schedule> schedule;
  std::optional<ir::LoopNest> nest;
  std::optional<vir::Program> program;
  std::string run_line;        // what a .vir file calls the program with; empty: not known
  std::optional<Error> error;  // why what is missing is missing
};

struct Pipeline {
  std::optional<ParsedLayer> layer;
  std::optional<LayerProblem> problem;
  std::optional<ir::Graph> graph;  // of models and layers
  std::string groups;              // its schedule (runtime/graph_schedule.hpp); empty: none
  std::vector<Unit> units;
};

// As far as `depth` asks; an error leaves what was reached, and one of a unit leaves the units behind it as
// well. `pass`: only that one, from 1; 0: all.
enum class Depth { kSpec, kProblem, kGraph, kUnits };
Result<void> fill_pipeline(Pipeline& pipeline, Subject subject, const CommonOptions& options,
                           const Target& target, Depth depth, int pass);

}  // namespace convsmith::cli
