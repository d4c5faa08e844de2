// A compiled graph as vir functions that run without us. Called by the ahead-of-time compiler; what a call
// does is GraphCall's.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "codegen/vir/vir.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith {

// Where each part's packed weights and each operand array begin, in floats from the beginning of all.
struct WeightPlan {
  explicit WeightPlan(const CompiledGraph& graph);
  std::vector<std::vector<int64_t>> parts;  // by operation and part
  std::vector<int64_t> arrays;
  int64_t floats = 0;  // of all; a multiple of 16
};

// The data that the functions name: packed weights that travel with the code, and what `info` gives.
inline constexpr std::string_view kWeightsData = "weights";
inline constexpr std::string_view kInfoData = "info.text";

// All functions: the kernels of the graph (whose programs it keeps), one for each that threads share, "call",
// which makes a call pass by pass, and the C functions before it, named as an artifact names them behind its
// own name:
//
//   run, run_parallel, run_flush, run_parallel_flush, output_steps, input_floats, output_floats,
//   workspace_bytes, parallel_workspace_bytes, info,
//   packed_bytes, pack    where the weights do not travel with the code
std::vector<vir::Program> lower_graph(const CompiledGraph& graph, bool embedded);

// The C functions among them.
std::vector<std::string_view> c_functions(bool embedded);

// NAME_pack: from arrays as Keras keeps them, at most three, to what the kernels read.
vir::Program lower_pack(const CompiledGraph& graph, const WeightPlan& plan, int lanes);

}  // namespace convsmith
