#include "frontend/keras/layer_class.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

#include "frontend/base/check.hpp"
#include "frontend/keras/nearest.hpp"

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
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveMaxPooling1D",
    "Add",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "AvgPool1D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "CenterCrop",
    "Concatenate",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "CuDNNGRU",
    "CuDNNLSTM",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "Dropout",
    "ELU",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "Functional",
    "GRU",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalAvgPool1D",
    "GlobalMaxPool1D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupedQueryAttention",
    "HashedCrossing",
    "Hashing",
    "Highway",
    "Identity",
    "InputLayer",
    "IntegerLookup",
    "LSTM",
    "Lambda",
    "LayerNormalization",
    "LeakyReLU",
    "LocallyConnected1D",
    "LocallyConnected2D",
    "Masking",
    "MaxPool1D",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "MaxoutDense",
    "MelSpectrogram",
    "Merge",
    "Minimum",
    "Model",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "PReLU",
    "Permute",
    "Pipeline",
    "RMSNormalization",
    "RNN",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "STFTSpectrogram",
    "SeparableConv2D",
    "Sequential",
    "SimpleRNN",
    "SlicingOpLambda",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StringLookup",
    "Subtract",
    "SyncBatchNormalization",
    "TFOpLambda",
    "TFSMLayer",
    "TensorFlowOpLayer",
    "TextVectorization",
    "ThresholdedReLU",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
};

}  // namespace

Result<LayerKind> find_layer_kind(const BindContext& context, const Value& at, std::string_view class_name,
                                  std::string_view hint) {
  for (const ClassName& row : kFamily) {
    if (row.name == class_name) return row.kind;
  }
  if (is_keras_layer(class_name)) {
    return context.fail(at, fmt::format("Layer {} is not supported; {}", class_name, kExpected),
                        ErrorCode::kUnsupported);
  }
  std::vector<std::string_view> names(std::begin(kOtherLayers), std::end(kOtherLayers));
  for (const ClassName& row : kFamily) names.push_back(row.name);
  return context.fail(at, fmt::format("Unknown layer {}; {}", quote(class_name), kExpected),
                      ErrorCode::kInvalidSpec,
                      hint.empty() ? did_you_mean(class_name, names) : std::string(hint));
}

bool is_keras_layer(std::string_view class_name) {
  const auto has_name = [&](const ClassName& row) { return row.name == class_name; };
  return std::any_of(std::begin(kFamily), std::end(kFamily), has_name) ||
         std::find(std::begin(kOtherLayers), std::end(kOtherLayers), class_name) != std::end(kOtherLayers);
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
