#include "ir/graph/graph_builder.hpp"

#include <algorithm>
#include <set>

#include "frontend/base/check.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/make_problem.hpp"

namespace convsmith::ir {

Problem copy_problem(int64_t channels, Layout layout) {
  Problem copy;
  copy.channels = copy.filters = copy.groups = channels;
  copy.layout = layout;
  copy.reduce = Reduce::kCopy;
  copy.has_bias = false;
  return copy;
}

void GraphBuilder::enter(std::string layer, std::string class_name) {
  layer_ = std::move(layer);
  class_name_ = std::move(class_name);
}

tl::unexpected<Error> GraphBuilder::error(ErrorCode code, const std::string& sentence) const {
  return make_error(code, fmt::format("Layer '{}' ({}): {}", layer_, class_name_, sentence));
}

Result<Value> GraphBuilder::add_input(const Shape& shape, int steps_axis) {
  Value value;
  const int number = static_cast<int>(graph_.inputs.size());
  declared_.push_back({});
  graph_.pinned_steps.push_back({});
  graph_.pinned_by.emplace_back();
  for (size_t i = 0; i < shape.size(); ++i) {
    const bool is_steps = static_cast<int>(i) == steps_axis;
    const int64_t limit = is_steps ? kMaxSteps - 1 : kMaxSize;
    if ((!shape[i] && !is_steps) || (shape[i] && (*shape[i] < 1 || *shape[i] > limit))) {
      return refuse("Axis {} of the input must be a number from 1 to {}, found {}.", i + 1, limit,
                    shape[i] ? fmt::format("{}", *shape[i]) : "None");
    }
    if (is_steps) {
      declared_.back() = shape[i];
      value.shape.push_back({1, note(extents_.input(number))});
    } else {
      value.shape.push_back({*shape[i], -1});
    }
  }
  if (shape.empty()) return refuse("The input must have at least one axis behind the batch axis.");
  graph_.input_shapes.push_back(value.shape);
  // Axis 1 of two can only be steps where channels are first.
  const bool first = shape.size() == 2 && steps_axis == 1;
  Result<int> steps =
      first ? extent_of({value.shape[1]}) : extent_of({value.shape.begin(), value.shape.end() - 1});
  if (!steps) return tl::unexpected(steps.error());
  Result<int> tensor = first ? add_tensor(*steps, value.shape[0].size, Layout::kChannelsFirst)
                             : add_tensor(*steps, value.shape.back().size, Layout::kChannelsLast);
  if (!tensor) return tl::unexpected(tensor.error());
  value.tensor = *tensor;
  graph_.inputs.push_back(value.tensor);
  return value;
}

int GraphBuilder::add_array(Array array) {
  graph_.arrays.push_back(std::move(array));
  return static_cast<int>(graph_.arrays.size()) - 1;
}

int GraphBuilder::add_batch_norm(BatchNorm norm) {
  graph_.batch_norms.push_back(std::move(norm));
  return static_cast<int>(graph_.batch_norms.size()) - 1;
}

int GraphBuilder::note(int extent) {
  for (size_t i = known_.size(); i < graph_.extents.size(); ++i) {
    const Extent& e = graph_.extents[i];
    int root = -1;
    std::optional<int64_t> from = 0;
    if (e.kind == Extent::Kind::kInput) {
      root = static_cast<int>(e.value);
      known_.push_back(declared_[static_cast<size_t>(root)]);
    } else {
      if (e.from >= 0) {
        root = roots_[static_cast<size_t>(e.from)];
        from = known_extent(e.from);
      }
      known_.push_back(from ? std::optional(evaluate_extent(e, *from, {})) : std::nullopt);
    }
    roots_.push_back(root);
  }
  return extent;
}

Axis GraphBuilder::axis_of(int extent) const {
  const Extent& e = graph_.extents[static_cast<size_t>(extent)];
  if (e.kind == Extent::Kind::kFixed) return {e.value, -1};
  if (e.kind == Extent::Kind::kScaled) return {e.value, e.from};
  return {1, extent};
}

std::optional<int64_t> GraphBuilder::known(const Axis& axis) const {
  if (axis.extent < 0) return axis.size;
  const std::optional<int64_t> steps = known_extent(axis.extent);
  if (!steps) return {};
  return evaluate_extent({.kind = Extent::Kind::kScaled, .value = axis.size}, *steps, {});
}

Result<int64_t> GraphBuilder::pin(const Axis& axis) {
  if (axis.extent < 0) return axis.size;
  const int root = roots_[static_cast<size_t>(axis.extent)];
  const std::optional<int64_t> size = known(axis);
  if (!size) {
    return refuse("The layer needs a known number of steps, but input {} of the model ('{}') declares None.",
                  root + 1, tensor(graph_.inputs[static_cast<size_t>(root)]).name);
  }
  if (*size >= kMaxSteps) return refuse("There would be {} steps or more.", kMaxSteps);
  std::optional<int64_t>& pinned = graph_.pinned_steps[static_cast<size_t>(root)];
  if (!pinned) graph_.pinned_by[static_cast<size_t>(root)] = layer_;
  pinned = declared_[static_cast<size_t>(root)];
  return *size;
}

bool GraphBuilder::are_equal(const Axis& a, const Axis& b) {
  if (a.size == b.size && a.extent == b.extent) return true;
  const std::optional<int64_t> known_a = known(a);
  const std::optional<int64_t> known_b = known(b);
  if (known_a && known_b && *known_a != *known_b) return false;
  if (a.extent < 0 && b.extent < 0) return true;
  // A fixed size beside declared steps: the input has no other choice.
  if (known_a && known_b && (a.extent < 0 || b.extent < 0)) return pin(a).has_value() && pin(b).has_value();
  const int x = *extent_of({a});
  const int y = *extent_of({b});
  graph_.same_steps.push_back({layer_, std::min(x, y), std::max(x, y)});
  return true;
}

Shape GraphBuilder::shape_of(const Value& value) const {
  Shape shape{std::nullopt};
  for (const Axis& axis : value.shape) shape.push_back(known(axis));
  return shape;
}

std::string GraphBuilder::text(const Value& value) const {
  return shape_text(shape_of(value));
}

// The product of axes, of which one may depend on the call.
Result<int> GraphBuilder::extent_of(const std::vector<Axis>& axes) {
  int64_t factor = 1;
  int extent = -1;
  for (const Axis& axis : axes) {
    int64_t size = axis.size;
    if (axis.extent >= 0 && extent >= 0) {
      Result<int64_t> pinned = pin(axis);
      if (!pinned) return tl::unexpected(pinned.error());
      size = *pinned;
    } else if (axis.extent >= 0) {
      extent = axis.extent;
    }
    factor = evaluate_extent({.kind = Extent::Kind::kScaled, .value = size}, factor, {});
  }
  if (factor >= kMaxSteps) return refuse("There would be {} steps or more.", kMaxSteps);
  return note(extent < 0 ? extents_.fixed(factor) : extents_.scaled(extent, factor));
}

Result<int> GraphBuilder::window(int from, const Problem& problem) {
  const int extent = note(extents_.window(from, problem));
  const std::optional<int64_t> before = known_extent(from);
  const std::optional<int64_t> after = known_extent(extent);
  if (before && after && *before > 0 && *after == 0)
    return refuse("The output would be empty: the input has {} steps.", *before);
  if (after && *after >= kMaxSteps) return refuse("The output would have {} steps or more.", kMaxSteps);
  return extent;
}

Result<int> GraphBuilder::as_form(const Value& value, Layout layout) {
  if (layout_of(value) == layout) return value.tensor;
  if (value.shape.empty() || value.shape.size() > 2) {
    return refuse("The input must have 2 axes behind the batch axis, found {}.", text(value));
  }
  const bool last = layout == Layout::kChannelsLast;
  const Axis one;
  const Axis& back = value.shape.back();
  // One axis alone is a row of channels, of one step.
  const Axis& steps = value.shape.size() == 1 ? one : last ? value.shape[0] : value.shape[1];
  Result<int64_t> channels = pin(last || value.shape.size() == 1 ? back : value.shape[0]);
  if (!channels) return tl::unexpected(channels.error());
  Result<int> extent = extent_of({steps});
  if (!extent) return tl::unexpected(extent.error());
  Result<int> view = add_tensor(*extent, *channels, layout);
  if (view) graph_.tensors.back().base = root_of(graph_, value.tensor);
  return view;
}

Result<Value> GraphBuilder::reshape(const Value& value, std::vector<Axis> shape) {
  if (shape == value.shape) return value;
  Result<Value> out = add_value(std::move(shape));
  if (!out) return out;
  if (is_same_form(tensor(value.tensor), tensor(out->tensor))) {
    graph_.tensors.pop_back();
    out->tensor = value.tensor;
  } else {
    graph_.tensors.back().base = root_of(graph_, value.tensor);
  }
  return out;
}

Result<Value> GraphBuilder::repeat_samples(const Value& value, const std::vector<Axis>& shape) {
  const auto added = shape.end() - std::ssize(value.shape);
  std::vector<Axis> wide(shape.begin(), added);
  wide.insert(wide.end(), value.shape.begin(), value.shape.end());
  Result<int> met = extent_of({added[-1]});
  if (!met) return tl::unexpected(met.error());
  Result<Value> out = add_value(std::move(wide));
  if (!out) return out;
  graph_.batch_steps.push_back({layer_, *met});
  graph_.ops.push_back({.name = layer_,
                        .kind = OpKind::kRepeat,
                        .problem = copy_problem(1, Layout::kChannelsLast),
                        .in = value.tensor,
                        .out = out->tensor});
  return out;
}

Result<Value> GraphBuilder::add_value(std::vector<Axis> shape) {
  Value out{-1, std::move(shape)};
  const bool first = out.shape.size() == 2 && out.shape[1].extent >= 0 && out.shape[0].extent < 0;
  // A number for each sample is one channel.
  const size_t leading = out.shape.empty() ? 0 : out.shape.size() - 1;
  const Axis channels_axis = first ? out.shape[0] : out.shape.empty() ? Axis{} : out.shape.back();
  Result<int64_t> channels = pin(channels_axis);
  if (!channels) return tl::unexpected(channels.error());
  const auto behind = out.shape.begin() + static_cast<std::ptrdiff_t>(leading);
  Result<int> steps = first ? extent_of({out.shape[1]}) : extent_of({out.shape.begin(), behind});
  if (!steps) return tl::unexpected(steps.error());
  Result<int> made = add_tensor(*steps, *channels, first ? Layout::kChannelsFirst : Layout::kChannelsLast);
  if (!made) return tl::unexpected(made.error());
  out.tensor = *made;
  return out;
}

Result<Value> GraphBuilder::transpose(const Value& value) {
  if (value.shape.size() != 2)
    return refuse("The input must have 2 axes behind the batch axis, found {}.", text(value));
  const GraphTensor in = tensor(value.tensor);
  const Layout layout = in.layout == Layout::kChannelsLast ? Layout::kChannelsFirst : Layout::kChannelsLast;
  Result<int> out = add_tensor(in.steps, in.channels, layout);
  if (!out) return tl::unexpected(out.error());
  if (in.channels == 1 && !in.slice) {
    graph_.tensors.back().base = root_of(graph_, value.tensor);  // the same memory
  } else {
    graph_.ops.push_back({.name = layer_, .kind = OpKind::kTranspose, .in = value.tensor, .out = *out});
  }
  return Value{*out, {value.shape[1], value.shape[0]}};
}

Result<int> GraphBuilder::add_tensor(int steps, int64_t channels, Layout layout) {
  if (channels < 1 || channels > kMaxSize)
    return refuse("There must be from 1 to {} channels, found {}.", kMaxSize, channels);
  const std::optional<int64_t> known_steps = known_extent(steps);
  if (known_steps && *known_steps >= kMaxFloats / channels)
    return refuse("The output would have {} values a sample or more.", kMaxFloats);
  graph_.tensors.push_back({.name = layer_, .steps = steps, .channels = channels, .layout = layout});
  return static_cast<int>(graph_.tensors.size()) - 1;
}

Value GraphBuilder::as_value(int id) const {
  const GraphTensor& t = tensor(id);
  const Axis steps = axis_of(t.steps);
  const Axis channels{t.channels, -1};
  if (t.layout == Layout::kChannelsLast) return {id, {steps, channels}};
  return {id, {channels, steps}};
}

int GraphBuilder::add_slice(int base, int64_t first_channel, int64_t channels) {
  GraphTensor slice = tensor(base);
  slice.name = layer_;
  slice.base = base;
  slice.slice = true;
  slice.first_channel = first_channel;
  slice.channels = channels;
  graph_.tensors.push_back(std::move(slice));
  return static_cast<int>(graph_.tensors.size()) - 1;
}

Result<int> GraphBuilder::add_problem(Problem problem, int in, const Extras& extras) {
  Result<int> steps = window(tensor(in).steps, problem);
  if (!steps) return steps;
  Result<int> out = add_tensor(*steps, problem.filters, problem.layout);
  if (out) add_problem_into(*out, problem, in, extras);
  return out;
}

void GraphBuilder::add_problem_into(int out, const Problem& problem, int in, const Extras& extras) {
  graph_.ops.push_back({.name = layer_,
                        .problem = problem,
                        .in = in,
                        .out = out,
                        .operand = extras.operand,
                        .operand_array = extras.operand_array,
                        .kernel = extras.kernel,
                        .bias = extras.bias,
                        .batch_norm = extras.batch_norm});
}

Result<Value> GraphBuilder::add_elementwise(Problem problem, const Value& value, const Extras& extras) {
  Result<int> out = add_problem(problem, value.tensor, extras);
  if (!out) return tl::unexpected(out.error());
  return Value{*out, value.shape};
}

Result<Value> GraphBuilder::add_row_op(OpKind kind, const Value& value) {
  const GraphTensor in = tensor(value.tensor);
  Result<int> out = add_tensor(in.steps, in.channels, in.layout);
  if (!out) return tl::unexpected(out.error());
  graph_.ops.push_back({.name = layer_, .kind = kind, .in = value.tensor, .out = *out});
  return Value{*out, value.shape};
}

// Turn this: extents that depend on pinned inputs, and pairs that a call must find equal. Into this: numbers,
// and one extent for both.
void GraphBuilder::settle_extents(std::vector<Value>& outputs) {
  std::vector<Extent> settled;
  ExtentTable table(settled);
  std::vector<int> place;
  for (size_t i = 0; i < graph_.extents.size(); ++i) {
    const Extent& e = graph_.extents[i];
    const int from = e.from < 0 ? -1 : place[static_cast<size_t>(e.from)];
    if (roots_[i] < 0 || graph_.pinned_steps[static_cast<size_t>(roots_[i])]) {
      place.push_back(table.fixed(*known_[i]));
    } else if (e.kind == Extent::Kind::kInput) {
      place.push_back(table.input(e.value));
    } else if (e.kind == Extent::Kind::kScaled) {
      place.push_back(table.scaled(from, e.value));
    } else {
      place.push_back(table.window(from, e.window));
    }
  }
  graph_.extents = std::move(settled);
  const auto settle_axes = [&](std::vector<Axis>& axes) {
    for (Axis& axis : axes) {
      if (axis.extent < 0) continue;
      const Extent& e =
          graph_.extents[static_cast<size_t>(axis.extent = place[static_cast<size_t>(axis.extent)])];
      if (e.kind == Extent::Kind::kFixed) axis = {axis.size * e.value, -1};
    }
  };
  for (std::vector<Axis>& axes : graph_.input_shapes) settle_axes(axes);
  for (Value& output : outputs) settle_axes(output.shape);
  for (GraphTensor& t : graph_.tensors) t.steps = place[static_cast<size_t>(t.steps)];

  std::vector<int> first(graph_.extents.size());  // the extent that stands for this one
  for (size_t i = 0; i < first.size(); ++i) first[i] = static_cast<int>(i);
  const auto find = [&](int extent) {
    while (first[static_cast<size_t>(extent)] != extent) {
      int& next = first[static_cast<size_t>(extent)];
      extent = next = first[static_cast<size_t>(next)];
    }
    return extent;
  };
  std::vector<SameSteps> pairs;
  for (SameSteps& pair : graph_.same_steps) {
    pair.a = place[static_cast<size_t>(pair.a)];
    pair.b = place[static_cast<size_t>(pair.b)];
    const int a = find(pair.a);
    const int b = find(pair.b);
    if (a == b) continue;
    first[static_cast<size_t>(std::max(a, b))] = std::min(a, b);
    pairs.push_back(std::move(pair));
  }
  graph_.same_steps = std::move(pairs);
  for (GraphTensor& t : graph_.tensors) t.steps = find(t.steps);
  for (BatchSteps& met : graph_.batch_steps) met.extent = find(place[static_cast<size_t>(met.extent)]);
}

Result<Graph> GraphBuilder::finish(std::vector<Value> outputs) {
  std::set<int> taken(graph_.inputs.begin(), graph_.inputs.end());
  for (Value& output : outputs) {
    enter(tensor(output.tensor).name, "output");
    if (!taken.insert(root_of(graph_, output.tensor)).second) {
      const GraphTensor& t = tensor(output.tensor);
      Result<Value> copy = add_elementwise(copy_problem(t.channels, t.layout), output);
      if (!copy) return tl::unexpected(copy.error());
      output = *copy;
      taken.insert(output.tensor);
    }
    graph_.outputs.push_back(output.tensor);
  }
  settle_extents(outputs);
  for (Value& output : outputs) graph_.output_shapes.push_back(std::move(output.shape));
  set_rows(graph_);
  return std::move(graph_);
}

}  // namespace convsmith::ir
