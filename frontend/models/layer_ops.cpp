#include "frontend/models/layer_ops.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

#include "convsmith/activation.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/bind_layer.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/dtype_policy.hpp"
#include "frontend/keras/weight_shapes.hpp"
#include "frontend/models/fields.hpp"
#include "frontend/models/operators.hpp"
#include "frontend/models/preprocessing.hpp"

namespace convsmith::models {
namespace {

using Kind = Value::Kind;
using Binder = Result<LayerOp> (*)(const Fields&);

struct Alias {
  std::string_view alias;
  std::string_view name;
};
constexpr Alias kAliases[] = {
    {"Convolution1D", "Conv1D"},
    {"AtrousConvolution1D", "Conv1D"},
    {"Convolution1DTranspose", "Conv1DTranspose"},
    {"SeparableConvolution1D", "SeparableConv1D"},
    {"TimeDistributedDense", "Dense"},
    {"MaxPool1D", "MaxPooling1D"},
    {"AvgPool1D", "AveragePooling1D"},
    {"GlobalMaxPool1D", "GlobalMaxPooling1D"},
    {"GlobalAvgPool1D", "GlobalAveragePooling1D"},
    {"BatchNormalizationV1", "BatchNormalization"},
    {"BatchNormalizationV2", "BatchNormalization"},
};

constexpr std::string_view kConvolutions[] = {"Conv1D", "Conv1DTranspose", "DepthwiseConv1D",
                                              "SeparableConv1D", "Dense"};

Result<LayerOp> bind_identity(const Fields&) {
  return IdentityOp{};
}

Result<LayerOp> bind_input(const Fields& fields) {
  for (const char* key : {"batch_shape", "batch_input_shape", "build_input_shape"}) {
    const Value* value = fields.find(key);
    if (value == nullptr || value->kind == Kind::kNone) continue;
    Result<Shape> shape = fields.shape(key);
    if (!shape) return tl::unexpected(shape.error());
    if (shape->size() < 2) return fields.refuse(key, *value, "must have a batch axis and one more");
    return InputOp{{shape->begin() + 1, shape->end()}};
  }
  return make_error(ErrorCode::kInvalidData,
                    "The shape of the input is not given: the model was saved before it was built.");
}

Result<LayerOp> bind_activation_layer(const Fields& fields) {
  const Value* value = fields.find("activation");
  if (value == nullptr) return make_error(ErrorCode::kInvalidData, "`activation` is missing.");
  const SerializedObject object = read_serialized(*value);
  if (object.name == "Softmax" && object.config != nullptr)
    return bind_softmax(Fields(fields.context(), "Softmax", *object.config));
  Result<Activation> activation = bind_activation(fields.context(), *value);
  if (!activation) return tl::unexpected(activation.error());
  if (activation->kind == ActivationKind::kLinear) return IdentityOp{};
  return ActivationOp{*activation};
}

// ReLU, LeakyReLU, ELU and ThresholdedReLU are activations with a class name.
Result<LayerOp> bind_named_activation(const Fields& fields) {
  Value object;
  object.kind = Kind::kDict;
  Value name;
  name.kind = Kind::kString;
  name.text = fields.class_name();
  object.items.push_back({"class_name", std::move(name)});
  object.items.push_back({"config", fields.config()});
  Result<Activation> activation = bind_activation(fields.context(), object);
  if (!activation) return tl::unexpected(activation.error());
  return ActivationOp{*activation};
}

Result<LayerOp> bind_prelu(const Fields&) {
  return PreluOp{};
}

Result<LayerOp> bind_batch_norm(const Fields& fields) {
  BatchNormOp op;
  for (const char* key : {"renorm", "mode"}) {
    const Value* value = fields.find(key);
    const bool off = value == nullptr || value->kind == Kind::kNone ||
                     ((value->kind == Kind::kBool || value->kind == Kind::kInt) && value->integer == 0);
    if (!off) return fields.refuse(key, *value, "is not supported", ErrorCode::kUnsupported);
  }
  Result<int64_t> axis = fields.axis("axis", -1);
  if (!axis) return tl::unexpected(axis.error());
  Result<double> epsilon = fields.number("epsilon", op.epsilon);
  if (!epsilon) return tl::unexpected(epsilon.error());
  Result<bool> center = fields.flag("center", true);
  if (!center) return tl::unexpected(center.error());
  Result<bool> scale = fields.flag("scale", true);
  if (!scale) return tl::unexpected(scale.error());
  if (!(*epsilon >= 0)) return fields.refuse("epsilon", *fields.find("epsilon"), "must not be negative");
  return BatchNormOp{*axis, *epsilon, *center, *scale};
}

Result<LayerOp> bind_pool(const Fields& fields) {
  PoolOp op;
  op.average = fields.class_name() == "AveragePooling1D";
  Result<int64_t> size = fields.single("pool_size", 2, 1, kMaxSize);
  if (!size) return tl::unexpected(size.error());
  op.pool_size = *size;
  Result<int64_t> strides = fields.single("strides", *size, 1, kMaxSize);
  if (!strides) return tl::unexpected(strides.error());
  op.strides = *strides;
  Result<std::string> padding = fields.choice("padding", {"valid", "same"});
  if (!padding) return tl::unexpected(padding.error());
  op.padding = *padding == "same" ? Padding::kSame : Padding::kValid;
  Result<DataFormat> format = fields.data_format();
  if (!format) return tl::unexpected(format.error());
  op.data_format = *format;
  return op;
}

Result<LayerOp> bind_global_pool(const Fields& fields) {
  Result<bool> keepdims = fields.flag("keepdims", false);
  if (!keepdims) return tl::unexpected(keepdims.error());
  Result<DataFormat> format = fields.data_format();
  if (!format) return tl::unexpected(format.error());
  return GlobalPoolOp{fields.class_name() == "GlobalAveragePooling1D", *keepdims, *format};
}

Result<LayerOp> bind_zero_padding(const Fields& fields) {
  Result<std::pair<int64_t, int64_t>> sides = fields.pair("padding", 1);
  if (!sides) return tl::unexpected(sides.error());
  Result<DataFormat> format = fields.data_format();
  if (!format) return tl::unexpected(format.error());
  return ZeroPaddingOp{sides->first, sides->second, *format};
}

Result<LayerOp> bind_cropping(const Fields& fields) {
  Result<std::pair<int64_t, int64_t>> sides = fields.pair("cropping", 1);
  if (!sides) return tl::unexpected(sides.error());
  return CroppingOp{sides->first, sides->second};
}

Result<LayerOp> bind_up_sampling(const Fields& fields) {
  Result<int64_t> size = fields.single("size", 2, 1, kMaxSize);
  if (!size) return tl::unexpected(size.error());
  return UpSamplingOp{*size};
}

Result<LayerOp> bind_flatten(const Fields& fields) {
  Result<DataFormat> format = fields.data_format();
  if (!format) return tl::unexpected(format.error());
  return FlattenOp{*format};
}

Result<LayerOp> bind_reshape(const Fields& fields) {
  Result<std::vector<int64_t>> target = fields.integers("target_shape", -1, kMaxAxis);
  if (!target) return tl::unexpected(target.error());
  const auto unknown = std::count(target->begin(), target->end(), -1);
  const auto zeros = std::count(target->begin(), target->end(), 0);
  if (unknown > 1 || zeros > 0)
    return fields.refuse("target_shape", *fields.find("target_shape"),
                         "must hold positive integers and at most one -1");
  return ReshapeOp{std::move(*target)};
}

Result<LayerOp> bind_permute(const Fields& fields) {
  Result<std::vector<int64_t>> dims = fields.integers("dims", 1, 8);
  if (!dims) return tl::unexpected(dims.error());
  std::vector<int64_t> sorted = *dims;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int64_t>(i) + 1)
      return fields.refuse("dims", *fields.find("dims"), "must be a permutation of 1, 2, ...");
  }
  return PermuteOp{std::move(*dims)};
}

