#include "frontend/keras/bind_layer.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "frontend/base/check.hpp"
#include "frontend/keras/activations.hpp"
#include "frontend/keras/check_spec.hpp"
#include "frontend/keras/dtype_policy.hpp"
#include "frontend/keras/keras1_names.hpp"
#include "frontend/keras/keras_objects.hpp"
#include "frontend/keras/layer_arguments.hpp"
#include "frontend/keras/layer_class.hpp"
#include "frontend/keras/nearest.hpp"
#include "frontend/keras/torch_words.hpp"

namespace convsmith {
namespace {

using Kind = Value::Kind;

class LayerBinder {
 public:
  LayerBinder(const BindContext& context, LayerKind kind)
      : context_(context), table_(argument_table(kind)), class_name_(class_name_of(kind)) {
    spec_.kind = kind;
    spec_.dialect = context.dialect;
  }

  Result<LayerSpec> bind(const Value& at, const std::vector<Argument>& arguments) {
    std::vector<const Argument*> given(table_.arguments.size());
    if (Result<void> done = sort(arguments, given); !done) return tl::unexpected(done.error());
    for (std::size_t i = 0; i < table_.required; ++i) {
      if (given[i] == nullptr) {
        return context_.fail(
            at, fmt::format("The argument `{}` of {} is missing", table_.arguments[i].name, class_name_));
      }
    }
    // In the order of the table, whatever the order of the text: shapes come behind the data format.
    for (std::size_t i = 0; i < given.size(); ++i) {
      if (given[i] == nullptr) continue;
      name_ = table_.arguments[i].name;
      if (Result<void> done = bind_one(table_.arguments[i].parameter, given[i]->value); !done) {
        return tl::unexpected(done.error());
      }
    }
    return std::move(spec_);
  }

 private:
  Result<void> sort(const std::vector<Argument>& arguments, std::vector<const Argument*>& given) const {
    std::size_t position = 0;
    for (const Argument& argument : arguments) {
      std::size_t index = position++;
      if (!argument.name.empty()) {
        index = index_of(argument.name);
      } else if (index >= table_.positional) {
        return context_.fail(argument.value,
                             fmt::format("{} takes {} positional arguments; there is one more", class_name_,
                                         table_.positional));
      }
      const bool known = index < given.size() &&
                         (context_.from_json || context_.accepts(table_.arguments[index].generations));
      if (!known && context_.from_json) {
        if (bind_keras1_name(argument, given) || is_idle_keras1_name(argument.name)) continue;
        context_.note(fmt::format("The key {} is not known and was ignored.", quote(argument.name)));
        continue;
      }
      if (!known) {
        return context_.fail(argument.value,
                             fmt::format("{}{} has no argument `{}`, which is given", class_name_,
                                         generation_text(context_.rules), argument.name),
                             ErrorCode::kInvalidSpec, argument_hint(argument.name));
      }
      if (given[index] != nullptr && !context_.from_json) {
        return context_.fail(argument.value, fmt::format("The argument `{}` is given twice, the second time",
                                                         table_.arguments[index].name));
      }
      given[index] = &argument;
    }
    return {};
  }

  std::size_t index_of(std::string_view name) const {
    const auto found = std::find_if(table_.arguments.begin(), table_.arguments.end(),
                                    [&](const ArgumentInfo& info) { return info.name == name; });
    return static_cast<std::size_t>(found - table_.arguments.begin());
  }

  std::string argument_hint(std::string_view name) const {
    std::vector<std::string_view> names;
    for (const ArgumentInfo& info : table_.arguments) {
      if (info.name == name) return {};  // of the other generation
      if (context_.accepts(info.generations)) names.push_back(info.name);
    }
    const std::string torch = torch_argument_hint(name, names);
    return torch.empty() ? did_you_mean(name, names) : torch;
  }

