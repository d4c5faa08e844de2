#include "frontend/bind_layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "frontend/activations.hpp"
#include "frontend/check_spec.hpp"
#include "frontend/keras_objects.hpp"
#include "frontend/layer_class.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;

enum class Target : uint8_t {
  kFilters,
  kKernelSize,
  kStrides,
  kPadding,
  kDataFormat,
  kDilationRate,
  kGroups,
  kActivation,
  kUseBias,
  kKernelInitializer,
  kBiasInitializer,
  kKernelRegularizer,
  kBiasRegularizer,
  kActivityRegularizer,
  kKernelConstraint,
  kBiasConstraint,
  kName,
  kDtype,
  kTrainable,
  kInputShape,
  kBatchInputShape,
  kBatchSize,
  kInputDim,
  kWeights,
  kIgnored
};

struct ArgumentInfo {
  std::string_view name;
  Target target;
  Generations generations = kBothKeras;
};

// The first ones may be given by position.
constexpr std::size_t kPositional = 16;
constexpr ArgumentInfo kArguments[] = {
    {"filters", Target::kFilters},
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
    {"bias_constraint", Target::kBiasConstraint},
    {"name", Target::kName},
    {"dtype", Target::kDtype},
    {"trainable", Target::kTrainable},
    {"input_shape", Target::kInputShape},
    {"batch_input_shape", Target::kBatchInputShape, kKeras2Only},
    {"batch_size", Target::kBatchSize, kKeras2Only},
    {"input_dim", Target::kInputDim},
    {"weights", Target::kWeights, kKeras2Only},
    {"autocast", Target::kIgnored},
    {"dynamic", Target::kIgnored, kKeras2Only},
    {"implementation", Target::kIgnored, kKeras2Only},
    {"lora_rank", Target::kIgnored, kKeras3Only},
    {"lora_alpha", Target::kIgnored, kKeras3Only},
};

class LayerBinder {
 public:
  explicit LayerBinder(const BindContext& context) : context_(context) {}

