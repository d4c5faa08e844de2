// A network as tensors and passes over memory: what build_graph makes of a model or a layer, what fold and
// fuse rewrite, what the runtime compiles pass by pass. A layer is a graph of one to three operations.
//
// Invariants (verify_graph): operations are in an order in which each reads what an earlier one made or an
// input; each tensor that is no input is made by one operation, or by several that fill disjoint slices of
// its channels; problems have the channels, filters, layouts and rows of their tensors.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/tensor.hpp"
#include "frontend/problem.hpp"

namespace convsmith::ir {

// A number of steps, as a function of the numbers of steps of the graph's inputs.
struct Extent {
  enum class Kind : uint8_t {
    kFixed,   // value
    kInput,   // the steps of input number `value`
    kWindow,  // window.output_steps(extent `from`)
    kScaled   // value * extent `from`
  };
  Kind kind = Kind::kFixed;
  int64_t value = 1;
  int from = -1;
  Problem window = {};
  bool operator==(const Extent&) const = default;
};

// (samples, steps, channels), or (samples, channels, steps) for channels first. A tensor without steps has
// one.
struct GraphTensor {
  std::string name;  // of the layer that makes it
  int steps = 0;     // index into Graph::extents
  int64_t channels = 1;
  Layout layout = Layout::kChannelsLast;
  // A view of tensor `base`: the same memory under other sizes with the same product, or, where `slice`, its
  // channels from first_channel on (channels last, the same steps).
  int base = -1;
  bool slice = false;
  int64_t first_channel = 0;
};

enum class OpKind : uint8_t {
  kNest,        // a problem
  kSoftmax,     // along the last axis in memory
  kLogSoftmax,  // the same
  kSparsemax,   // the same
  kTranspose    // steps and channels change places: in and out have the two layouts, or exchanged sizes
};

struct Op {
  std::string name;  // the layers it computes: "conv1d + batch_normalization + elu"
  OpKind kind = OpKind::kNest;
  Problem problem = {};  // kNest
  int in = -1;           // tensors
  int out = -1;
  // Where problem.combine is not kNone, one of the two: a tensor, or an array that all samples share.
  int operand = -1;
  int operand_array = -1;
  // Arrays, as the problem's comment says; -1: none.
  int kernel = -1;
  int bias = -1;
};

// One axis of a shape: size, or size * extents[extent].
struct Axis {
  int64_t size = 1;
  int extent = -1;
};

// Weights. Of a layer that is compiled without them `data` is empty.
struct Array {
  std::string name;  // "conv1d/kernel"
  std::vector<int64_t> shape;
  std::vector<float> data;
};

struct Graph {
  std::string name;
  std::vector<Extent> extents;  // each after those it is made from
  std::vector<GraphTensor> tensors;
  std::vector<Op> ops;
  std::vector<Array> arrays;
  std::vector<int> inputs;  // tensors
  std::vector<int> outputs;
  // By input: the only number of steps that a layer behind it (Flatten and the like) allows, if there is one.
  std::vector<std::optional<int64_t>> pinned_steps;
  // By input and output: the axes as Keras shows them, without the batch axis. Empty for a layer.
  std::vector<std::vector<Axis>> input_shapes;
  std::vector<std::vector<Axis>> output_shapes;
  std::vector<std::string> decisions;  // what fold and fuse did and what they could not, in sentences
};

Result<void> verify_graph(const Graph& graph);
std::string print(const Graph& graph);

}  // namespace convsmith::ir
