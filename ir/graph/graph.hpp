// A network as tensors and passes over memory: what build_graph makes of a model or a layer, what fold and
// fuse rewrite, what the runtime compiles pass by pass. A layer is a graph of one to three operations.
//
// Invariants (verify_graph): operations are in an order in which each reads what an earlier one made or an
// input; each tensor that is no input is made by one operation, or by several that fill disjoint slices of
// its channels; problems have the channels, filters, layouts and rows of their tensors; outputs are no slices
// and share memory neither with inputs nor with each other.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "convsmith/activation.hpp"
#include "convsmith/error.hpp"
#include "convsmith/tensor.hpp"
#include "frontend/problem.hpp"

namespace convsmith::ir {

// Taps, stride and pad_right + 1 of a pooling over all steps: Problem's formulas then give one output step
// for 1 to kAllSteps input steps.
inline constexpr int64_t kAllSteps = int64_t{1} << 30;

// Where numbers of steps end: evaluate_extents gives no more.
inline constexpr int64_t kMaxSteps = int64_t{1} << 40;

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
// one. An operation may read and write through views.
struct GraphTensor {
  std::string name;  // of the layer that makes it
  int steps = 0;     // index into Graph::extents
  int64_t channels = 1;
  Layout layout = Layout::kChannelsLast;
  // A view of tensor `base`: the same memory under other sizes with the same product, or, where `slice`, its
  // channels from first_channel on (channels last, the same steps). The base of a slice is no slice, the base
  // of another view is no view.
  int base = -1;
  bool slice = false;
  int64_t first_channel = 0;
};

enum class OpKind : uint8_t {
  kNest,        // a problem
  kSoftmax,     // along the last axis in memory
  kLogSoftmax,  // the same
  kSparsemax,   // the same
  kTranspose,   // steps and channels change places: in and out have the two layouts, or exchanged sizes
  kRepeat       // out's memory is in's, all samples of both, again and again; the problem copies one channel
};

// What is compiled as a loop nest.
inline bool has_problem(OpKind kind) {
  return kind == OpKind::kNest || kind == OpKind::kRepeat;
}

struct Op {
  std::string name = {};  // the layers it computes: "conv1d + batch_normalization + elu"
  OpKind kind = OpKind::kNest;
  Problem problem = {};  // has_problem
  int in = -1;           // tensors
  int out = -1;
  // Where problem.combine is not kNone, one of the two: a tensor, or an array that all samples share.
  int operand = -1;
  int operand_array = -1;
  // Arrays, as the problem's comment says; -1: none.
  int kernel = -1;
  int bias = -1;
  int batch_norm = -1;  // of an unfolded BatchNormalization: where its unrounded numbers are
};

// One axis of a shape: size, or size * extents[extent].
struct Axis {
  int64_t size = 1;
  int extent = -1;
  bool operator==(const Axis&) const = default;
};

// Weights. Of a layer that is compiled without them `data` is empty.
struct Array {
  std::string name;  // "conv1d/kernel"
  std::vector<int64_t> shape;
  std::vector<float> data;
};

// y = (x - mean) * scale + shift of one BatchNormalization, by channel, as fold needs it.
struct BatchNorm {
  std::vector<double> scale;
  std::vector<double> mean;
  std::vector<double> shift;

  // y = x * scale[c] + offset(c). A mean of zero counts for nothing beside a scale that is infinite.
  double offset(size_t c) const { return mean[c] == 0 ? shift[c] : shift[c] - mean[c] * scale[c]; }
};

// Two extents that a call must find equal, because layer `name` combines tensors of both.
struct SameSteps {
  std::string name;
  int a = 0;
  int b = 0;
};

// An extent that the batch axis meets in operator `name`: a call must find it equal to the batch, or the
// batch be 1.
struct BatchSteps {
  std::string name;
  int extent = 0;
};

struct Graph {
  std::string name;
  std::vector<Extent> extents;  // each after those it is made from
  std::vector<GraphTensor> tensors;
  std::vector<Op> ops;
  std::vector<Array> arrays;
  std::vector<BatchNorm> batch_norms;
  std::vector<SameSteps> same_steps;
  std::vector<BatchSteps> batch_steps;
  std::vector<int> inputs;  // tensors
  std::vector<int> outputs;
  std::vector<std::string> input_names;  // as the model calls them, no two alike
  std::vector<std::string> output_names;
  // By input: the only number of steps that a layer behind it (Flatten and the like) allows, if there is one.
  std::vector<std::optional<int64_t>> pinned_steps;
  std::vector<std::string> pinned_by;  // the name of that layer
  // By input and output: the axes as Keras shows them, without the batch axis. Empty for a layer.
  std::vector<std::vector<Axis>> input_shapes;
  std::vector<std::vector<Axis>> output_shapes;
  std::vector<std::string> decisions;  // what fold and fuse did and what they could not, in sentences
};

// An error is a bug of what made the graph; its sentence is for us.
Result<void> verify_graph(const Graph& graph);

// One line for each input, operation and output.
std::string print(const Graph& graph);

// Each operation reads and writes its tensors once.
int passes_over_memory(const Graph& graph);

// The number of steps of each extent, at most kMaxSteps. `input_steps` has one number for each input (of one
// without steps it is not read).
std::vector<int64_t> evaluate_extents(const Graph& graph, std::span<const int64_t> input_steps);

// The tensor whose memory `tensor` is or shows.
int root_of(const Graph& graph, int tensor);

// Whether two tensors have the same sizes in the same order.
bool is_same_form(const GraphTensor& a, const GraphTensor& b);

// Floats from one step to the next where it is not the number of channels, else 0: what Problem::in_row,
// out_row and operand_row want.
int64_t row_of(const Graph& graph, int tensor);
void set_rows(Graph& graph);

// Whether the operation only changes values where they stand: a copy of each element with an epilogue.
bool is_elementwise(const Op& op);

}  // namespace convsmith::ir
