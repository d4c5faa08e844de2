#include "frontend/layer_class.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace convsmith {
namespace {

constexpr std::string_view kOtherLayers[] = {
    "Conv1DTranspose",
    "Convolution1DTranspose",
    "DepthwiseConv1D",
    "SeparableConv1D",
    "SeparableConvolution1D",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "DepthwiseConv2D",
    "SeparableConv2D",
    "Dense",
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

Result<void> check_layer_class(const BindContext& context, const Value& at, std::string_view class_name) {
  if (class_name == "Conv1D" || class_name == "Convolution1D") return {};
  if (std::find(std::begin(kOtherLayers), std::end(kOtherLayers), class_name) != std::end(kOtherLayers)) {
    return context.fail(at, fmt::format("Layer {} is not supported yet; only Conv1D is", class_name),
                        ErrorCode::kUnsupported);
  }
  return context.fail(at, fmt::format("Unknown layer {}; expected Conv1D", quote(class_name)));
}

}  // namespace convsmith