Result<LayerOp> bind_merge(const Fields& fields) {
  constexpr std::pair<std::string_view, MergeKind> kKinds[] = {
      {"Add", MergeKind::kAdd},           {"Subtract", MergeKind::kSubtract},
      {"Multiply", MergeKind::kMultiply}, {"Average", MergeKind::kAverage},
      {"Maximum", MergeKind::kMaximum},   {"Minimum", MergeKind::kMinimum}};
  MergeOp op;
  for (const auto& [name, kind] : kKinds) {
    if (name == fields.class_name()) op.kind = kind;
  }
  return op;
}

Result<LayerOp> bind_concatenate(const Fields& fields) {
  Result<int64_t> axis = fields.axis("axis", -1);
  if (!axis) return tl::unexpected(axis.error());
  return ConcatenateOp{*axis};
}

// The layer Merge of Keras 1.
Result<LayerOp> bind_keras1_merge(const Fields& fields) {
  Result<std::string> mode = fields.choice("mode", {"sum", "mul", "concat", "ave", "max"});
  if (!mode) return tl::unexpected(mode.error());
  if (*mode == "concat") {
    Result<int64_t> axis = fields.axis("axis", -1);
    if (!axis) return tl::unexpected(axis.error());
    return ConcatenateOp{*axis};
  }
  return MergeOp{*mode == "sum"   ? MergeKind::kAdd
                 : *mode == "mul" ? MergeKind::kMultiply
                 : *mode == "ave" ? MergeKind::kAverage
                                  : MergeKind::kMaximum};
}

