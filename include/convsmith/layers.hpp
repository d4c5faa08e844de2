// Keras's layers as objects: build, call, weights, losses, constraints, configs.
//
//   layers::Dense dense(64, {.activation = "relu", .kernel_regularizer = regularizers::L2(0.01)});
//   Result<Tensor> y = dense(x);                      // draws weights for x's features at the first call
//   Result<std::vector<double>> losses = dense.losses();
//   for (double loss : *losses) total += loss;        // not `for (... : *dense.losses())`, which dangles
//
// Arguments are named as in Keras. A constructor cannot fail: what is wrong with its arguments is what the
// first call of anything else returns. Shapes have a batch axis, except `input_shape` arguments. Calls
// compute inference: dropout does nothing, batch normalization uses its moving statistics; losses and
// constraints are for whoever writes the training loop. Objects are for one thread at a time; to run a layer
// from many threads, use compile (convsmith.hpp).
#pragma once

#include "convsmith/language.hpp"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "convsmith/activation.hpp"
#include "convsmith/error.hpp"
#include "convsmith/export.h"
#include "convsmith/keras_objects.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/options.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith::layers {

// Any callable: gets a weight (or an output) and gives its loss.
using RegularizerFunction = std::function<double(const Tensor&)>;

// A name, or the thing itself. An empty name and std::monostate are None.
using ActivationArg = std::variant<std::string, convsmith::Activation>;
using InitializerArg = std::variant<std::string, Initializer>;
using RegularizerArg = std::variant<std::monostate, std::string, Regularizer, RegularizerFunction>;
using ConstraintArg = std::variant<std::monostate, std::string, Constraint>;

// A layer of any class. A copy is the same layer, as a variable is in Python.
class CONVSMITH_API Layer {
 public:
  const std::string& name() const;        // the class in snake case, if not given
  const std::string& class_name() const;  // Keras's

  // Makes the weights for inputs of that shape; does nothing if they are there. A seed gives the same weights
  // on every machine; an initializer's own seed wins.
  Result<void> build(const Shape& input_shape, uint64_t seed = 0);
  bool built() const;
  // Builds the layer if it is not built. The activity losses of the call replace those of the one before.
  Result<Tensor> operator()(const Tensor& input, Denormals denormals = Denormals::kKeep);
  Result<Shape> compute_output_shape(const Shape& input_shape) const;

  // In Keras's order: kernel, bias; depthwise kernel, pointwise kernel, bias; gamma, beta, moving mean and
  // variance. Empty until built.
  std::vector<Tensor> get_weights() const;
  Result<void> set_weights(std::vector<Tensor> weights);
  int64_t count_params() const;

  // One for each regularizer: of the weights as they are, of the last call's output divided by its batch
  // size.
  Result<std::vector<double>> losses() const;
  // What Keras does after each step of training.
  Result<void> apply_constraints();

  // The JSON of Keras's get_config(), which Keras's from_config and ours read. kCall is Keras 3.
  Result<std::string> get_config(Dialect dialect = Dialect::kKeras3) const;
  // {"class_name": .., "config": ..} around it.
  Result<std::string> serialize(Dialect dialect = Dialect::kKeras3) const;
  // A layer of the convolution family or Dense, from its JSON or call text.
  static Result<Layer> from_config(std::string_view text);

  struct State;