  Result<LayerSpec> bind(const Value& at, const std::vector<Argument>& arguments) {
    std::array<const Argument*, std::size(kArguments)> given{};
    if (Result<void> done = sort(arguments, given); !done) return tl::unexpected(done.error());
    for (std::size_t i = 0; i < 2; ++i) {
      if (given[i] == nullptr) {
        return context_.fail(at, fmt::format("The argument `{}` of Conv1D is missing", kArguments[i].name));
      }
    }
    // In the order of the table, whatever the order of the text: shapes come last.
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i] == nullptr) continue;
      name_ = kArguments[i].name;
      if (Result<void> done = bind_one(kArguments[i].target, given[i]->value); !done) {
        return tl::unexpected(done.error());
      }
    }
    return std::move(spec_);
  }

 private:
  Result<void> sort(const std::vector<Argument>& arguments,
                    std::array<const Argument*, std::size(kArguments)>& given) const {
    std::size_t position = 0;
    for (const Argument& argument : arguments) {
      std::size_t index = position++;
      if (!argument.name.empty()) {
        const auto* found =
            std::find_if(std::begin(kArguments), std::end(kArguments),
                         [&](const ArgumentInfo& info) { return info.name == argument.name; });
        index = static_cast<std::size_t>(found - std::begin(kArguments));
      } else if (index >= kPositional) {
        return context_.fail(
            argument.value,
            fmt::format("Conv1D takes {} positional arguments; there is one more", kPositional));
      }
      const bool known =
          index < given.size() && (context_.from_json || context_.accepts(kArguments[index].generations));
      if (!known && context_.from_json) {
        context_.note(fmt::format("The key {} is not known and was ignored.", quote(argument.name)));
        continue;
      }
      if (!known) {
        return context_.fail(argument.value, fmt::format("Conv1D{} has no argument `{}`, which is given",
                                                         generation_text(context_.rules), argument.name));
      }
      if (given[index] != nullptr && !context_.from_json) {
        return context_.fail(argument.value, fmt::format("The argument `{}` is given twice, the second time",
                                                         kArguments[index].name));
      }
      given[index] = &argument;
    }
    return {};
  }

  Result<void> bind_one(Target target, const Value& value) {
    switch (target) {
      case Target::kFilters:
        return bind_filters(value);
      case Target::kKernelSize:
        return bind_single(value, spec_.kernel_size);
      case Target::kStrides:
        return bind_single(value, spec_.strides);
      case Target::kDilationRate:
        return bind_single(value, spec_.dilation_rate);
      case Target::kPadding:
        return bind_padding(value);
      case Target::kDataFormat:
        return bind_data_format(value);
      case Target::kGroups:
        return bind_groups(value);
      case Target::kActivation:
        return bind_activation_argument(value);
      case Target::kUseBias:
        return bind_use_bias(value);
      case Target::kKernelInitializer:
        return bind_initializer(value, spec_.kernel_initializer);
      case Target::kBiasInitializer:
        return bind_initializer(value, spec_.bias_initializer);
      case Target::kKernelRegularizer:
        return bind_object(ObjectRole::kRegularizer, value, spec_.kernel_regularizer);
      case Target::kBiasRegularizer:
        return bind_object(ObjectRole::kRegularizer, value, spec_.bias_regularizer);
      case Target::kActivityRegularizer:
        return bind_object(ObjectRole::kRegularizer, value, spec_.activity_regularizer);
      case Target::kKernelConstraint:
        return bind_object(ObjectRole::kConstraint, value, spec_.kernel_constraint);
      case Target::kBiasConstraint:
        return bind_object(ObjectRole::kConstraint, value, spec_.bias_constraint);
      case Target::kName:
        return bind_name(value);
      case Target::kDtype:
        return bind_dtype(value);
      case Target::kTrainable:
        return bind_trainable(value);
      case Target::kInputShape:
        return bind_input_shape(value);
      case Target::kBatchInputShape:
        return value.kind == Kind::kNone ? Result<void>{}
                                         : bind_batch_input_shape(context_, name_, value, spec_);
      case Target::kBatchSize:
        return bind_batch_size(value);
      case Target::kInputDim:
        return bind_input_dim(value);
      case Target::kWeights:
        return bind_weights(value);
      case Target::kIgnored:
        if (value.kind != Kind::kNone) context_.note(fmt::format("`{}` was ignored.", name_));
        return {};
    }
    return {};
  }

  tl::unexpected<Error> refuse(const Value& value, std::string_view wanted) const {
    return context_.fail(value, fmt::format("`{}` {}, got {}", name_, wanted, describe(value)));
  }

  // An integer. Python's True is 1: Keras 3 computes with it, Keras 2 fails where it becomes part of a shape.
  Result<int64_t> read_integer(const Value& value) const {
    if (value.kind == Kind::kInt) return value.integer;
    if (value.kind == Kind::kBigInt) {
      return refuse(value, fmt::format("must be at most {}", kMaxSize));
    }
    const bool in_shape = name_ == "filters" || name_ == "kernel_size";
    if (value.kind != Kind::kBool || (in_shape && context_.rules == Rules::kKeras2)) {
      return refuse(value, "must be an integer");
    }
    context_.note(fmt::format("`{}` is {}, read as {}.", name_, describe(value), value.integer));
    return value.integer;
  }

  Result<void> read_size(const Value& value, const Value& at, int64_t& out) const {
    Result<int64_t> number = read_integer(value);
    if (!number) return tl::unexpected(number.error());
    if (*number < 1 || *number > kMaxSize) return refuse(at, size_limits_text());
    out = *number;
    return {};
  }

  Result<void> bind_filters(const Value& value) {
    if (value.kind == Kind::kFloat && context_.rules == Rules::kKeras2) {
      if (!(value.number >= 1 && value.number <= kMaxSize)) return refuse(value, size_limits_text());
      spec_.filters = static_cast<int64_t>(value.number);
      context_.note(
          fmt::format("`filters` is {}, which Keras 2 truncates to {}.", describe(value), spec_.filters));
      return {};
    }
    return read_size(value, value, spec_.filters);
  }

  // kernel_size, strides and dilation_rate: an integer or a sequence of one.
  Result<void> bind_single(const Value& value, int64_t& out) {
    const Value* single = &value;
    if (value.is_sequence()) {
      if (value.items.size() != 1) return refuse(value, "must be one integer or a tuple of one integer");
      single = &value.items.front().value;
    }
    return read_size(*single, value, out);
  }

  Result<void> bind_groups(const Value& value) {
    const bool keras2 = context_.rules == Rules::kKeras2;
    if (value.kind == Kind::kNone && context_.rules != Rules::kKeras3) {
      context_.note("`groups` is None, which Keras 2 reads as 1 and Keras 3 refuses.");
      spec_.groups = 1;
      return {};
    }
    // Keras 2 computes `groups or 1`; the spec keeps the 0.
    if (keras2 && (value.kind == Kind::kInt || value.kind == Kind::kBool) && value.integer == 0) {
      spec_.groups = 0;
      return {};
    }
    return read_size(value, value, spec_.groups);
  }

  Result<void> bind_padding(const Value& value) {
    if (value.is_sequence()) return bind_explicit_padding(value);
    if (value.kind != Kind::kString) return refuse(value, "must be 'valid', 'same' or 'causal'");
    const std::string lower = to_lower(value.text);
    if (lower != "valid" && lower != "same" && lower != "causal") {
      return refuse(value, "must be 'valid', 'same' or 'causal'");
    }
    spec_.padding = lower == "valid" ? Padding::kValid : lower == "same" ? Padding::kSame : Padding::kCausal;
    return {};
  }

  Result<void> bind_explicit_padding(const Value& value) {
    if (context_.rules != Rules::kAny) {
      return refuse(value,
                    "must be 'valid', 'same' or 'causal'; a tuple is accepted under the rules 'any' only");
    }
    if (value.items.size() != 2) return refuse(value, "must be (left, right)");
    int64_t* const sides[] = {&spec_.pad_left, &spec_.pad_right};
    for (std::size_t i = 0; i < 2; ++i) {
      Result<int64_t> number = read_integer(value.items[i].value);
      if (!number) return tl::unexpected(number.error());
      if (*number < 0 || *number > kMaxSize) {
        return refuse(value, fmt::format("must hold integers from 0 to {}", kMaxSize));
      }
      *sides[i] = *number;
    }
    spec_.padding = Padding::kExplicit;
    return {};
  }

  Result<void> bind_data_format(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    const std::string lower = value.kind == Kind::kString ? to_lower(value.text) : std::string();
    if (lower != "channels_last" && lower != "channels_first") {
      return refuse(value, "must be 'channels_last' or 'channels_first'");
    }
    spec_.data_format = lower == "channels_last" ? DataFormat::kChannelsLast : DataFormat::kChannelsFirst;
    return {};
  }

  Result<void> bind_use_bias(const Value& value) {
    switch (value.kind) {  // Python's truth of a value
      case Kind::kName:
      case Kind::kCall:
        return refuse(value, "must be True or False");
      case Kind::kNone:
        spec_.use_bias = false;
        break;
      case Kind::kBool:
      case Kind::kInt:
        spec_.use_bias = value.integer != 0;
        break;
      case Kind::kFloat:
        spec_.use_bias = value.number != 0;
        break;
      case Kind::kBigInt:
        spec_.use_bias = true;
        break;
      case Kind::kString:
        spec_.use_bias = !value.text.empty();
        break;
      default:
        spec_.use_bias = !value.items.empty();
        break;
    }
    if (value.kind != Kind::kBool && value.kind != Kind::kInt) {
      context_.note(
          fmt::format("`use_bias` is {}, read as {}.", describe(value), spec_.use_bias ? "True" : "False"));
    }
    return {};
  }

  Result<void> bind_object(ObjectRole role, const Value& value, std::optional<KerasObject>& out) {
    Result<std::optional<KerasObject>> object = bind_keras_object(context_, role, name_, value);
    if (!object) return tl::unexpected(object.error());
    out = std::move(*object);
    return {};
  }

  Result<void> bind_initializer(const Value& value, Initializer& out) {
    Result<std::optional<KerasObject>> object =
        bind_keras_object(context_, ObjectRole::kInitializer, name_, value);
    if (!object) return tl::unexpected(object.error());
    if (!object->has_value()) {
      context_.note(fmt::format("`{}` is None, which means glorot_uniform in Keras.", name_));
      out = {"GlorotUniform"};
    } else {
      out = std::move(**object);
    }
    return {};
  }

  Result<void> bind_activation_argument(const Value& value) {
    Result<Activation> activation = bind_activation(context_, value);
    if (!activation) return tl::unexpected(activation.error());
    spec_.activation = *activation;
    return {};
  }

  Result<void> bind_weights(const Value& value) const {
    if (value.kind == Kind::kNone) return {};
    return context_.fail(value, "`weights` in the layer text is not supported; load them separately",
                         ErrorCode::kUnsupported);
  }

  // Whether a layer is trained changes nothing here.
  Result<void> bind_trainable(const Value& value) const {
    if (value.kind == Kind::kBool || context_.rules != Rules::kKeras3) return {};
    return refuse(value, "must be True or False");
  }

  Result<void> bind_name(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    if (value.kind != Kind::kString) return refuse(value, "must be a string");
    spec_.name = value.text;
    return {};
  }

  Result<void> bind_dtype(const Value& value) {
    std::string_view type = name_of(value);
    const SerializedObject policy = read_serialized(value);
    if (policy.config != nullptr) {
      const Value* policy_name = policy.config->find("name");
      type = policy_name != nullptr ? name_of(*policy_name) : std::string_view();
    }
    if (value.kind == Kind::kNone || type == "float32") return {};
    return context_.fail(
        value, fmt::format("`dtype` {} is not supported; layers compute in float32", describe(value)),
        ErrorCode::kUnsupported);
  }

  Result<void> bind_input_shape(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    Result<Shape> shape = read_shape(context_, name_, value);
    if (!shape) return tl::unexpected(shape.error());
    if (shape->empty()) return refuse(value, "must have an axis for steps and one for channels");
    spec_.input_shape = std::move(*shape);
    return {};
  }

  Result<void> bind_batch_size(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    Result<int64_t> number = read_integer(value);
    if (!number) return tl::unexpected(number.error());
    if (*number < 0 || *number > kMaxAxis)
      return refuse(value, fmt::format("must be from 0 to {}", kMaxAxis));
    spec_.batch_size = *number;
    return {};
  }

  // Keras's old spelling of "this many channels, any number of steps"; an input_shape wins.
  Result<void> bind_input_dim(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    int64_t channels = 0;
    if (Result<void> done = read_size(value, value, channels); !done) return done;
    if (!spec_.input_shape.empty()) return {};
    context_.note(
        fmt::format("`input_dim`={} is read as {} channels with any number of steps.", channels, channels));
    spec_.input_shape = {std::nullopt, channels};
    if (spec_.data_format == DataFormat::kChannelsFirst)
      std::swap(spec_.input_shape[0], spec_.input_shape[1]);
    return {};
  }

  static std::string to_lower(std::string text) {
    for (char& c : text) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return text;
  }

 public:
  static Result<Shape> read_shape(const BindContext& context, std::string_view name, const Value& value) {
    if (!value.is_sequence()) {
      return context.fail(
          value, fmt::format("`{}` must be a tuple of integers and None, got {}", name, describe(value)));
    }
    Shape shape;
    for (const Argument& item : value.items) {
      if (item.value.kind == Kind::kNone) {
        shape.push_back(std::nullopt);
      } else if (item.value.kind == Kind::kInt && item.value.integer >= 0 && item.value.integer <= kMaxAxis) {
        shape.push_back(item.value.integer);
      } else {
        return context.fail(value, fmt::format("`{}` must hold integers from 0 to {} or None, got {}", name,
                                               kMaxAxis, describe(value)));
      }
    }
    return shape;
  }

 private:
  const BindContext& context_;
  std::string_view name_;  // of the argument that is being bound
  LayerSpec spec_;
};

}  // namespace

Result<LayerSpec> bind_conv1d(const BindContext& context, const Value& at,
                              const std::vector<Argument>& arguments) {
  Result<LayerSpec> spec = LayerBinder(context).bind(at, arguments);
  if (spec) spec->dialect = context.dialect;
  return spec;
}

Result<LayerSpec> bind_layer(const BindContext& context, std::string_view class_name, const Value& at,
                             const std::vector<Argument>& arguments) {
  if (Result<void> known = check_layer_class(context, at, class_name); !known)
    return tl::unexpected(known.error());
  return bind_conv1d(context, at, arguments);
}

Result<void> bind_batch_input_shape(const BindContext& context, std::string_view argument, const Value& value,
                                    LayerSpec& spec) {
  Result<Shape> shape = LayerBinder::read_shape(context, argument, value);
  if (!shape) return tl::unexpected(shape.error());
  if (shape->size() < 2) {
    return context.fail(value,
                        fmt::format("`{}` must have a batch axis and one for steps and channels each, got {}",
                                    argument, describe(value)));
  }
  spec.batch_size = shape->front();
  spec.input_shape.assign(shape->begin() + 1, shape->end());
  return {};
}

}  // namespace convsmith
