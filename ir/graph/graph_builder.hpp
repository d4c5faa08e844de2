// Grows a graph operation by operation, for build_graph: keeps what Keras calls shapes beside the tensors,
// knows the sizes that the inputs declare, and finds every error of sizes.
//
// A Value's memory is Keras's array in C order; its tensor says how to read it as steps and channels:
// channels last (channels are the last axis, steps all others together), or channels first (two axes:
// channels, steps).
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "convsmith/layer_spec.hpp"
#include "ir/graph/graph.hpp"
#include "ir/graph/graph_extents.hpp"

namespace convsmith::ir {

struct Value {
  int tensor = -1;
  std::vector<Axis> shape;  // without the batch axis
};

// What an operation reads beside its input; fields of Op.
struct Extras {
  int operand = -1;
  int operand_array = -1;
  int kernel = -1;
  int bias = -1;
  int batch_norm = -1;
};

// One copied element per output: what activations and merges are made of.
Problem copy_problem(int64_t channels, Layout layout);

class GraphBuilder {
 public:
  explicit GraphBuilder(std::string name) { graph_.name = std::move(name); }
  GraphBuilder(const GraphBuilder&) = delete;
  GraphBuilder& operator=(const GraphBuilder&) = delete;

  // What follows is done for this layer: errors and operations bear its name.
  void enter(std::string layer, std::string class_name);
  const std::string& layer() const { return layer_; }

  // An error of the current layer. The sentence begins with a capital.
  template <class... Args>
  tl::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) const {
    return error(ErrorCode::kInvalidSpec, fmt::format(format, std::forward<Args>(args)...));
  }
  tl::unexpected<Error> error(ErrorCode code, const std::string& sentence) const;

  // An input whose steps are axis `steps_axis` (-1: none) and may differ from call to call.
  Result<Value> add_input(const Shape& shape, int steps_axis);
  int add_array(Array array);
  const Array& array(int id) const { return graph_.arrays[static_cast<size_t>(id)]; }
  int add_batch_norm(BatchNorm norm);

  // The size of an axis, where the inputs declare it.
  std::optional<int64_t> known(const Axis& axis) const;
  // The size of an axis that must not depend on the call: the input behind it is pinned.
  Result<int64_t> pin(const Axis& axis);
  // Whether two axes are equal: always, or on calls that have the sizes the inputs declare (then that is
  // noted), or, where nothing is declared, whenever a call finds them so (noted too).
  bool are_equal(const Axis& a, const Axis& b);
  Shape shape_of(const Value& value) const;
  std::string text(const Value& value) const;

  // The memory of `value` in one of the two forms.
  Result<int> as_rows(const Value& value) { return as_form(value, Layout::kChannelsLast); }
  Result<int> as_form(const Value& value, Layout layout);
  Layout layout_of(const Value& value) const { return tensor(value.tensor).layout; }
  const GraphTensor& tensor(int id) const { return graph_.tensors[static_cast<size_t>(id)]; }
  // The same memory under another shape of the same size.
  Result<Value> reshape(const Value& value, std::vector<Axis> shape);
  // `value` as numpy lines it up with a shape of more axes: its batch axis becomes the axis of `shape` that
  // it meets, and each sample of the result holds all samples.
  Result<Value> repeat_samples(const Value& value, const std::vector<Axis>& shape);
  // Both axes exchanged, by an operation of its own.
  Result<Value> transpose(const Value& value);

  // New memory of this shape.
  Result<Value> add_value(std::vector<Axis> shape);
  // A new tensor of this form, and the value that it is.
  Result<int> add_tensor(int steps, int64_t channels, Layout layout);
  Value as_value(int tensor) const;
  int add_slice(int tensor, int64_t first_channel, int64_t channels);
  // One operation on tensor `in`; its result.
  Result<int> add_problem(Problem problem, int in, const Extras& extras = {});
  void add_problem_into(int out, const Problem& problem, int in, const Extras& extras = {});
  // One operation that changes no sizes: elementwise, or along the last axis.
  Result<Value> add_elementwise(Problem problem, const Value& value, const Extras& extras = {});
  Result<Value> add_row_op(OpKind kind, const Value& value);

  // The graph that ends in `outputs`: with pinned extents as numbers and no output sharing memory.
  Result<Graph> finish(std::vector<Value> outputs);

 private:
  Result<int> extent_of(const std::vector<Axis>& axes);
  Result<int> window(int from, const Problem& problem);
  int note(int extent);  // brings known_ and roots_ up to date
  Axis axis_of(int extent) const;
  std::optional<int64_t> known_extent(int extent) const { return known_[static_cast<size_t>(extent)]; }
  void settle_extents(std::vector<Value>& outputs);

  Graph graph_;
  ExtentTable extents_{graph_.extents};
  std::vector<std::optional<int64_t>> known_;     // by extent: its value for the declared inputs
  std::vector<int> roots_;                        // by extent: the input it depends on, -1 for none
  std::vector<std::optional<int64_t>> declared_;  // by input
  std::string layer_;
  std::string class_name_;
};

}  // namespace convsmith::ir