// Dense acts on the last axis of any input, so wrapping it changes nothing.
Result<LayerOp> bind_time_distributed(const Fields& fields) {
  const Value* layer = fields.find("layer");
  const Value* name = layer != nullptr ? layer->find("class_name") : nullptr;
  const Value* config = layer != nullptr ? layer->find("config") : nullptr;
  const bool is_dense =
      name != nullptr && name->kind == Kind::kString && canonical_class(name->text) == "Dense";
  if (!is_dense || config == nullptr || config->kind != Kind::kDict)
    return make_error(ErrorCode::kUnsupported, "TimeDistributed is supported around Dense only.");
  return bind_op(fields.context(), "Dense", *config);
}

struct Entry {
  std::string_view name;
  Binder bind;
};
constexpr Entry kLayers[] = {
    {"InputLayer", bind_input},
    {"Activation", bind_activation_layer},
    {"ReLU", bind_named_activation},
    {"LeakyReLU", bind_named_activation},
    {"ELU", bind_named_activation},
    {"ThresholdedReLU", bind_named_activation},
    {"Softmax", bind_softmax},
    {"PReLU", bind_prelu},
    {"BatchNormalization", bind_batch_norm},
    {"MaxPooling1D", bind_pool},
    {"AveragePooling1D", bind_pool},
    {"GlobalMaxPooling1D", bind_global_pool},
    {"GlobalAveragePooling1D", bind_global_pool},
    {"ZeroPadding1D", bind_zero_padding},
    {"Cropping1D", bind_cropping},
    {"UpSampling1D", bind_up_sampling},
    {"Flatten", bind_flatten},
    {"Reshape", bind_reshape},
    {"Permute", bind_permute},
    {"Add", bind_merge},
    {"Subtract", bind_merge},
    {"Multiply", bind_merge},
    {"Average", bind_merge},
    {"Maximum", bind_merge},
    {"Minimum", bind_merge},
    {"Concatenate", bind_concatenate},
    {"Merge", bind_keras1_merge},
    {"TimeDistributed", bind_time_distributed},
    {"Rescaling", bind_rescaling},
    {"Normalization", bind_normalization},
    {"Dropout", bind_identity},
    {"SpatialDropout1D", bind_identity},
    {"SpatialDropout2D", bind_identity},
    {"SpatialDropout3D", bind_identity},
    {"GaussianDropout", bind_identity},
    {"GaussianNoise", bind_identity},
    {"AlphaDropout", bind_identity},
    {"ActivityRegularization", bind_identity},
    {"Identity", bind_identity},
};

// What augments data in training and gives it back as it is at inference; RandomCrop cuts at inference, too.
constexpr std::string_view kAugmentations[] = {
    "AugMix",
    "CutMix",
    "MixUp",
    "RandAugment",
    "RandomBrightness",
    "RandomColorJitter",
    "RandomContrast",
    "RandomErasing",
    "RandomFlip",
    "RandomColorDegeneration",
    "RandomGrayscale",
    "RandomHeight",
    "RandomHue",
    "RandomInvert",
    "RandomElasticTransform",
    "RandomPerspective",
    "RandomRotation",
    "RandomShear",
    "RandomSaturation",
    "RandomGaussianBlur",
    "RandomSharpness",
    "RandomWidth",
    "RandomZoom",
    "RandomTranslation",
    "RandomPosterization",
};

bool is_convolution(std::string_view name) {
  return std::find(std::begin(kConvolutions), std::end(kConvolutions), name) != std::end(kConvolutions);
}

const Entry* find_entry(std::string_view name) {
  static constexpr Entry kAugmentation{"", bind_identity};
  if (std::find(std::begin(kAugmentations), std::end(kAugmentations), name) != std::end(kAugmentations))
    return &kAugmentation;
  const auto* found = std::find_if(std::begin(kLayers), std::end(kLayers),
                                   [&](const Entry& entry) { return entry.name == name; });
  return found == std::end(kLayers) ? nullptr : found;
}

