// The constructors of the layers of a Sequential that are not of the convolution family.
#include <fmt/format.h>

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/layer_config.hpp"
#include "frontend/keras/make_problem.hpp"
#include "frontend/keras/value.hpp"
#include "runtime/objects/layer_state.hpp"

namespace convsmith::layers {
namespace {

using StatePtr = std::shared_ptr<Layer::State>;

// Of the checks of a layer's arguments the first that fails is kept.
void fail(Layer::State& state, std::string message) {
  if (!state.error) state.error = Error{ErrorCode::kInvalidSpec, std::move(message)};
}

void check_size(Layer::State& state, std::string_view argument, int64_t value, int64_t least) {
  if (value >= least && value <= kMaxSize) return;
  fail(state, fmt::format("`{}` of {} must be an integer from {} to {}, got {}.", argument, state.class_name,
                          least, kMaxSize, value));
}

void check_number(Layer::State& state, std::string_view argument, double value, double least) {
  if (value >= least && value <= FLT_MAX) return;
  fail(state, fmt::format("`{}` of {} must be a finite number that is at least {}, got {}.", argument,
                          state.class_name, least, value));
}

DataFormat read_format(Layer::State& state, const std::string& text) {
  if (text == "channels_first") return DataFormat::kChannelsFirst;
  if (text != "channels_last") {
    fail(state, fmt::format("`data_format` of {} must be 'channels_last' or 'channels_first', got {}.",
                            state.class_name, quote(text)));
  }
  return DataFormat::kChannelsLast;
}

StatePtr make_activation(const ActivationArg& argument, std::string name) {
  ActivationOp op;
  std::optional<Error> error;
  std::string text = "linear";
  if (const auto* given = std::get_if<convsmith::Activation>(&argument)) {
    op.activation = canonical_activation(*given);
    if (Result<void> legal = check_activation(*given, Rules::kCommon); !legal) error = legal.error();
    text = activation_text(*given, Dialect::kKeras3);
    if (!text.starts_with('\'') && !error) {
      error = Error{ErrorCode::kInvalidSpec,
                    fmt::format("`activation` of Activation must be one that has a name, got {}.", text)};
    }
    text = text.substr(1, text.size() - 2);
  } else if (!std::get<std::string>(argument).empty()) {
    text = std::get<std::string>(argument);
    Result<convsmith::Activation> found = find_activation(text, Dialect::kKeras3);
    if (found) op.activation = *found;
    if (!found) error = found.error();
  }
  StatePtr state = make_simple_state({"Activation", {{"activation", text}}}, op, std::move(name));
  state->error = std::move(error);
  return state;
}

StatePtr make_relu_layer(KerasObject arguments, double slope, double max_value, double threshold,
                         std::string name) {
  const auto limit =
      max_value > FLT_MAX ? std::numeric_limits<float>::infinity() : static_cast<float>(max_value);
  StatePtr state = make_simple_state(
      std::move(arguments),
      ActivationOp{make_relu(static_cast<float>(slope), limit, static_cast<float>(threshold))},
      std::move(name));
  check_number(*state, "negative_slope", slope, 0.0);
  check_number(*state, "max_value", std::min(max_value, double{FLT_MAX}), 0.0);
  check_number(*state, "threshold", threshold, 0.0);
  return state;
}

StatePtr make_pooling(const char* class_name, bool average, const PoolingArgs& args, std::string name) {
  const int64_t strides = args.strides.value_or(args.pool_size);
  PoolOp op{.average = average, .pool_size = args.pool_size, .strides = strides};
  op.padding = args.padding == "same" ? Padding::kSame : Padding::kValid;
  StatePtr state = make_simple_state({class_name,
                                      {{"pool_size", args.pool_size},
                                       {"strides", strides},
                                       {"padding", args.padding},
                                       {"data_format", args.data_format}}},
                                     op, std::move(name));
  check_size(*state, "pool_size", args.pool_size, 1);
  check_size(*state, "strides", strides, 1);
  if (args.padding != "same" && args.padding != "valid") {
    fail(*state,
         fmt::format("`padding` of {} must be 'valid' or 'same', got {}.", class_name, quote(args.padding)));
  }
  std::get<PoolOp>(state->op).data_format = read_format(*state, args.data_format);
  return state;
}

StatePtr make_global_pooling(const char* class_name, bool average, const GlobalPoolingArgs& args,
                             std::string name) {
  const GlobalPoolOp op{.average = average, .keepdims = args.keepdims};
  StatePtr state = make_simple_state(
      {class_name, {{"data_format", args.data_format}, {"keepdims", int64_t{args.keepdims}}}}, op,
      std::move(name));
  std::get<GlobalPoolOp>(state->op).data_format = read_format(*state, args.data_format);
  return state;
}

StatePtr make_input(const Shape& shape, std::optional<int64_t> batch_size, std::string name) {
  StatePtr state = make_simple_state({"InputLayer"}, InputOp{shape}, std::move(name));
  state->input_shape = shape;
  state->batch_size = batch_size;
  Shape all = shape;
  all.push_back(batch_size);
  const bool legal = std::all_of(all.begin(), all.end(), [](const std::optional<int64_t>& axis) {
    return axis.value_or(0) >= 0 && axis.value_or(0) <= kMaxAxis;
  });
  if (!legal || shape.empty()) {
    fail(*state,
         fmt::format("`shape` of InputLayer must hold one or more sizes from 0 to {} or None, got {}.",
                     kMaxAxis, shape_text(shape)));
  }
  return state;
}

// ZeroPadding1D and Cropping1D.
template <class Op>
StatePtr make_edges(const char* class_name, const char* argument, int64_t left, int64_t right,
                    std::string name) {
  Op op;
  op.left = left;
  op.right = right;
  StatePtr state =
      make_simple_state({class_name, {{argument, std::vector<int64_t>{left, right}}}}, op, std::move(name));
  check_size(*state, argument, left, 0);
  check_size(*state, argument, right, 0);
  return state;
}

}  // namespace

StatePtr make_simple_state(KerasObject arguments, LayerOp op, std::string name) {
  auto state = std::make_shared<Layer::State>();
  state->class_name = arguments.class_name;
  state->arguments = std::move(arguments);
  state->op = std::move(op);
  state->is_named = !name.empty();
  state->name = state->is_named ? std::move(name) : to_snake_case(state->class_name);
  return state;
}

InputLayer::InputLayer(const Shape& shape, std::optional<int64_t> batch_size, std::string name)
    : Layer(make_input(shape, batch_size, std::move(name))) {}

Activation::Activation(const ActivationArg& activation, std::string name)
    : Layer(make_activation(activation, std::move(name))) {}

ReLU::ReLU(const ReLUArgs& args, std::string name)
    : Layer(make_relu_layer({"ReLU",
                             {{"max_value", args.max_value},
                              {"negative_slope", args.negative_slope},
                              {"threshold", args.threshold}}},
                            args.negative_slope, args.max_value, args.threshold, std::move(name))) {}

LeakyReLU::LeakyReLU(double negative_slope, std::string name)
    : Layer(make_relu_layer({"LeakyReLU", {{"negative_slope", negative_slope}}}, negative_slope,
                            std::numeric_limits<double>::infinity(), 0.0, std::move(name))) {}

Softmax::Softmax(int64_t axis, std::string name)
    : Layer(make_simple_state({"Softmax", {{"axis", axis}}},
                              ActivationOp{{ActivationKind::kSoftmax, {static_cast<float>(axis)}}},
                              std::move(name))) {}

BatchNormalization::BatchNormalization(const BatchNormalizationArgs& args, std::string name)
    : Layer(make_simple_state({"BatchNormalization",
                               {{"axis", args.axis},
                                {"momentum", args.momentum},
                                {"epsilon", args.epsilon},
                                {"center", int64_t{args.center}},
                                {"scale", int64_t{args.scale}}}},
                              BatchNormOp{args.axis, args.epsilon, args.center, args.scale},
                              std::move(name))) {
  check_number(*state_, "epsilon", args.epsilon, 0.0);
  check_number(*state_, "momentum", args.momentum, 0.0);
}

MaxPooling1D::MaxPooling1D(const PoolingArgs& args, std::string name)
    : Layer(make_pooling("MaxPooling1D", false, args, std::move(name))) {}
AveragePooling1D::AveragePooling1D(const PoolingArgs& args, std::string name)
    : Layer(make_pooling("AveragePooling1D", true, args, std::move(name))) {}
GlobalMaxPooling1D::GlobalMaxPooling1D(const GlobalPoolingArgs& args, std::string name)
    : Layer(make_global_pooling("GlobalMaxPooling1D", false, args, std::move(name))) {}
GlobalAveragePooling1D::GlobalAveragePooling1D(const GlobalPoolingArgs& args, std::string name)
    : Layer(make_global_pooling("GlobalAveragePooling1D", true, args, std::move(name))) {}

ZeroPadding1D::ZeroPadding1D(int64_t padding, std::string name)
    : ZeroPadding1D(padding, padding, std::move(name)) {}
ZeroPadding1D::ZeroPadding1D(int64_t left, int64_t right, std::string name)
    : Layer(make_edges<ZeroPaddingOp>("ZeroPadding1D", "padding", left, right, std::move(name))) {}
Cropping1D::Cropping1D(int64_t cropping, std::string name)
    : Cropping1D(cropping, cropping, std::move(name)) {}
Cropping1D::Cropping1D(int64_t left, int64_t right, std::string name)
    : Layer(make_edges<CroppingOp>("Cropping1D", "cropping", left, right, std::move(name))) {}

UpSampling1D::UpSampling1D(int64_t size, std::string name)
    : Layer(make_simple_state({"UpSampling1D", {{"size", size}}}, UpSamplingOp{size}, std::move(name))) {
  check_size(*state_, "size", size, 1);
}

Flatten::Flatten(std::string name) : Layer(make_simple_state({"Flatten"}, FlattenOp{}, std::move(name))) {}

Reshape::Reshape(std::vector<int64_t> target_shape, std::string name)
    : Layer(make_simple_state({"Reshape", {{"target_shape", target_shape}}}, ReshapeOp{target_shape},
                              std::move(name))) {
  for (const int64_t size : target_shape) check_size(*state_, "target_shape", size, -1);
  if (std::count(target_shape.begin(), target_shape.end(), -1) > 1) {
    fail(*state_, "`target_shape` of Reshape must have at most one -1.");
  }
}

Dropout::Dropout(double rate, std::string name)
    : Layer(make_simple_state({"Dropout", {{"rate", rate}}}, IdentityOp{}, std::move(name))) {
  if (!(rate >= 0.0 && rate <= 1.0)) {
    fail(*state_, fmt::format("`rate` of Dropout must be from 0 to 1, got {}.", rate));
  }
}

}  // namespace convsmith::layers
