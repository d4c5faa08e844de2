// What the user said: the arguments of one layer of the convolution family under Keras's names, with
// Keras's defaults.
//
// A LayerSpec is a plain value. It is made by parse_layer from call text or JSON, or by hand:
//   LayerSpec spec{.filters = 32, .kernel_size = 3, .activation = make_relu(), .input_shape = {10, 128}};
// Nothing is checked here: make_problem checks specs of either origin in the same way. Equality and
// hash are cheap, because a spec is the key of the cache of compiled layers.
#pragma once

#include "convsmith/language.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "convsmith/activation_value.hpp"
#include "convsmith/export.h"

namespace convsmith {

// Sizes of axes; an unknown one (Python's None) is empty.
using Shape = std::vector<std::optional<int64_t>>;

// kExplicit (pad_left and pad_right zeros) is no Keras padding: only Rules::kAny allows it.
enum class Padding { kValid, kSame, kCausal, kExplicit };
enum class LayerKind { kConv1D, kConv1DTranspose, kDepthwiseConv1D, kSeparableConv1D, kDense };
enum class DataFormat { kChannelsLast, kChannelsFirst };

// What is accepted: kCommon = what at least one generation of Keras accepts (without sizes below 1,
// unknown names, non-integers and empty outputs), kKeras2 and kKeras3 = what that generation accepts,
// kAny = whatever has a mathematical meaning.
enum class Rules { kCommon, kKeras2, kKeras3, kAny };

// Which generation gives a name its meaning where they differ (hard_sigmoid, l1_l2). Call text does not
// say, and means what it means in Keras 2.
enum class Dialect { kCall, kKeras2, kKeras3 };

// An initializer, regularizer or constraint: its class and its parameters in Keras's order. Parsed ones
// have every default filled in (a seed of None is left out). They do not change what a layer computes.
struct KerasObject {
  using Param = std::variant<int64_t, double, std::string, std::vector<int64_t>>;
  std::string class_name;
  std::vector<std::pair<std::string, Param>> params = {};
  bool operator==(const KerasObject&) const = default;
};
using Initializer = KerasObject;
using Regularizer = KerasObject;
using Constraint = KerasObject;

struct LayerSpec {
  LayerKind kind = LayerKind::kConv1D;
  int64_t filters = 0;      // units of Dense; unused by DepthwiseConv1D
  int64_t kernel_size = 0;  // unused by Dense
  int64_t strides = 1;
  Padding padding = Padding::kValid;
  // Only for Padding::kExplicit: zero steps, or for Conv1DTranspose cropped output steps.
  int64_t pad_left = 0;
  int64_t pad_right = 0;
  DataFormat data_format = DataFormat::kChannelsLast;
  int64_t dilation_rate = 1;
  int64_t groups = 1;                          // Conv1D only
  std::optional<int64_t> output_padding = {};  // Conv1DTranspose only
  int64_t depth_multiplier = 1;                // DepthwiseConv1D and SeparableConv1D only
  Activation activation = {};
  bool use_bias = true;
  // Of SeparableConv1D and DepthwiseConv1D, kernel_* are what Keras calls depthwise_*.
  Initializer kernel_initializer = {"GlorotUniform"};
  Initializer bias_initializer = {"Zeros"};
  std::optional<Regularizer> kernel_regularizer = {};
  std::optional<Regularizer> bias_regularizer = {};
  std::optional<Regularizer> activity_regularizer = {};
  std::optional<Constraint> kernel_constraint = {};
  std::optional<Constraint> bias_constraint = {};
  // SeparableConv1D only.
  Initializer pointwise_initializer = {"GlorotUniform"};
  std::optional<Regularizer> pointwise_regularizer = {};
  std::optional<Constraint> pointwise_constraint = {};
  // Without the batch axis, as in Keras; empty: not given. batch_input_shape=(4, 10, 128) is input_shape
  // (10, 128) and batch_size 4.
  Shape input_shape = {};
  std::optional<int64_t> batch_size = {};
  std::string name = {};
  std::string dtype = "float32";
  Dialect dialect = Dialect::kCall;

  bool operator==(const LayerSpec&) const = default;
};

// An array of a layer's weights.
struct WeightShape {
  std::string name;  // of Keras's variable, in the spec's generation
  std::vector<int64_t> shape;
  bool operator==(const WeightShape&) const = default;
};

// Canonical Python text with the non-default arguments only, for example
// "Conv1D(32, 3, strides=2, activation='relu')". parse_layer makes an equal spec of it (with all defaults
// filled in). A dialect other than kCall shows as the package: tf_keras is Keras 2, keras3 is Keras 3.
CONVSMITH_API std::string to_call_text(const LayerSpec& spec);

CONVSMITH_API std::size_t hash_layer_spec(const LayerSpec& spec);

}  // namespace convsmith

template <>
struct std::hash<convsmith::LayerSpec> {
  std::size_t operator()(const convsmith::LayerSpec& spec) const { return convsmith::hash_layer_spec(spec); }
};