  // A modern name beside it wins. Of initializers Keras 1 had some that are unknown today.
  bool bind_keras1_name(const Argument& argument, std::vector<const Argument*>& given) const {
    const std::size_t index = index_of(modern_name(argument.name));
    if (index >= given.size()) return false;
    const bool is_initializer = table_.arguments[index].parameter == Parameter::kKernelInitializer;
    const bool fits =
        !is_initializer || bind_keras_object(context_, ObjectRole::kInitializer, "init", argument.value);
    if (fits && given[index] == nullptr) given[index] = &argument;
    return true;
  }

  Result<void> bind_one(Parameter parameter, const Value& value) {
    switch (parameter) {
      case Parameter::kFilters:
        return bind_filters(value);
      case Parameter::kKernelSize:
        return bind_single(value, spec_.kernel_size);
      case Parameter::kStrides:
        return bind_single(value, spec_.strides);
      case Parameter::kDilationRate:
        return bind_single(value, spec_.dilation_rate);
      case Parameter::kPadding:
        return bind_padding(value);
      case Parameter::kOutputPadding:
        return bind_output_padding(value);
      case Parameter::kDataFormat:
        return bind_data_format(value);
      case Parameter::kGroups:
        return bind_groups(value);
      case Parameter::kDepthMultiplier:
        return read_size(value, value, spec_.depth_multiplier);
      case Parameter::kActivation:
        return bind_activation_argument(value);
      case Parameter::kUseBias:
        return bind_use_bias(value);
      case Parameter::kName:
        return bind_name(value);
      case Parameter::kDtype:
        return accept_dtype(context_, value);
      case Parameter::kTrainable:
        return bind_trainable(value);
      case Parameter::kInputShape:
        return bind_input_shape(value);
      case Parameter::kBatchInputShape:
        return value.kind == Kind::kNone ? Result<void>{}
                                         : bind_batch_input_shape(context_, name_, value, spec_);
      case Parameter::kBatchSize:
        return bind_batch_size(value);
      case Parameter::kInputDim:
        return bind_input_dim(value);
      case Parameter::kWeights:
        return bind_weights(value);
      case Parameter::kIgnoredGroups:
        return bind_ignored_groups(value);
      case Parameter::kUnused:
        if (!context_.from_json) context_.note(fmt::format("`{}` is not used by {}.", name_, class_name_));
        return {};
      case Parameter::kIgnored:
        if (value.kind != Kind::kNone) context_.note(fmt::format("`{}` was ignored.", name_));
        return {};
      default:
        return bind_object(parameter, value);
    }
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
    const bool in_shape =
        name_ == "filters" || name_ == "units" || name_ == "kernel_size" || name_ == "depth_multiplier";
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
          fmt::format("`{}` is {}, which Keras 2 truncates to {}.", name_, describe(value), spec_.filters));
      return {};
    }
    return read_size(value, value, spec_.filters);
  }

  // kernel_size, strides, dilation_rate and output_padding: an integer or a sequence of one.
  Result<const Value*> read_single(const Value& value) const {
    if (!value.is_sequence()) return &value;
    if (value.items.size() == 1) return &value.items.front().value;
    return refuse(value, "must be one integer or a tuple of one integer");
  }

