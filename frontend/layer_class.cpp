#include "frontend/layer_class.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "frontend/check.hpp"

namespace convsmith {
namespace {

struct ClassName {
  std::string_view name;
  LayerKind kind;
};

// The first name of a kind is its own, others are aliases. DepthwiseConv1D has none in Keras.
constexpr ClassName kFamily[] = {
    {"Conv1D", LayerKind::kConv1D},
    {"Convolution1D", LayerKind::kConv1D},
    {"Conv1DTranspose", LayerKind::kConv1DTranspose},
    {"Convolution1DTranspose", LayerKind::kConv1DTranspose},
    {"DepthwiseConv1D", LayerKind::kDepthwiseConv1D},
    {"SeparableConv1D", LayerKind::kSeparableConv1D},
    {"SeparableConvolution1D", LayerKind::kSeparableConv1D},
    {"Dense", LayerKind::kDense},
};
constexpr std::string_view kExpected =
    "expected Conv1D, Conv1DTranspose, DepthwiseConv1D, SeparableConv1D or Dense";

constexpr std::string_view kOtherLayers[] = {
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "Activation",
    "ReLU",
    "LeakyReLU",
    "PReLU",
    "ELU",
    "ThresholdedReLU",
    "Softmax",
    "BatchNormalization",
    "Dropout",
    "SpatialDropout1D",
    "Flatten",
    "Reshape",
    "Permute",
    "MaxPooling1D",
    "MaxPool1D",
    "AveragePooling1D",
    "AvgPool1D",
    "GlobalMaxPooling1D",
    "GlobalMaxPool1D",
    "GlobalAveragePooling1D",
    "GlobalAvgPool1D",
    "ZeroPadding1D",
    "Cropping1D",
    "UpSampling1D",
    "Add",
    "Concatenate",
    "Multiply",
    "LayerNormalization",
    "Embedding",
    "LSTM",
    "GRU",
    "Bidirectional",
    "TimeDistributed",
    "LocallyConnected1D",
    "InputLayer",
    "Sequential",
    "Functional",
    "Model",
};

}  // namespace

Result<LayerKind> find_layer_kind(const BindContext& context, const Value& at, std::string_view class_name) {
  for (const ClassName& row : kFamily) {
    if (row.name == class_name) return row.kind;
  }
  if (std::find(std::begin(kOtherLayers), std::end(kOtherLayers), class_name) != std::end(kOtherLayers)) {
    return context.fail(at, fmt::format("Layer {} is not supported; {}", class_name, kExpected),
                        ErrorCode::kUnsupported);
  }
  return context.fail(at, fmt::format("Unknown layer {}; {}", quote(class_name), kExpected));
}

std::string_view class_name_of(LayerKind kind) {
  for (const ClassName& row : kFamily) {
    if (row.kind == kind) return row.name;
  }
  fail_check(__FILE__, __LINE__, "every kind of layer has a class name");
}

std::string_view default_name_of(LayerKind kind) {
  switch (kind) {
    case LayerKind::kConv1D:
      return "conv1d";
    case LayerKind::kConv1DTranspose:
      return "conv1d_transpose";
    case LayerKind::kDepthwiseConv1D:
      return "depthwise_conv1d";
    case LayerKind::kSeparableConv1D:
      return "separable_conv1d";
    case LayerKind::kDense:
      return "dense";
  }
  fail_check(__FILE__, __LINE__, "every kind of layer has a default name");
}

}  // namespace convsmith
