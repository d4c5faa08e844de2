#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "convsmith/layers.hpp"
#include "frontend/keras/layer_config.hpp"
#include "frontend/keras/make_problem.hpp"
#include "runtime/objects/layer_state.hpp"
#include "runtime/objects/random.hpp"
#include "runtime/objects/run_model.hpp"

namespace convsmith::layers {
namespace {

tl::unexpected<Error> in_layer(const Layer& layer, const Error& error) {
  return make_error(error.code, fmt::format("In layer `{}`: {}", layer.name(), error.message));
}

// A layer with an activity regularizer must see its own output.
Result<Tensor> run_one_by_one(std::vector<Layer>& layers, const Tensor& input, Denormals denormals) {
  Tensor tensor = input;
  for (Layer& layer : layers) {
    if (layer.class_name() == "InputLayer") continue;
    Result<Tensor> output = layer(tensor, denormals);
    if (!output) return in_layer(layer, output.error());
    tensor = std::move(*output);
  }
  return tensor;
}

}  // namespace

Sequential::Sequential(std::vector<Layer> layers, std::string name) : name_(std::move(name)) {
  for (Layer& layer : layers) add(std::move(layer));
}

void Sequential::add(Layer layer) {
  Layer::State& state = *layer.state_;
  if (!state.is_named) {
    const std::string base = to_snake_case(state.class_name);
    const auto known = std::find_if(names_given_.begin(), names_given_.end(),
                                    [&](const auto& entry) { return entry.first == base; });
    if (known == names_given_.end()) {
      names_given_.emplace_back(base, 1);
    } else {
      state.set_name(fmt::format("{}_{}", base, known->second++));
    }
    state.is_named = true;
  }
  layers_.push_back(std::move(layer));
  input_shape_.clear();
}

Result<Shape> Sequential::given_input_shape() const {
  if (!layers_.empty()) {
    const Layer::State& first = *layers_.front().state_;
    if (first.error) return in_layer(layers_.front(), *first.error);
    Shape shape{first.batch_size};
    shape.insert(shape.end(), first.input_shape.begin(), first.input_shape.end());
    if (shape.size() > 1) return shape;
  }
  return make_error(ErrorCode::kInvalidSpec,
                    fmt::format("The model `{}` does not know its input's shape; begin it with an InputLayer "
                                "or give `input_shape` to the first layer.",
                                name_));
}

Result<void> Sequential::build(uint64_t seed) {
  const Result<Shape> shape = given_input_shape();
  if (!shape) return tl::unexpected(shape.error());
  return build(*shape, seed);
}

Result<void> Sequential::build(const Shape& input_shape, uint64_t seed) {
  std::set<std::string> names;
  for (const Layer& layer : layers_) {
    if (names.insert(layer.name()).second) continue;
    return make_error(
        ErrorCode::kInvalidSpec,
        fmt::format("Two layers of the model `{}` are called `{}`; names must differ.", name_, layer.name()));
  }
  Shape shape = input_shape;
  for (size_t i = 0; i < layers_.size(); ++i) {
    // Every layer draws from a stream of its own.
    if (Result<void> done = layers_[i].build(shape, Random(seed, i).bits()); !done) {
      return in_layer(layers_[i], done.error());
    }
    Result<Shape> next = layers_[i].compute_output_shape(shape);
    if (!next) return in_layer(layers_[i], next.error());
    shape = std::move(*next);
  }
  input_shape_ = input_shape;
  return {};
}

Result<Tensor> Sequential::operator()(const Tensor& input, Denormals denormals) {
  if (input_shape_.empty()) {
    if (Result<void> done = build(Shape(input.shape.begin(), input.shape.end())); !done) {
      return tl::unexpected(done.error());
    }
  }
  const bool regularized = std::any_of(layers_.begin(), layers_.end(), [](const Layer& layer) {
    return layer.state_->has_activity_regularizer();
  });
  if (regularized) return run_one_by_one(layers_, input, denormals);
  if (Result<void> sound = check_tensor(input); !sound) return tl::unexpected(sound.error());
  ModelSpec model;
  model.name = name_;
  if (input.shape.size() < 2) {
    return make_error(ErrorCode::kInvalidData,
                      fmt::format("The input of `{}` must have a batch axis and one more, got {} axes.",
                                  name_, input.shape.size()));
  }
  const Shape shape(input.shape.begin() + 1, input.shape.end());
  model.layers.push_back({"input", "InputLayer", InputOp{shape}, {}});
  model.nodes.push_back({0, {}});
  for (const Layer& layer : layers_) {
    const Layer::State& state = *layer.state_;
    if (state.class_name == "InputLayer") continue;
    const int before = static_cast<int>(model.nodes.size()) - 1;
    model.nodes.push_back({static_cast<int>(model.layers.size()), {before}});
    model.layers.push_back({state.name, state.class_name, state.op, state.weights});
  }
  model.inputs = {0};
  model.outputs = {static_cast<int>(model.nodes.size()) - 1};
  return run_model(std::move(model), input, denormals);
}

Result<Shape> Sequential::output_shape() const {
  Result<std::vector<SummaryRow>> rows = summary();
  if (!rows) return tl::unexpected(rows.error());
  return rows->empty() ? input_shape_ : rows->back().output_shape;
}

Result<std::vector<Sequential::SummaryRow>> Sequential::summary() const {
  Shape shape = input_shape_;
  if (shape.empty()) {
    const Result<Shape> given = given_input_shape();
    if (!given) return tl::unexpected(given.error());
    shape = *given;
  }
  std::vector<SummaryRow> rows;
  for (const Layer& layer : layers_) {
    Result<Shape> next = layer.compute_output_shape(shape);
    if (!next) return in_layer(layer, next.error());
    shape = std::move(*next);
    if (layer.class_name() == "InputLayer") continue;
    rows.push_back({layer.name(), layer.class_name(), shape, layer.count_params()});
  }
  return rows;
}

std::vector<Tensor> Sequential::get_weights() const {
  std::vector<Tensor> all;
  for (const Layer& layer : layers_) {
    for (const Tensor& weight : layer.state_->weights) all.push_back(weight);
  }
  return all;
}

Result<void> Sequential::set_weights(std::vector<Tensor> weights) {
  if (input_shape_.empty()) {
    if (Result<void> done = build(); !done) return done;
  }
  size_t wanted = 0;
  for (const Layer& layer : layers_) wanted += layer.state_->weights.size();
  if (weights.size() != wanted) {
    return make_error(ErrorCode::kInvalidData, fmt::format("The model `{}` has {} weights, but {} are given.",
                                                           name_, wanted, weights.size()));
  }
  auto next = weights.begin();
  for (Layer& layer : layers_) {
    const auto count = static_cast<std::ptrdiff_t>(layer.state_->weights.size());
    Result<void> done = layer.set_weights({next, next + count});
    if (!done) return done;
    next += count;
  }
  return {};
}

Result<std::vector<double>> Sequential::losses() const {
  std::vector<double> all;
  for (const Layer& layer : layers_) {
    const Result<std::vector<double>> losses = layer.losses();
    if (!losses) return in_layer(layer, losses.error());
    all.insert(all.end(), losses->begin(), losses->end());
  }
  return all;
}

Result<void> Sequential::apply_constraints() {
  for (Layer& layer : layers_) {
    if (Result<void> done = layer.apply_constraints(); !done) return in_layer(layer, done.error());
  }
  return {};
}

Result<std::string> Sequential::get_config(Dialect dialect) const {
  std::vector<std::string> configs;
  for (const Layer& layer : layers_) {
    Result<std::string> config = layer.serialize(dialect);
    if (!config) return in_layer(layer, config.error());
    configs.push_back(std::move(*config));
  }
  return sequential_config(name_, configs, input_shape_, dialect);
}

}  // namespace convsmith::layers
