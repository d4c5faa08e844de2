// What a verification reached: how many cases ran each padding, layout, activation, data kind, and each block
// and operation of the generated code, as interpreters of it saw them. Used by verify.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/verify/random_layer.hpp"
#include "codegen/interp/block_trace.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/model_spec.hpp"
#include "ir/graph/graph.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith::cli {

class Coverage {
 public:
  struct Row {
    std::string group;
    std::string name;
    int64_t cases = 0;
  };

  Coverage();

  // One case of a layer, its call, and what that did. A row counts a case once.
  void add(const LayerSpec& spec, const CompiledGraph& compiled, const Call& call,
           const interp::BlockTrace& trace);
  // One case of a model. `graph` is the optimized one.
  void add(const ModelSpec& model, const ir::Graph& graph, const Call& call, const interp::BlockTrace& trace);
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
  // Not `ran`: a row that exists, and that this case did not reach.
  void hit(std::string_view group, std::string_view name, bool ran = true);
  void hit_spec(const LayerSpec& spec, const ir::Graph& graph);
  void hit_layer(const LayerSpec& spec, const Problem& problem);
  void hit_call(const ir::Graph& graph, const Call& call);
  void hit_parts(const CompiledGraph& compiled, const Call& call);
  void hit_code(const interp::BlockTrace& trace);
  void count();

  std::vector<Row> rows_;
  std::vector<bool> seen_;  // rows of the case being added
};

}  // namespace convsmith::cli
