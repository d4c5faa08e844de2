#include "frontend/layer_arguments.hpp"

#include <array>
#include <initializer_list>

namespace convsmith {
namespace {

using List = std::initializer_list<ArgumentInfo>;

// By name only, in every layer. They stand last, because shapes are read with the data format in mind.
constexpr ArgumentInfo kCommon[] = {
    {"input_shape", Target::kInputShape},
    {"batch_input_shape", Target::kBatchInputShape, kKeras2Only},
    {"batch_size", Target::kBatchSize, kKeras2Only},
    {"input_dim", Target::kInputDim},
    {"name", Target::kName},
    {"dtype", Target::kDtype},
    {"trainable", Target::kTrainable},
    {"weights", Target::kWeights, kKeras2Only},
    {"autocast", Target::kIgnored},
    {"dynamic", Target::kIgnored, kKeras2Only},
    {"implementation", Target::kIgnored, kKeras2Only},
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
      {{"filters", Target::kFilters},
       {"kernel_size", Target::kKernelSize},
       {"strides", Target::kStrides},
       {"padding", Target::kPadding},
       {"data_format", Target::kDataFormat},
       {"dilation_rate", Target::kDilationRate},
       {"groups", Target::kGroups},
       {"activation", Target::kActivation},
       {"use_bias", Target::kUseBias},
       {"kernel_initializer", Target::kKernelInitializer},
       {"bias_initializer", Target::kBiasInitializer},
       {"kernel_regularizer", Target::kKernelRegularizer},
       {"bias_regularizer", Target::kBiasRegularizer},
       {"activity_regularizer", Target::kActivityRegularizer},
       {"kernel_constraint", Target::kKernelConstraint},
       {"bias_constraint", Target::kBiasConstraint}},
      {{"lora_rank", Target::kIgnored, kKeras3Only}, {"lora_alpha", Target::kIgnored, kKeras3Only}});
}

ArgumentTable conv1d_transpose() {
  return make_table(2,
                    {{"filters", Target::kFilters},
                     {"kernel_size", Target::kKernelSize},
                     {"strides", Target::kStrides},
                     {"padding", Target::kPadding},
                     {"output_padding", Target::kOutputPadding},
                     {"data_format", Target::kDataFormat},
                     {"dilation_rate", Target::kDilationRate},
                     {"activation", Target::kActivation},
                     {"use_bias", Target::kUseBias},
                     {"kernel_initializer", Target::kKernelInitializer},
                     {"bias_initializer", Target::kBiasInitializer},
                     {"kernel_regularizer", Target::kKernelRegularizer},
                     {"bias_regularizer", Target::kBiasRegularizer},
                     {"activity_regularizer", Target::kActivityRegularizer},
                     {"kernel_constraint", Target::kKernelConstraint},
                     {"bias_constraint", Target::kBiasConstraint}},
                    {{"groups", Target::kIgnoredGroups, kKeras2Only}});
}

ArgumentTable depthwise_conv1d() {
  return make_table(1,
                    {{"kernel_size", Target::kKernelSize},
                     {"strides", Target::kStrides},
                     {"padding", Target::kPadding},
                     {"depth_multiplier", Target::kDepthMultiplier},
                     {"data_format", Target::kDataFormat},
                     {"dilation_rate", Target::kDilationRate},
                     {"activation", Target::kActivation},
                     {"use_bias", Target::kUseBias},
                     {"depthwise_initializer", Target::kKernelInitializer},
                     {"bias_initializer", Target::kBiasInitializer},
                     {"depthwise_regularizer", Target::kKernelRegularizer},
                     {"bias_regularizer", Target::kBiasRegularizer},
                     {"activity_regularizer", Target::kActivityRegularizer},
                     {"depthwise_constraint", Target::kKernelConstraint},
                     {"bias_constraint", Target::kBiasConstraint}},
                    {{"groups", Target::kIgnoredGroups, kKeras2Only},
                     {"kernel_initializer", Target::kUnused, kKeras2Only},
                     {"kernel_regularizer", Target::kUnused, kKeras2Only},
                     {"kernel_constraint", Target::kUnused, kKeras2Only}});
}

ArgumentTable separable_conv1d() {
  return make_table(2,
                    {{"filters", Target::kFilters},
                     {"kernel_size", Target::kKernelSize},
                     {"strides", Target::kStrides},
                     {"padding", Target::kPadding},
                     {"data_format", Target::kDataFormat},
                     {"dilation_rate", Target::kDilationRate},
                     {"depth_multiplier", Target::kDepthMultiplier},
                     {"activation", Target::kActivation},
                     {"use_bias", Target::kUseBias},
                     {"depthwise_initializer", Target::kKernelInitializer},
                     {"pointwise_initializer", Target::kPointwiseInitializer},
                     {"bias_initializer", Target::kBiasInitializer},
                     {"depthwise_regularizer", Target::kKernelRegularizer},
                     {"pointwise_regularizer", Target::kPointwiseRegularizer},
                     {"bias_regularizer", Target::kBiasRegularizer},
                     {"activity_regularizer", Target::kActivityRegularizer},
                     {"depthwise_constraint", Target::kKernelConstraint},
                     {"pointwise_constraint", Target::kPointwiseConstraint},
                     {"bias_constraint", Target::kBiasConstraint}},
                    {{"groups", Target::kIgnoredGroups, kKeras2Only},
                     {"kernel_initializer", Target::kUnused, kKeras2Only},
                     {"kernel_regularizer", Target::kUnused, kKeras2Only},
                     {"kernel_constraint", Target::kUnused, kKeras2Only}});
}

ArgumentTable dense() {
  return make_table(1,
                    {{"units", Target::kFilters},
                     {"activation", Target::kActivation},
                     {"use_bias", Target::kUseBias},
                     {"kernel_initializer", Target::kKernelInitializer},
                     {"bias_initializer", Target::kBiasInitializer},
                     {"kernel_regularizer", Target::kKernelRegularizer},
                     {"bias_regularizer", Target::kBiasRegularizer},
                     {"activity_regularizer", Target::kActivityRegularizer},
                     {"kernel_constraint", Target::kKernelConstraint},
                     {"bias_constraint", Target::kBiasConstraint}},
                    {{"lora_rank", Target::kIgnored, kKeras3Only},
                     {"lora_alpha", Target::kIgnored, kKeras3Only},
                     {"quantization_config", Target::kIgnored, kKeras3Only}});
}

}  // namespace

const ArgumentTable& argument_table(LayerKind kind) {
  // By LayerKind.
  static const std::array<ArgumentTable, 5> tables{conv1d(), conv1d_transpose(), depthwise_conv1d(),
                                                   separable_conv1d(), dense()};
  return tables.at(static_cast<std::size_t>(kind));
}

std::string_view argument_name(LayerKind kind, Target target) {
  for (const ArgumentInfo& info : argument_table(kind).arguments) {
    if (info.target == target) return info.name;
  }
  return {};
}

}  // namespace convsmith