Result<LayerOp> bind_convolution(const BindContext& context, std::string_view class_name,
                                 const Value& config) {
  Result<LayerSpec> spec = bind_layer(context, class_name, config, config.items);
  if (!spec) return tl::unexpected(spec.error());
  // The graph says what the input is, and older files repeat it here.
  spec->input_shape.clear();
  spec->batch_size.reset();
  if (Result<void> done = check_spec(*spec, context.rules); !done) return tl::unexpected(done.error());
  return std::move(*spec);
}

}  // namespace

Result<LayerOp> bind_softmax(const Fields& fields) {
  Result<std::vector<int64_t>> axes = fields.axes("axis");
  if (!axes) return tl::unexpected(axes.error());
  const bool is_one = axes->size() == 1;
  const Activation softmax{ActivationKind::kSoftmax, {is_one ? static_cast<float>(axes->front()) : 0, 0, 0}};
  return ActivationOp{softmax, is_one ? std::vector<int64_t>{} : std::move(*axes)};
}

std::string_view canonical_class(std::string_view name) {
  for (const Alias& alias : kAliases) {
    if (alias.alias == name) return alias.name;
  }
  return name;
}

std::string snake_case(std::string_view class_name) {
  const auto is_upper = [](char c) { return c >= 'A' && c <= 'Z'; };
  const auto is_lower = [](char c) { return c >= 'a' && c <= 'z'; };
  std::string out;
  for (std::size_t i = 0; i < class_name.size(); ++i) {
    const char c = class_name[i];
    const bool word_follows = i + 1 < class_name.size() && is_lower(class_name[i + 1]);
    const bool word_ended = i > 0 && (is_lower(class_name[i - 1]));
    if (is_upper(c) && i > 0 && (word_follows || word_ended)) out.push_back('_');
    out.push_back(is_upper(c) ? static_cast<char>(c - 'A' + 'a') : c);
  }
  return out;
}

bool is_known_class(std::string_view class_name) {
  return is_convolution(class_name) || find_entry(class_name) != nullptr || is_known_operator(class_name);
}

Result<LayerOp> bind_op(const BindContext& context, std::string_view class_name, const Value& config) {
  if (is_convolution(class_name)) return bind_convolution(context, class_name, config);
  const Fields fields(context, class_name, config);
  const Value* dtype = fields.find("dtype");
  const std::string type = dtype != nullptr ? policy_name(*dtype) : std::string();
  const bool is_integer = type.starts_with("int") || type.starts_with("uint") || type == "bool";
  if (class_name == "InputLayer" && is_integer) {
    context.note(fmt::format("The input is of type {} in the file and of float32 here.", type));
  } else if (dtype != nullptr) {
    if (Result<void> done = accept_dtype(context, *dtype); !done) return tl::unexpected(done.error());
  }
  return find_entry(class_name)->bind(fields);
}

std::vector<ExpectedWeight> expected_weights(const LayerOp& op) {
  std::vector<ExpectedWeight> out;
  if (std::holds_alternative<PreluOp>(op)) {
    out.push_back({"alpha", {}, true, true});
  } else if (const auto* normalization = std::get_if<NormalizationOp>(&op)) {
    if (normalization->mean) return out;
    const std::vector<std::optional<int64_t>> shape(normalization->axes.size());
    out.push_back({"mean", shape, false});
    out.push_back({"variance", shape, false});
    out.push_back({.name = "count", .shape = {}, .trainable = false, .unread = true});
  } else if (const auto* norm = std::get_if<BatchNormOp>(&op)) {
    if (norm->scale) out.push_back({"gamma", {std::nullopt}});
    if (norm->center) out.push_back({"beta", {std::nullopt}});
    out.push_back({"moving_mean", {std::nullopt}, false});
    out.push_back({"moving_variance", {std::nullopt}, false});
  } else if (const auto* spec = std::get_if<LayerSpec>(&op)) {
    const int64_t groups = std::max<int64_t>(spec->groups, 1);
    // A size that depends on the number of channels is not known yet.
    const std::vector<WeightShape> some = weight_shapes(*spec, groups);
    const std::vector<WeightShape> others = weight_shapes(*spec, 2 * groups);
    for (std::size_t i = 0; i < some.size(); ++i) {
      ExpectedWeight weight{some[i].name, {}};
      for (std::size_t axis = 0; axis < some[i].shape.size(); ++axis) {
        const int64_t size = some[i].shape[axis];
        weight.shape.push_back(size == others[i].shape[axis] ? std::optional(size) : std::nullopt);
      }
      out.push_back(std::move(weight));
    }
  }
  return out;
}

}  // namespace convsmith::models