  Result<void> bind_single(const Value& value, int64_t& out) const {
    Result<const Value*> single = read_single(value);
    if (!single) return tl::unexpected(single.error());
    return read_size(**single, value, out);
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

  Result<void> bind_ignored_groups(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    int64_t groups = 1;
    if (Result<void> done = read_size(value, value, groups); !done) return done;
    if (groups == 1) return {};
    if (!context_.accepts(kKeras2Only)) return refuse(value, fmt::format("must be 1 in {}", class_name_));
    if (spec_.filters % groups != 0)
      return refuse(value, fmt::format("must divide filters={}", spec_.filters));
    context_.note(fmt::format("`groups` is {}, which {} of Keras 2 ignores.", groups, class_name_));
    return {};
  }

  Result<void> bind_output_padding(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    Result<const Value*> single = read_single(value);
    if (!single) return tl::unexpected(single.error());
    Result<int64_t> number = read_integer(**single);
    if (!number) return tl::unexpected(number.error());
    spec_.output_padding = *number;  // check_spec knows its limits
    return {};
  }

  Result<void> bind_padding(const Value& value) {
    if (value.is_sequence()) return bind_explicit_padding(value);
    const std::string lower = value.kind == Kind::kString ? to_lower(value.text) : std::string();
    if (lower != "valid" && lower != "same" && lower != "causal") {
      const std::string wanted = fmt::format("`padding` must be {}, got {}",
                                             padding_names(spec_.kind, context_.rules), describe(value));
      return context_.fail(value, wanted, ErrorCode::kInvalidSpec, padding_hint(value));
    }
    spec_.padding = lower == "valid" ? Padding::kValid : lower == "same" ? Padding::kSame : Padding::kCausal;
    return {};
  }

  // PyTorch's padding is a number of steps at each end.
  static std::string padding_hint(const Value& value) {
    constexpr std::string_view kWords[] = {"valid", "same", "causal"};
    if (value.kind == Kind::kString) return did_you_mean(value.text, kWords);
    if (value.kind != Kind::kInt || value.integer < 0) return {};
    if (value.integer == 0) return "PyTorch's padding=0 is padding='valid'.";
    return fmt::format("PyTorch's padding={0} is padding=({0}, {0}) with --rules any (Rules::kAny).",
                       value.integer);
  }

  Result<void> bind_explicit_padding(const Value& value) {
    if (context_.rules != Rules::kAny) {
      return refuse(value, fmt::format("must be {}; a tuple is accepted under the rules 'any' only",
                                       padding_names(spec_.kind, context_.rules)));
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

  Result<void> bind_object(Parameter parameter, const Value& value) {
    const ObjectMember* member =
        std::find_if(std::begin(kObjectMembers), std::end(kObjectMembers),
                     [parameter](const ObjectMember& row) { return row.parameter == parameter; });
    CONVSMITH_CHECK(member != std::end(kObjectMembers), "every argument has a way to bind it");
    const bool is_keras1 =
        context_.from_json && value.kind == Kind::kDict && value.find("class_name") == nullptr;
    if (is_keras1 && member->role == ObjectRole::kRegularizer) return {};  // {"name": "ActivityRegularizer"}
    Result<std::optional<KerasObject>> object = bind_keras_object(context_, member->role, name_, value);
    if (!object) return tl::unexpected(object.error());
    if (member->initializer == nullptr) {
      spec_.*member->optional = std::move(*object);
    } else if (object->has_value()) {
      spec_.*member->initializer = std::move(**object);
    } else {
      context_.note(fmt::format("`{}` is None, which means glorot_uniform in Keras.", name_));
      spec_.*member->initializer = {"GlorotUniform"};
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

  Result<void> bind_input_shape(const Value& value) {
    if (value.kind == Kind::kNone) return {};
    Result<Shape> shape = read_shape(context_, name_, value);
    if (!shape) return tl::unexpected(shape.error());
    if (shape->empty()) return refuse(value, "must have at least one axis");
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
    if (spec_.kind == LayerKind::kDense) {
      spec_.input_shape = {channels};
      return {};
    }
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

  const BindContext& context_;
  const ArgumentTable& table_;
  std::string_view class_name_;
  std::string_view name_;  // of the argument that is being bound
  LayerSpec spec_;
};

}  // namespace

Result<LayerSpec> bind_layer(const BindContext& context, std::string_view class_name, const Value& at,
                             const std::vector<Argument>& arguments) {
  Result<LayerKind> kind = find_layer_kind(context, at, class_name, torch_layer_hint(class_name, arguments));
  if (!kind) return tl::unexpected(kind.error());
  return LayerBinder(context, *kind).bind(at, arguments);
}

}  // namespace convsmith
