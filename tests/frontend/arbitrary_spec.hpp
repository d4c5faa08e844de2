// Random specs of all kinds of layers, each argument within what the kind has.
#pragma once

#include <rapidcheck.h>

#include <limits>
#include <string>
#include <vector>

#include "convsmith/activation.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/activations.hpp"

namespace convsmith {

template <class T>
T any_of(std::initializer_list<T> choices) {
  return *rc::gen::elementOf(std::vector<T>(choices));
}

inline Activation any_activation() {
  const auto kind =
      static_cast<ActivationKind>(*rc::gen::inRange(0, static_cast<int>(ActivationKind::kSoftmax)));
  Activation activation{kind};
  for (float& param : activation.params) param = static_cast<float>(*rc::gen::inRange(-200, 1000)) / 7.0F;
  if (any_of({true, false})) activation.params = {activation.params[0], 0.0F, 0.0F};
  if (kind == ActivationKind::kRelu && any_of({true, false}))
    activation.params[1] = std::numeric_limits<float>::infinity();
  if (any_of({true, false})) activation = make_relu();
  return canonical_activation(activation);
}

inline Initializer any_initializer() {
  const double number = *rc::gen::inRange(1, 1000) / 999.0;
  return any_of<Initializer>(
      {{"Zeros"},
       {"Constant", {{"value", number}}},
       {"GlorotUniform"},
       {"HeNormal", {{"seed", int64_t{7}}}},
       {"RandomUniform", {{"minval", -number}, {"maxval", number}}},
       {"Orthogonal", {{"gain", number}}},
       {"VarianceScaling", {{"scale", number}, {"mode", "fan_out"}, {"distribution", "uniform"}}}});
}

inline std::optional<Regularizer> any_regularizer() {
  const double number = *rc::gen::inRange(0, 1000) / 999.0;
  return any_of<std::optional<Regularizer>>(
      {std::nullopt, Regularizer{"L1", {{"l1", number}}}, Regularizer{"L2", {{"l2", 0.01}}},
       Regularizer{"L1L2", {{"l1", number}, {"l2", 0.0}}},
       Regularizer{"OrthogonalRegularizer", {{"factor", number}, {"mode", "columns"}}}});
}

inline std::optional<Constraint> any_constraint() {
  const double number = *rc::gen::inRange(0, 1000) / 999.0;
  const std::vector<int64_t> axes{0, 1};
  return any_of<std::optional<Constraint>>(
      {std::nullopt, Constraint{"NonNeg"}, Constraint{"UnitNorm", {{"axis", std::vector<int64_t>{-1}}}},
       Constraint{"MaxNorm", {{"max_value", number}, {"axis", axes}}},
       Constraint{"MinMaxNorm", {{"min_value", 0.0}, {"max_value", number}, {"rate", 0.5}, {"axis", axes}}}});
}

inline void any_convolution(LayerSpec& spec) {
  const bool transposed = spec.kind == LayerKind::kConv1DTranspose;
  if (spec.kind == LayerKind::kConv1D) spec.groups = *rc::gen::inRange<int64_t>(1, 4);
  spec.filters *= spec.groups;
  spec.kernel_size = *rc::gen::inRange<int64_t>(1, 70);
  if (any_of({true, false})) {
    spec.strides = *rc::gen::inRange<int64_t>(1, 5);
  } else {
    spec.dilation_rate = *rc::gen::inRange<int64_t>(1, 5);
  }
  spec.padding = any_of({Padding::kValid, Padding::kSame});
  if (spec.kind == LayerKind::kConv1D && any_of({true, false})) spec.padding = Padding::kCausal;
  spec.data_format = any_of({DataFormat::kChannelsLast, DataFormat::kChannelsFirst});
  if (transposed && any_of({true, false})) spec.output_padding = *rc::gen::inRange<int64_t>(0, spec.strides);
  if (spec.kind == LayerKind::kDepthwiseConv1D || spec.kind == LayerKind::kSeparableConv1D) {
    spec.depth_multiplier = *rc::gen::inRange<int64_t>(1, 4);
  }
  if (spec.kind == LayerKind::kDepthwiseConv1D) spec.filters = 0;
}

inline LayerSpec any_spec(LayerKind kind) {
  LayerSpec spec{.kind = kind, .filters = *rc::gen::inRange<int64_t>(1, 100)};
  if (kind != LayerKind::kDense) any_convolution(spec);
  spec.activation = any_activation();
  spec.use_bias = any_of({true, false});
  spec.kernel_initializer = any_initializer();
  spec.bias_initializer = any_initializer();
  spec.kernel_regularizer = any_regularizer();
  spec.bias_regularizer = any_regularizer();
  spec.activity_regularizer = any_regularizer();
  spec.kernel_constraint = any_constraint();
  spec.bias_constraint = any_constraint();
  if (kind == LayerKind::kSeparableConv1D) {
    spec.pointwise_initializer = any_initializer();
    spec.pointwise_regularizer = any_regularizer();
    spec.pointwise_constraint = any_constraint();
  }
  if (any_of({true, false})) {
    spec.input_shape = {any_of<std::optional<int64_t>>({std::nullopt, 40}), 2 * spec.groups};
    if (spec.data_format == DataFormat::kChannelsFirst) std::swap(spec.input_shape[0], spec.input_shape[1]);
    if (any_of({true, false})) spec.batch_size = *rc::gen::inRange<int64_t>(1, 9);
  }
  spec.name = *rc::gen::container<std::string>(rc::gen::inRange('a', 'z'));
  spec.dialect = any_of({Dialect::kKeras2, Dialect::kKeras3});
  return spec;
}

}  // namespace convsmith
