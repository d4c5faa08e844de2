#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "convsmith/layers.hpp"
#include "frontend/keras/layer_config.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/parse_layer.hpp"
#include "runtime/objects/constraints.hpp"
#include "runtime/objects/initialize_weights.hpp"
#include "runtime/objects/layer_shapes.hpp"
#include "runtime/objects/layer_state.hpp"
#include "runtime/objects/regularizers.hpp"
#include "runtime/objects/run_model.hpp"

namespace convsmith::layers {
namespace {

Shape shape_of(const Tensor& tensor) {
  return {tensor.shape.begin(), tensor.shape.end()};
}

Result<std::vector<Tensor>> batch_norm_weights(const BatchNormOp& op, const Shape& input) {
  const Result<size_t> axis = find_axis(op.axis, input.size());
  if (!axis) return tl::unexpected(axis.error());
  const int64_t channels = input[*axis].value_or(0);
  const auto constant = [&](float value) {
    return Tensor{{channels}, std::vector<float>(static_cast<size_t>(channels), value)};
  };
  std::vector<Tensor> weights;
  if (op.scale) weights.push_back(constant(1.0F));   // gamma
  if (op.center) weights.push_back(constant(0.0F));  // beta
  weights.push_back(constant(0.0F));                 // moving mean
  weights.push_back(constant(1.0F));                 // moving variance
  return weights;
}

Result<std::vector<Tensor>> make_weights(const LayerOp& op, const Shape& input, uint64_t seed) {
  if (const auto* norm = std::get_if<BatchNormOp>(&op)) return batch_norm_weights(*norm, input);
  const auto* spec = std::get_if<LayerSpec>(&op);
  if (spec == nullptr) return std::vector<Tensor>();
  const Result<int64_t> channels = input_channels(*spec, input);
  if (!channels) return tl::unexpected(channels.error());
  return initialize_weights(*spec, *channels, seed);
}

// A model of this layer alone.
ModelSpec model_of(const Layer::State& state, const Shape& input) {
  ModelSpec model;
  model.name = state.name;
  model.layers = {{"input", "InputLayer", InputOp{{input.begin() + 1, input.end()}}, {}},
                  {state.name, state.class_name, state.op, state.weights}};
  model.nodes = {{0, {}}, {1, {0}}};
  model.inputs = {0};
  model.outputs = {1};
  return model;
}

// What the layer was built for must fit: weights were made for that many channels.
Result<void> check_channels(const Layer::State& state, const Shape& input) {
  if (const auto* norm = std::get_if<BatchNormOp>(&state.op)) {
    const Result<size_t> axis = find_axis(norm->axis, input.size());
    if (axis && state.weights.back().shape[0] == input[*axis]) return {};
  } else if (const LayerSpec* spec = state.spec()) {
    const Result<int64_t> now = input_channels(*spec, input);
    if (!now) return tl::unexpected(now.error());
    if (*now == *input_channels(*spec, state.built_shape)) return {};
  } else {
    return {};
  }
  return make_error(ErrorCode::kInvalidData,
                    fmt::format("The layer `{}` was built for inputs of shape {}, but the input has the "
                                "shape {}.",
                                state.name, shape_text(state.built_shape), shape_text(input)));
}

const RegularizerFunction& function_of(const Layer::State& state, std::string_view weight) {
  return weight == "bias"        ? state.bias_function
         : weight == "pointwise" ? state.pointwise_function
                                 : state.kernel_function;
}

// Of the output, divided by the batch size; empty without an activity regularizer.
Result<std::optional<double>> activity_loss(const Layer::State& state, const Tensor& output) {
  if (!state.has_activity_regularizer()) return std::nullopt;
  const auto batch = static_cast<double>(output.shape.front());
  if (state.activity_function) return state.activity_function(output) / batch;
  const Result<double> loss =
      regularization_loss(*state.spec()->activity_regularizer, "activity_regularizer", output);
  if (!loss) return tl::unexpected(loss.error());
  return *loss / batch;
}

}  // namespace

Result<void> check_tensor(const Tensor& tensor) {
  double floats = 1.0;
  bool negative = false;
  for (const int64_t size : tensor.shape) {
    floats *= static_cast<double>(size);
    negative = negative || size < 0;
  }
  if (!negative && floats == static_cast<double>(tensor.data.size())) return {};
  return make_error(ErrorCode::kInvalidData,
                    fmt::format("A tensor of shape ({}) has {} elements, which is not the product of its "
                                "sizes.",
                                fmt::join(tensor.shape, ", "), tensor.data.size()));
}

const std::string& Layer::name() const {
  return state_->name;
}

const std::string& Layer::class_name() const {
  return state_->class_name;
}

bool Layer::built() const {
  return state_->built;
}

Result<void> Layer::build(const Shape& input_shape, uint64_t seed) {
  State& state = *state_;
  if (state.error) return tl::unexpected(*state.error);
  if (state.built) return {};
  if (const Result<Shape> fits = op_output_shape(state.op, input_shape); !fits) {
    return tl::unexpected(fits.error());
  }
  Result<std::vector<Tensor>> weights = make_weights(state.op, input_shape, seed);
  if (!weights) return tl::unexpected(weights.error());
  state.weights = std::move(*weights);
  state.built_shape = input_shape;
  state.built = true;
  return {};
}

Result<Tensor> Layer::operator()(const Tensor& input, Denormals denormals) {
  State& state = *state_;
  const Shape shape = shape_of(input);
  if (Result<void> sound = check_tensor(input); !sound) return tl::unexpected(sound.error());
  if (Result<void> done = build(shape); !done) return tl::unexpected(done.error());
  if (Result<void> fits = check_channels(state, shape); !fits) return tl::unexpected(fits.error());
  const Result<Shape> wanted = compute_output_shape(shape);
  if (!wanted) return tl::unexpected(wanted.error());
  std::vector<int64_t> output_shape;
  for (const std::optional<int64_t>& axis : *wanted) output_shape.push_back(axis.value_or(0));
  Result<Tensor> output = state.spec() != nullptr ? state.runner.run(*state.spec(), state.weights, input,
                                                                     std::move(output_shape), denormals)
                                                  : run_model(model_of(state, shape), input, denormals);
  if (!output) return output;
  const Result<std::optional<double>> loss = activity_loss(state, *output);
  if (!loss) return tl::unexpected(loss.error());
  state.activity_loss = *loss;
  return output;
}

Result<Shape> Layer::compute_output_shape(const Shape& input_shape) const {
  if (state_->error) return tl::unexpected(*state_->error);
  return op_output_shape(state_->op, input_shape);
}

std::vector<Tensor> Layer::get_weights() const {
  return state_->weights;
}

Result<void> Layer::set_weights(std::vector<Tensor> weights) {
  State& state = *state_;
  if (state.error) return tl::unexpected(*state.error);
  auto refuse = [&](std::string_view what) {
    return make_error(ErrorCode::kInvalidData, fmt::format("The layer `{}` {}.", state.name, what));
  };
  if (!state.built) return refuse("has no weights yet; build it or call it first");
  if (weights.size() != state.weights.size()) {
    return refuse(fmt::format("has {} weights, but {} are given", state.weights.size(), weights.size()));
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    if (Result<void> sound = check_tensor(weights[i]); !sound) return sound;
    if (weights[i].shape != state.weights[i].shape) {
      return refuse(fmt::format("has the shape ({}) for weight {}, but ({}) is given",
                                fmt::join(state.weights[i].shape, ", "), i,
                                fmt::join(weights[i].shape, ", ")));
    }
  }
  state.weights = std::move(weights);
  state.runner.forget_weights();
  return {};
}

int64_t Layer::count_params() const {
  int64_t count = 0;
  for (const Tensor& weight : state_->weights) count += static_cast<int64_t>(weight.data.size());
  return count;
}

Result<std::vector<double>> Layer::losses() const {
  const State& state = *state_;
  if (state.error) return tl::unexpected(*state.error);
  std::vector<double> losses;
  if (state.spec() != nullptr && state.built) {
    const std::vector<WeightRole> roles = weight_roles(*state.spec());
    for (size_t i = 0; i < roles.size(); ++i) {
      if (const RegularizerFunction& function = function_of(state, roles[i].name)) {
        losses.push_back(function(state.weights[i]));
      } else if (*roles[i].regularizer) {
        const Result<double> loss = regularization_loss(
            **roles[i].regularizer, fmt::format("{}_regularizer", roles[i].name), state.weights[i]);
        if (!loss) return tl::unexpected(loss.error());
        losses.push_back(*loss);
      }
    }
  }
  if (state.activity_loss) losses.push_back(*state.activity_loss);
  return losses;
}

Result<void> Layer::apply_constraints() {
  State& state = *state_;
  if (state.error) return tl::unexpected(*state.error);
  if (state.spec() == nullptr || !state.built) return {};
  const std::vector<WeightRole> roles = weight_roles(*state.spec());
  for (size_t i = 0; i < roles.size(); ++i) {
    if (!*roles[i].constraint) continue;
    Result<void> done = apply_constraint(**roles[i].constraint, fmt::format("{}_constraint", roles[i].name),
                                         state.weights[i]);
    if (!done) return done;
  }
  state.runner.forget_weights();
  return {};
}

Result<std::string> Layer::get_config(Dialect dialect) const {
  const State& state = *state_;
  if (state.error) return tl::unexpected(*state.error);
  if (state.has_functions()) {
    return make_error(
        ErrorCode::kUnsupported,
        fmt::format("The layer `{}` has a function as a regularizer, which no config can hold.", state.name));
  }
  if (state.spec() != nullptr) return layer_config(*state.spec(), dialect);
  if (const auto* input = std::get_if<InputOp>(&state.op)) {
    return input_layer_config(input->shape, state.batch_size, state.name, dialect);
  }
  return simple_layer_config(state.arguments, state.name, dialect);
}

Result<std::string> Layer::serialize(Dialect dialect) const {
  const Result<std::string> config = get_config(dialect);
  if (!config) return config;
  if (state_->spec() != nullptr) return layer_object(*state_->spec(), dialect);
  return wrap_layer_config(state_->class_name, *config, dialect);
}

Result<Layer> Layer::from_config(std::string_view text) {
  Result<ParsedLayer> parsed = parse_layer(text);
  if (!parsed) return tl::unexpected(parsed.error());
  return Layer(make_family_state(std::move(parsed->spec)));
}

}  // namespace convsmith::layers
