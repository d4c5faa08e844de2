// What a verification reached: how many cases ran each padding, layout, activation, data kind and part of the
// generated code. The facts follow from the spec, the scheduled nest and the sizes of the call by the same
// rules as the code's own control flow, so nothing has to be instrumented. Used by verify.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/random_layer.hpp"
#include "codegen/target.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/model_spec.hpp"
#include "ir/graph.hpp"
#include "ir/nest.hpp"
#include "ir/parts.hpp"

namespace convsmith::cli {

// The nests of a graph as they are compiled for one instruction set, by operation and part.
struct ScheduledGraph {
  Isa isa;
  std::vector<std::vector<ir::LoopNest>> nests;
  std::vector<int64_t> chunks;  // CompiledGraph's
};

class Coverage {
 public:
  struct Row {
    std::string group;
    std::string name;
    int64_t cases = 0;
  };

  Coverage();

  // One case of a layer: its graph, the nests of it, and its call. A row counts a case once.
  void add(const LayerSpec& spec, const ir::Graph& graph, const std::vector<ScheduledGraph>& scheduled,
           const Call& call);
  // One case of a model. `graph` is the optimized one.
  void add(const ModelSpec& model, const ir::Graph& graph, const Call& call);
  // A case that ran on `back_end`, "xbyak avx2" for example, which gets a row if it has none.
  void add_back_end(std::string_view back_end);
  void add_threads(int threads);
  void merge(const Coverage& other);

  const std::vector<Row>& rows() const { return rows_; }
  // "group: name" of the rows that no case ran.
  std::vector<std::string> missing() const;
  // A line for each group.
  std::string print() const;

 private:
  void hit(std::string_view group, std::string_view name);
  void hit_spec(const LayerSpec& spec, const ir::Graph& graph);
  void hit_layer(const LayerSpec& spec, const Problem& problem);
  void hit_call(const ir::Graph& graph, const Call& call);
  // One nest and the rows [begin, end) of its output.
  void hit_nest(const ir::LoopNest& nest, const Target& target);
  void hit_bands(const ir::LoopNest& nest, const Target& target, ir::RowRange rows, int64_t steps);
  void hit_steps(const ir::LoopNest& nest, const Target& target, int64_t width);
  void hit_parts(const ir::Graph& graph, const ScheduledGraph& scheduled, const Call& call);
  void count();

  std::vector<Row> rows_;
  std::vector<bool> seen_;  // rows of the case being added
};

}  // namespace convsmith::cli
