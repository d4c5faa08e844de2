// A whole Keras model as its file says it: layers with their weights, and the graph of their calls. Nested
// models are already inlined. Made by the readers in frontend/models/ and by layers::Sequential; turned into
// tensors and passes by ir/graph/build_graph, which finds every error of shapes.
//
// Invariants (made by the readers): nodes are in topological order, every node has the number of inputs that
// its layer takes, and every layer has the weights that its arguments ask for, by number. Shapes of weights
// are checked by build_graph, which knows the channels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "convsmith/activation_value.hpp"
#include "convsmith/layer_spec.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith {

// Axes of `Shape`s here leave out the batch axis; axis numbers are Keras's (0 is the batch axis, -1 the last
// one).

struct InputOp {
  Shape shape;
};
// Activation, ReLU, LeakyReLU, ELU, ThresholdedReLU, Softmax.
struct ActivationOp {
  Activation activation;
  std::vector<int64_t> axes = {};  // of a softmax over several axes together
};
// y = max(x, 0) - alpha * max(-x, 0). Weight: alpha, of the input's shape with 1 at the shared axes.
struct PreluOp {};
// Weights: gamma if scale, beta if center, moving_mean, moving_variance; each (channels).
struct BatchNormOp {
  int64_t axis = -1;
  double epsilon = 1e-3;
  bool center = true;
  bool scale = true;
};
struct PoolOp {
  bool average = false;  // else the maximum
  int64_t pool_size = 2;
  int64_t strides = 2;
  Padding padding = Padding::kValid;  // kValid or kSame
  DataFormat data_format = DataFormat::kChannelsLast;
};
struct GlobalPoolOp {
  bool average = false;
  bool keepdims = false;
  DataFormat data_format = DataFormat::kChannelsLast;
};
struct ZeroPaddingOp {
  int64_t left = 1;
  int64_t right = 1;
  DataFormat data_format = DataFormat::kChannelsLast;
};
struct CroppingOp {
  int64_t left = 1;
  int64_t right = 1;
};
struct UpSamplingOp {
  int64_t size = 2;
};
struct FlattenOp {
  DataFormat data_format = DataFormat::kChannelsLast;
};
struct ReshapeOp {
  std::vector<int64_t> target;  // at most one -1
};
struct PermuteOp {
  std::vector<int64_t> dims;  // a permutation of 1..rank: output axis i is input axis dims[i]
};
enum class MergeKind { kAdd, kSubtract, kMultiply, kAverage, kMaximum, kMinimum, kDivide };
// Size-1 axes are broadcast. Where ranks differ, a layer fills missing axes in behind the batch axis, an
// operator in front of it.
struct MergeOp {
  MergeKind kind = MergeKind::kAdd;
  bool is_operator = false;
};
// An array that stands in the model's config. Its axes meet the last ones of a tensor, as numpy lines them
// up.
struct Constant {
  std::vector<int64_t> shape;  // none: a number
  std::vector<double> data;
};
// y = x * scale + shift, both of one shape. Rescaling, and operators with a constant.
struct AffineOp {
  Constant scale;
  Constant shift;
};
// y = (x - mean) / max(sqrt(variance), 1e-7), inverted y = mean + x * max(sqrt(variance), 1e-7). Both are
// given, or weights: mean, variance; of the sizes of the axes (none: numbers).
struct NormalizationOp {
  std::vector<int64_t> axes;
  std::optional<Constant> mean;
  std::optional<Constant> variance;
  bool invert = false;
};
// max(x, limit) or min(x, limit).
struct LimitOp {
  Constant limit;
  bool is_upper = false;
};
// The mean or the maximum over some axes.
struct ReduceOp {
  bool average = false;
  std::vector<int64_t> axes;
  bool keepdims = false;
};
struct ConcatenateOp {
  int64_t axis = -1;
};
// Dropout and the like, Activation('linear'), ActivityRegularization.
struct IdentityOp {};

// LayerSpec: the convolution family and Dense. Weights in Keras's order: kernel, bias; or depthwise kernel,
// pointwise kernel, bias.
using LayerOp =
    std::variant<InputOp, LayerSpec, ActivationOp, PreluOp, BatchNormOp, PoolOp, GlobalPoolOp, ZeroPaddingOp,
                 CroppingOp, UpSamplingOp, FlattenOp, ReshapeOp, PermuteOp, MergeOp, ConcatenateOp,
                 IdentityOp, AffineOp, LimitOp, ReduceOp, NormalizationOp>;

struct ModelLayer {
  std::string name;        // "block/conv1d" inside a nested model called block
  std::string class_name;  // Keras's
  LayerOp op;
  std::vector<Tensor> weights;
};

// One call of a layer; a shared layer has several.
struct ModelNode {
  int layer = 0;            // index into ModelSpec::layers
  std::vector<int> inputs;  // indices of nodes
};

struct ModelSpec {
  std::string name;
  Dialect dialect = Dialect::kKeras3;
  std::vector<ModelLayer> layers;
  std::vector<ModelNode> nodes;
  std::vector<int> inputs;   // nodes of InputOp layers, in the model's order
  std::vector<int> outputs;  // nodes, in the model's order
  // What a file calls them, by input and output; empty: as their layers. See input_names.
  std::vector<std::string> given_input_names;
  std::vector<std::string> given_output_names;
};

// What inputs and outputs are called, in the model's order, no two alike: a second "conv1d" is "conv1d_1", as
// in Keras 2.
std::vector<std::string> input_names(const ModelSpec& model);
std::vector<std::string> output_names(const ModelSpec& model);

}  // namespace convsmith