 protected:
  friend class Sequential;
  explicit Layer(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::shared_ptr<State> state_;
};

struct Conv1DArgs {
  int64_t filters = 0;
  int64_t kernel_size = 0;
  int64_t strides = 1;
  std::string padding = "valid";
  std::string data_format = "channels_last";
  int64_t dilation_rate = 1;
  int64_t groups = 1;
  ActivationArg activation = {};
  bool use_bias = true;
  InitializerArg kernel_initializer = "glorot_uniform";
  InitializerArg bias_initializer = "zeros";
  RegularizerArg kernel_regularizer = {};
  RegularizerArg bias_regularizer = {};
  RegularizerArg activity_regularizer = {};
  ConstraintArg kernel_constraint = {};
  ConstraintArg bias_constraint = {};
  Shape input_shape = {};
  std::string name = {};
  Dialect dialect = Dialect::kKeras3;  // what names mean where the generations differ
};

class CONVSMITH_API Conv1D : public Layer {
 public:
  explicit Conv1D(const Conv1DArgs& args);
  Conv1D(int64_t filters, int64_t kernel_size, Conv1DArgs args = {});
};

struct Conv1DTransposeArgs {
  int64_t filters = 0;
  int64_t kernel_size = 0;
  int64_t strides = 1;
  std::string padding = "valid";
  std::optional<int64_t> output_padding = {};
  std::string data_format = "channels_last";
  int64_t dilation_rate = 1;
  ActivationArg activation = {};
  bool use_bias = true;
  InitializerArg kernel_initializer = "glorot_uniform";
  InitializerArg bias_initializer = "zeros";
  RegularizerArg kernel_regularizer = {};
  RegularizerArg bias_regularizer = {};
  RegularizerArg activity_regularizer = {};
  ConstraintArg kernel_constraint = {};
  ConstraintArg bias_constraint = {};
  Shape input_shape = {};
  std::string name = {};
  Dialect dialect = Dialect::kKeras3;
};

class CONVSMITH_API Conv1DTranspose : public Layer {
 public:
  explicit Conv1DTranspose(const Conv1DTransposeArgs& args);
  Conv1DTranspose(int64_t filters, int64_t kernel_size, Conv1DTransposeArgs args = {});
};

struct DepthwiseConv1DArgs {
  int64_t kernel_size = 0;
  int64_t strides = 1;
  std::string padding = "valid";
  int64_t depth_multiplier = 1;
  std::string data_format = "channels_last";
  int64_t dilation_rate = 1;
  ActivationArg activation = {};
  bool use_bias = true;
  InitializerArg depthwise_initializer = "glorot_uniform";
  InitializerArg bias_initializer = "zeros";
  RegularizerArg depthwise_regularizer = {};
  RegularizerArg bias_regularizer = {};
  RegularizerArg activity_regularizer = {};
  ConstraintArg depthwise_constraint = {};
  ConstraintArg bias_constraint = {};
  Shape input_shape = {};
  std::string name = {};
  Dialect dialect = Dialect::kKeras3;
};

class CONVSMITH_API DepthwiseConv1D : public Layer {
 public:
  explicit DepthwiseConv1D(const DepthwiseConv1DArgs& args);
  explicit DepthwiseConv1D(int64_t kernel_size, DepthwiseConv1DArgs args = {});
};

struct SeparableConv1DArgs {
  int64_t filters = 0;
  int64_t kernel_size = 0;
  int64_t strides = 1;
  std::string padding = "valid";
  std::string data_format = "channels_last";
  int64_t dilation_rate = 1;
  int64_t depth_multiplier = 1;
  ActivationArg activation = {};
  bool use_bias = true;
  InitializerArg depthwise_initializer = "glorot_uniform";
  InitializerArg pointwise_initializer = "glorot_uniform";
  InitializerArg bias_initializer = "zeros";
  RegularizerArg depthwise_regularizer = {};
  RegularizerArg pointwise_regularizer = {};
  RegularizerArg bias_regularizer = {};
  RegularizerArg activity_regularizer = {};
  ConstraintArg depthwise_constraint = {};
  ConstraintArg pointwise_constraint = {};
  ConstraintArg bias_constraint = {};
  Shape input_shape = {};
  std::string name = {};
  Dialect dialect = Dialect::kKeras3;
};

class CONVSMITH_API SeparableConv1D : public Layer {
 public:
  explicit SeparableConv1D(const SeparableConv1DArgs& args);
  SeparableConv1D(int64_t filters, int64_t kernel_size, SeparableConv1DArgs args = {});
};

struct DenseArgs {
  int64_t units = 0;
  ActivationArg activation = {};
  bool use_bias = true;
  InitializerArg kernel_initializer = "glorot_uniform";
  InitializerArg bias_initializer = "zeros";
  RegularizerArg kernel_regularizer = {};
  RegularizerArg bias_regularizer = {};
  RegularizerArg activity_regularizer = {};
  ConstraintArg kernel_constraint = {};
  ConstraintArg bias_constraint = {};
  Shape input_shape = {};
  std::string name = {};
  Dialect dialect = Dialect::kKeras3;
};

class CONVSMITH_API Dense : public Layer {
 public:
  explicit Dense(const DenseArgs& args);
  explicit Dense(int64_t units, DenseArgs args = {});
};

// The other layers of a Sequential. `name` is always the last argument.

class CONVSMITH_API InputLayer : public Layer {
 public:
  explicit InputLayer(const Shape& shape, std::optional<int64_t> batch_size = {}, std::string name = {});
};

class CONVSMITH_API Activation : public Layer {
 public:
  explicit Activation(const ActivationArg& activation, std::string name = {});
};

struct ReLUArgs {
  double max_value = std::numeric_limits<double>::infinity();
  double negative_slope = 0.0;
  double threshold = 0.0;
};
class CONVSMITH_API ReLU : public Layer {
 public:
  explicit ReLU(const ReLUArgs& args = {}, std::string name = {});
};

class CONVSMITH_API LeakyReLU : public Layer {
 public:
  explicit LeakyReLU(double negative_slope = 0.3, std::string name = {});
};

class CONVSMITH_API Softmax : public Layer {
 public:
  explicit Softmax(int64_t axis = -1, std::string name = {});
};

struct BatchNormalizationArgs {
  int64_t axis = -1;
  double momentum = 0.99;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
};
class CONVSMITH_API BatchNormalization : public Layer {
 public:
  explicit BatchNormalization(const BatchNormalizationArgs& args = {}, std::string name = {});
};

struct PoolingArgs {
  int64_t pool_size = 2;
  std::optional<int64_t> strides = {};  // None: pool_size
  std::string padding = "valid";
  std::string data_format = "channels_last";
};
class CONVSMITH_API MaxPooling1D : public Layer {
 public:
  explicit MaxPooling1D(const PoolingArgs& args = {}, std::string name = {});
};
class CONVSMITH_API AveragePooling1D : public Layer {
 public:
  explicit AveragePooling1D(const PoolingArgs& args = {}, std::string name = {});
};

struct GlobalPoolingArgs {
  std::string data_format = "channels_last";
  bool keepdims = false;
};
class CONVSMITH_API GlobalMaxPooling1D : public Layer {
 public:
  explicit GlobalMaxPooling1D(const GlobalPoolingArgs& args = {}, std::string name = {});
};
class CONVSMITH_API GlobalAveragePooling1D : public Layer {
 public:
  explicit GlobalAveragePooling1D(const GlobalPoolingArgs& args = {}, std::string name = {});
};

class CONVSMITH_API ZeroPadding1D : public Layer {
 public:
  explicit ZeroPadding1D(int64_t padding = 1, std::string name = {});
  ZeroPadding1D(int64_t left, int64_t right, std::string name = {});
};

class CONVSMITH_API Cropping1D : public Layer {
 public:
  explicit Cropping1D(int64_t cropping = 1, std::string name = {});
  Cropping1D(int64_t left, int64_t right, std::string name = {});
};

class CONVSMITH_API UpSampling1D : public Layer {
 public:
  explicit UpSampling1D(int64_t size = 2, std::string name = {});
};

class CONVSMITH_API Flatten : public Layer {
 public:
  explicit Flatten(std::string name = {});
};

class CONVSMITH_API Reshape : public Layer {
 public:
  explicit Reshape(std::vector<int64_t> target_shape, std::string name = {});
};

class CONVSMITH_API Dropout : public Layer {
 public:
  explicit Dropout(double rate, std::string name = {});
};

// Layers one after the other. Unnamed ones are named as in a new Python process: conv1d, conv1d_1, dense.
class CONVSMITH_API Sequential {
 public:
  explicit Sequential(std::vector<Layer> layers = {}, std::string name = "sequential");
  void add(Layer layer);
  const std::vector<Layer>& layers() const { return layers_; }

  // Without a shape: that of the InputLayer, or the first layer's input_shape.
  Result<void> build(uint64_t seed = 0);
  Result<void> build(const Shape& input_shape, uint64_t seed = 0);
  Result<Tensor> operator()(const Tensor& input, Denormals denormals = Denormals::kKeep);
  Result<Shape> output_shape() const;

  struct SummaryRow {
    std::string name;
    std::string class_name;
    Shape output_shape;
    int64_t params = 0;
  };
  // What Keras's summary() prints, without the input layer. Of a built model.
  Result<std::vector<SummaryRow>> summary() const;

  // All layers' weights, one layer after the other.
  std::vector<Tensor> get_weights() const;
  Result<void> set_weights(std::vector<Tensor> weights);
  Result<std::vector<double>> losses() const;
  Result<void> apply_constraints();
  Result<std::string> get_config(Dialect dialect = Dialect::kKeras3) const;

 private:
  Result<Shape> given_input_shape() const;

  std::vector<Layer> layers_;
  std::string name_;
  std::vector<std::pair<std::string, int>> names_given_;
  Shape input_shape_;  // with the batch axis, once built
};

}  // namespace convsmith::layers
