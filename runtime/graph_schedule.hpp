// The schedule of a graph: which samples and which passes run together, so that what lies between passes
// stays in a cache. As text, passes counted from 1 as explain does:
//
//   samples within 1M        as many at a time, through all passes, as have their tensors in so many bytes
//   group 3..4 chunk 512     the second one reads step by step what the first one makes and nobody else reads
//   group 2..4 chunk 512     the first one is a transpose of the input, which is turned a chunk at a time
//   group 2..20 chunk 4096   passes of stride 1 turn by turn, each as far as so many more input steps let it,
//                            with rolling buffers between them (rolling_group.hpp)
//   no groups                each pass over all steps, one after the other
//
// A chunk begins for every sample anew. No schedule can change a result. Chosen by compile_graph, carried out
// by GraphCall (graph_call.hpp), on the host and in artifacts.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "runtime/compiled_graph.hpp"

namespace convsmith {

struct Group {
  size_t first = 0;  // operations, from 0
  size_t last = 0;
  int64_t chunk = 0;  // output steps, whole rows (ir/nest/parts.hpp)
  bool operator==(const Group&) const = default;
};
struct GraphSchedule {
  int64_t samples_within = 0;  // bytes; 0: all samples at once
  std::vector<Group> groups;
  bool operator==(const GraphSchedule&) const = default;
};

std::string print(const GraphSchedule& schedule);
// Whether a text is meant as one; an error if that of a model, which may be empty, is not.
bool is_graph_schedule(std::string_view text);
Result<void> check_graph_schedule(std::string_view text);
Result<GraphSchedule> parse_graph_schedule(std::string_view text);

// Places the tensors, too.
void choose_graph_schedule(CompiledGraph& graph);
// As the graph has them.
GraphSchedule schedule_of(const CompiledGraph& graph);
// The error names the group and what would be legal.
Result<void> apply_schedule(CompiledGraph& graph, const GraphSchedule& schedule);
Result<std::shared_ptr<const CompiledGraph>> with_schedule(const CompiledGraph& graph,
                                                           const GraphSchedule& schedule);

// What the rows of the operation that begins a chain look at (rows: ir/nest/parts.hpp, else output steps):
// row u at the input from position u * stride - before to u * stride + behind - 1, of an operation that is
// not transposed less its left padding.
struct ChainReach {
  int64_t stride;
  int64_t before;
  int64_t behind;
};
ChainReach chain_reach(const CompiledGraph& graph, size_t op);

// Input positions that the rows of one of its chunks look at.
int64_t chain_inputs(const CompiledGraph& graph, size_t op);

// Whether each output step depends on the input step of the same number only.
bool is_stepwise(const Problem& problem);

}  // namespace convsmith
