#include "convsmith/activation.hpp"
// Prints the configs of 50 layers of all five kinds as JSON lines, for docs/keras_round_trip.py.
//   write_configs [keras2|keras3]
#include <convsmith/layers.hpp>
#include <cstdio>
#include <string_view>
#include <vector>

using namespace convsmith;

namespace {

const char* const kActivations[] = {"linear", "relu", "tanh", "gelu", "selu"};
const char* const kInitializers[] = {"he_normal", "glorot_uniform", "lecun_uniform", "orthogonal", "ones"};

layers::RegularizerArg regularizer(int i) {
  switch (i % 5) {
    case 0:
      return {};
    case 1:
      return regularizers::L1(0.02);
    case 2:
      return "l2";
    case 3:
      return regularizers::L1L2(1e-5, 1e-4);
    default:
      return regularizers::OrthogonalRegularizer(0.1, "columns");
  }
}

layers::ConstraintArg constraint(int i) {
  switch (i % 4) {
    case 0:
      return {};
    case 1:
      return constraints::max_norm(3.0, {0, 1});
    case 2:
      return "non_neg";
    default:
      return constraints::min_max_norm(0.5, 1.5, 0.75);
  }
}

layers::InitializerArg initializer(int i) {
  if (i % 3 == 0) return initializers::variance_scaling(2.0, "fan_out", "uniform", 3 + i);
  if (i % 3 == 1) return initializers::truncated_normal(0.0, 0.1);
  return kInitializers[i % 5];
}

layers::ActivationArg activation(int i) {
  if (i % 4 == 3) return make_relu(0.25F);
  if (i % 7 == 6) return make_relu(0.1F, 6.0F, 0.5F);
  return kActivations[i % 5];
}

// Layer i of ten of each kind; stride and dilation are never both above 1, which Keras refuses.
std::vector<layers::Layer> make_layers(int i) {
  const int64_t size = 1 + i % 5;
  const int64_t strides = i % 2 == 0 ? 1 + i % 3 : 1;
  const int64_t dilation = i % 2 == 0 ? 1 : 1 + i % 4;
  const char* padding = i % 3 == 0 ? "same" : "valid";
  const char* format = i % 4 == 2 ? "channels_first" : "channels_last";
  const std::string name = "layer_" + std::to_string(i);
  const bool bias = i % 4 != 1;
  std::vector<layers::Layer> out;
  out.push_back(layers::Conv1D(4 * size, size,
                               {.strides = strides,
                                .padding = i % 5 == 4 ? "causal" : padding,
                                .data_format = format,
                                .dilation_rate = dilation,
                                .groups = 1 + i % 2,
                                .activation = activation(i),
                                .use_bias = bias,
                                .kernel_initializer = initializer(i),
                                .kernel_regularizer = regularizer(i),
                                .bias_regularizer = regularizer(i + 1),
                                .activity_regularizer = regularizer(i + 2),
                                .kernel_constraint = constraint(i),
                                .bias_constraint = constraint(i + 1),
                                .name = "c" + name}));
  out.push_back(layers::Conv1DTranspose(
      size, size,
      {.strides = strides,
       .padding = padding,
       .output_padding = strides > 1 ? std::optional<int64_t>(strides - 1) : std::nullopt,
       .data_format = format,
       .dilation_rate = dilation,
       .activation = activation(i + 1),
       .use_bias = bias,
       .bias_initializer = initializer(i),
       .kernel_regularizer = regularizer(i + 3),
       .kernel_constraint = constraint(i + 2),
       .name = "t" + name}));
  out.push_back(layers::DepthwiseConv1D(size, {.strides = strides,
                                               .padding = padding,
                                               .depth_multiplier = size,
                                               .data_format = format,
                                               .dilation_rate = dilation,
                                               .activation = activation(i + 2),
                                               .use_bias = bias,
                                               .depthwise_initializer = initializer(i + 1),
                                               .depthwise_regularizer = regularizer(i + 1),
                                               .depthwise_constraint = constraint(i + 3),
                                               .name = "d" + name}));
  out.push_back(layers::SeparableConv1D(size, size,
                                        {.strides = strides,
                                         .padding = padding,
                                         .data_format = format,
                                         .dilation_rate = dilation,
                                         .depth_multiplier = size,
                                         .activation = activation(i + 3),
                                         .use_bias = bias,
                                         .depthwise_initializer = initializer(i + 2),
                                         .pointwise_initializer = initializer(i),
                                         .depthwise_regularizer = regularizer(i + 2),
                                         .pointwise_regularizer = regularizer(i),
                                         .depthwise_constraint = constraint(i),
                                         .pointwise_constraint = constraint(i + 1),
                                         .name = "s" + name}));
  out.push_back(layers::Dense(size, {.activation = activation(i + 4),
                                     .use_bias = bias,
                                     .kernel_initializer = initializer(i),
                                     .bias_initializer = initializer(i + 1),
                                     .kernel_regularizer = regularizer(i + 4),
                                     .bias_regularizer = regularizer(i),
                                     .activity_regularizer = regularizer(i + 1),
                                     .kernel_constraint = constraint(i + 2),
                                     .name = "n" + name}));
  return out;
}

}  // namespace

int main(int argc, char** argv) {
  const bool keras2 = argc > 1 && std::string_view(argv[1]) == "keras2";
  for (int i = 0; i < 10; ++i) {
    for (const layers::Layer& layer : make_layers(i)) {
      const Result<std::string> text = layer.serialize(keras2 ? Dialect::kKeras2 : Dialect::kKeras3);
      if (!text) return std::fprintf(stderr, "%s\n", text.error().message.c_str()), 1;
      std::puts(text->c_str());
    }
  }
}
