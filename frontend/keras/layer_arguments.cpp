#include "frontend/keras/layer_arguments.hpp"

#include <array>
#include <initializer_list>

namespace convsmith {
namespace {

using List = std::initializer_list<ArgumentInfo>;

// By name only, in every layer. They stand last, because shapes are read with the data format in mind.
constexpr ArgumentInfo kCommon[] = {
    {"input_shape", Parameter::kInputShape},
    {"batch_input_shape", Parameter::kBatchInputShape, kKeras2Only},
    {"batch_size", Parameter::kBatchSize, kKeras2Only},
    {"input_dim", Parameter::kInputDim},
    {"name", Parameter::kName},
    {"dtype", Parameter::kDtype},
    {"trainable", Parameter::kTrainable},
    {"weights", Parameter::kWeights, kKeras2Only},
    {"autocast", Parameter::kIgnored},
    {"dynamic", Parameter::kIgnored, kKeras2Only},
    {"implementation", Parameter::kIgnored, kKeras2Only},
};

ArgumentTable make_table(std::size_t required, List positional, List named) {
  ArgumentTable table{positional, required, positional.size()};
  table.arguments.insert(table.arguments.end(), named);
  table.arguments.insert(table.arguments.end(), std::begin(kCommon), std::end(kCommon));
  return table;
}

ArgumentTable conv1d() {
  return make_table(
      2,
      {{"filters", Parameter::kFilters},
       {"kernel_size", Parameter::kKernelSize},
       {"strides", Parameter::kStrides},
       {"padding", Parameter::kPadding},
       {"data_format", Parameter::kDataFormat},
       {"dilation_rate", Parameter::kDilationRate},
       {"groups", Parameter::kGroups},
       {"activation", Parameter::kActivation},
       {"use_bias", Parameter::kUseBias},
       {"kernel_initializer", Parameter::kKernelInitializer},
       {"bias_initializer", Parameter::kBiasInitializer},
       {"kernel_regularizer", Parameter::kKernelRegularizer},
       {"bias_regularizer", Parameter::kBiasRegularizer},
       {"activity_regularizer", Parameter::kActivityRegularizer},
       {"kernel_constraint", Parameter::kKernelConstraint},
       {"bias_constraint", Parameter::kBiasConstraint}},
      {{"lora_rank", Parameter::kIgnored, kKeras3Only}, {"lora_alpha", Parameter::kIgnored, kKeras3Only}});
}

ArgumentTable conv1d_transpose() {
  return make_table(2,
                    {{"filters", Parameter::kFilters},
                     {"kernel_size", Parameter::kKernelSize},
                     {"strides", Parameter::kStrides},
                     {"padding", Parameter::kPadding},
                     {"output_padding", Parameter::kOutputPadding},
                     {"data_format", Parameter::kDataFormat},
                     {"dilation_rate", Parameter::kDilationRate},
                     {"activation", Parameter::kActivation},
                     {"use_bias", Parameter::kUseBias},
                     {"kernel_initializer", Parameter::kKernelInitializer},
                     {"bias_initializer", Parameter::kBiasInitializer},
                     {"kernel_regularizer", Parameter::kKernelRegularizer},
                     {"bias_regularizer", Parameter::kBiasRegularizer},
                     {"activity_regularizer", Parameter::kActivityRegularizer},
                     {"kernel_constraint", Parameter::kKernelConstraint},
                     {"bias_constraint", Parameter::kBiasConstraint}},
                    {{"groups", Parameter::kIgnoredGroups, kKeras2Only}});
}

ArgumentTable depthwise_conv1d() {
  return make_table(1,
                    {{"kernel_size", Parameter::kKernelSize},
                     {"strides", Parameter::kStrides},
                     {"padding", Parameter::kPadding},
                     {"depth_multiplier", Parameter::kDepthMultiplier},
                     {"data_format", Parameter::kDataFormat},
                     {"dilation_rate", Parameter::kDilationRate},
                     {"activation", Parameter::kActivation},
                     {"use_bias", Parameter::kUseBias},
                     {"depthwise_initializer", Parameter::kKernelInitializer},
                     {"bias_initializer", Parameter::kBiasInitializer},
                     {"depthwise_regularizer", Parameter::kKernelRegularizer},
                     {"bias_regularizer", Parameter::kBiasRegularizer},
                     {"activity_regularizer", Parameter::kActivityRegularizer},
                     {"depthwise_constraint", Parameter::kKernelConstraint},
                     {"bias_constraint", Parameter::kBiasConstraint}},
                    {{"groups", Parameter::kIgnoredGroups, kKeras2Only},
                     {"kernel_initializer", Parameter::kUnused, kKeras2Only},
                     {"kernel_regularizer", Parameter::kUnused, kKeras2Only},
                     {"kernel_constraint", Parameter::kUnused, kKeras2Only}});
}

ArgumentTable separable_conv1d() {
  return make_table(2,
                    {{"filters", Parameter::kFilters},
                     {"kernel_size", Parameter::kKernelSize},
                     {"strides", Parameter::kStrides},
                     {"padding", Parameter::kPadding},
                     {"data_format", Parameter::kDataFormat},
                     {"dilation_rate", Parameter::kDilationRate},
                     {"depth_multiplier", Parameter::kDepthMultiplier},
                     {"activation", Parameter::kActivation},
                     {"use_bias", Parameter::kUseBias},
                     {"depthwise_initializer", Parameter::kKernelInitializer},
                     {"pointwise_initializer", Parameter::kPointwiseInitializer},
                     {"bias_initializer", Parameter::kBiasInitializer},
                     {"depthwise_regularizer", Parameter::kKernelRegularizer},
                     {"pointwise_regularizer", Parameter::kPointwiseRegularizer},
                     {"bias_regularizer", Parameter::kBiasRegularizer},
                     {"activity_regularizer", Parameter::kActivityRegularizer},
                     {"depthwise_constraint", Parameter::kKernelConstraint},
                     {"pointwise_constraint", Parameter::kPointwiseConstraint},
                     {"bias_constraint", Parameter::kBiasConstraint}},
                    {{"groups", Parameter::kIgnoredGroups, kKeras2Only},
                     {"kernel_initializer", Parameter::kUnused, kKeras2Only},
                     {"kernel_regularizer", Parameter::kUnused, kKeras2Only},
                     {"kernel_constraint", Parameter::kUnused, kKeras2Only}});
}

ArgumentTable dense() {
  return make_table(1,
                    {{"units", Parameter::kFilters},
                     {"activation", Parameter::kActivation},
                     {"use_bias", Parameter::kUseBias},
                     {"kernel_initializer", Parameter::kKernelInitializer},
                     {"bias_initializer", Parameter::kBiasInitializer},
                     {"kernel_regularizer", Parameter::kKernelRegularizer},
                     {"bias_regularizer", Parameter::kBiasRegularizer},
                     {"activity_regularizer", Parameter::kActivityRegularizer},
                     {"kernel_constraint", Parameter::kKernelConstraint},
                     {"bias_constraint", Parameter::kBiasConstraint}},
                    {{"lora_rank", Parameter::kIgnored, kKeras3Only},
                     {"lora_alpha", Parameter::kIgnored, kKeras3Only},
                     {"quantization_config", Parameter::kIgnored, kKeras3Only}});
}

}  // namespace

const ArgumentTable& argument_table(LayerKind kind) {
  // By LayerKind.
  static const std::array<ArgumentTable, 5> tables{conv1d(), conv1d_transpose(), depthwise_conv1d(),
                                                   separable_conv1d(), dense()};
  return tables.at(static_cast<std::size_t>(kind));
}

std::string_view argument_name(LayerKind kind, Parameter parameter) {
  for (const ArgumentInfo& info : argument_table(kind).arguments) {
    if (info.parameter == parameter) return info.name;
  }
  return {};
}

}  // namespace convsmith
