#include "frontend/keras/activations.hpp"

#include <fmt/format.h>

#include <array>
#include <cfloat>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <optional>

#include "convsmith/activation.hpp"
#include "frontend/base/check.hpp"
#include "frontend/keras/nearest.hpp"

namespace convsmith {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kRequired = std::numeric_limits<float>::quiet_NaN();  // a parameter without a default

// How an activation is written. Class names count as strings in Keras 2 only.
enum class Form : uint8_t { kFunction, kLayer };

struct Parameter {
  std::string_view name;
  uint8_t slot = 0;
  Generations generations = kBothKeras;
};

// Parameters stand in Keras's order; two for one slot are two spellings. The first entry of a kind is the
// one that to_call_text writes.
struct Entry {
  std::string_view name;
  Form form;
  Generations generations;
  std::optional<ActivationKind> kind;  // empty: a layer with weights of its own
  std::array<float, 3> defaults = {};
  std::array<Parameter, 4> parameters = {};
  Generations nonnegative = 0;  // the generations that refuse negative parameters
};

constexpr Parameter kAlpha{"alpha", 0}, kTheta{"theta", 0}, kThresholdOnly{"threshold", 0};
constexpr Parameter kSlope3{"negative_slope", 0, kKeras3Only}, kSlope2{"alpha", 0, kKeras2Only};
constexpr Parameter kAxis{"axis", 0};
constexpr Parameter kSlope{"negative_slope", 0}, kMaxValue{"max_value", 1}, kThreshold{"threshold", 2};

using Act = ActivationKind;
constexpr Entry kEntries[] = {
    {"linear", Form::kFunction, kBothKeras, Act::kLinear},
    {"relu",
     Form::kFunction,
     kBothKeras,
     Act::kRelu,
     {0, kInf, 0},
     {kSlope3, kSlope2, kMaxValue, kThreshold}},
    {"relu6", Form::kFunction, kBothKeras, Act::kRelu, {0, 6, 0}},
    {"leaky_relu", Form::kFunction, kBothKeras, Act::kRelu, {0.2F, kInf, 0}, {kSlope3, kSlope2}},
    {"elu", Form::kFunction, kBothKeras, Act::kElu, {1}, {kAlpha}},
    {"selu", Form::kFunction, kBothKeras, Act::kSelu},
    {"celu", Form::kFunction, kKeras3Only, Act::kCelu, {1}, {kAlpha}},
    {"gelu", Form::kFunction, kBothKeras, Act::kGelu, {0}, {{{"approximate", 0}}}},
    {"sigmoid", Form::kFunction, kBothKeras, Act::kSigmoid},
    {"log_sigmoid", Form::kFunction, kKeras3Only, Act::kLogSigmoid},
    {"hard_sigmoid", Form::kFunction, kBothKeras, Act::kHardSigmoidKeras2},
    {"silu", Form::kFunction, kBothKeras, Act::kSilu},
    {"swish", Form::kFunction, kBothKeras, Act::kSilu},
    {"hard_silu", Form::kFunction, kKeras3Only, Act::kHardSilu},
    {"hard_swish", Form::kFunction, kKeras3Only, Act::kHardSilu},
    {"mish", Form::kFunction, kBothKeras, Act::kMish},
    {"tanh", Form::kFunction, kBothKeras, Act::kTanh},
    {"tanh_shrink", Form::kFunction, kKeras3Only, Act::kTanhShrink},
    {"hard_tanh", Form::kFunction, kKeras3Only, Act::kHardTanh},
    {"softplus", Form::kFunction, kBothKeras, Act::kSoftplus},
    {"softsign", Form::kFunction, kBothKeras, Act::kSoftsign},
    {"exponential", Form::kFunction, kBothKeras, Act::kExponential},
    {"squareplus", Form::kFunction, kKeras3Only, Act::kSquareplus, {4}, {{{"b", 0}}}},
    {"sparse_plus", Form::kFunction, kKeras3Only, Act::kSparsePlus},
    {"sparse_sigmoid", Form::kFunction, kKeras3Only, Act::kSparseSigmoid},
    {"soft_shrink", Form::kFunction, kKeras3Only, Act::kSoftShrink, {0.5F}, {kThresholdOnly}},
    {"hard_shrink", Form::kFunction, kKeras3Only, Act::kHardShrink, {0.5F}, {kThresholdOnly}},
    {"threshold",
     Form::kFunction,
     kKeras3Only,
     Act::kThreshold,
     {kRequired, kRequired},
     {{{"threshold", 0}, {"default_value", 1}}}},
    {"softmax", Form::kFunction, kBothKeras, Act::kSoftmax, {-1}, {kAxis}},
    {"log_softmax", Form::kFunction, kBothKeras, Act::kLogSoftmax, {-1}, {kAxis}},
    {"sparsemax", Form::kFunction, kKeras3Only, Act::kSparsemax, {-1}, {kAxis}},
    {"glu", Form::kFunction, kKeras3Only, Act::kGlu, {-1}, {kAxis}},
    {"ReLU", Form::kLayer, kBothKeras, Act::kRelu, {0, kInf, 0}, {kMaxValue, kSlope, kThreshold}, kBothKeras},
    {"LeakyReLU", Form::kLayer, kBothKeras, Act::kRelu, {0.3F, kInf, 0}, {kSlope3, kAlpha}, kKeras3Only},
    {"ELU", Form::kLayer, kBothKeras, Act::kElu, {1}, {kAlpha}},
    {"ThresholdedReLU", Form::kLayer, kKeras2Only, Act::kThreshold, {1, 0}, {kTheta}, kKeras2Only},
    {"Softmax", Form::kLayer, kBothKeras, Act::kSoftmax, {-1}, {kAxis}},
    {"PReLU", Form::kLayer, kBothKeras, std::nullopt},
};

const Entry* find_entry(std::string_view name) {
  for (const Entry& entry : kEntries) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

// The entry that gives a kind its name; the two formulas of hard_sigmoid share one.
const Entry& entry_of(ActivationKind kind) {
  if (kind == Act::kHardSigmoidKeras3) kind = Act::kHardSigmoidKeras2;
  if (kind == Act::kGeluTanh) kind = Act::kGelu;
  for (const Entry& entry : kEntries) {
    if (entry.kind == kind) return entry;
  }
  fail_check(__FILE__, __LINE__, "every kind of activation has an entry");
}

const Parameter* positional_parameter(const Entry& entry, std::size_t index) {
  const Parameter* last = nullptr;
  for (const Parameter& parameter : entry.parameters) {
    const bool other_spelling = last != nullptr && last->slot == parameter.slot;
    if (parameter.name.empty() || other_spelling) continue;
    last = &parameter;
    if (index-- == 0) return last;
  }
  return nullptr;
}

const Parameter* named_parameter(const Entry& entry, std::string_view name, Generations generations) {
  for (const Parameter& parameter : entry.parameters) {
    if (parameter.name == name && (parameter.generations & generations) != 0) return &parameter;
  }
  return nullptr;
}

// The shortest decimal of a float reads back as the same float in all but rare cases: then the longer one.
std::string float32_text(float number) {
  const double shortest = std::strtod(fmt::format("{}", number).c_str(), nullptr);
  return float_text(static_cast<float>(shortest) == number ? shortest : double{number});
}

constexpr float kMaxAxisNumber = 64;

// An axis, or a sequence of one as layers have it in files.
Result<float> bind_axis(const BindContext& context, const Entry& entry, const Value& value) {
  const Value& axis = value.is_sequence() && value.items.size() == 1 ? value.items.front().value : value;
  if (axis.is_sequence()) {
    return context.fail(
        value,
        fmt::format("`axis` of {} with several axes is not supported, got {}", entry.name, describe(value)),
        ErrorCode::kUnsupported);
  }
  const auto number = static_cast<float>(axis.integer);
  if (axis.kind != Value::Kind::kInt || std::fabs(number) > kMaxAxisNumber) {
    return context.fail(value, fmt::format("`axis` of {} must be an integer from {} to {}, got {}",
                                           entry.name, -kMaxAxisNumber, kMaxAxisNumber, describe(value)));
  }
  return number;
}

Result<float> bind_parameter(const BindContext& context, const Entry& entry, const Parameter& parameter,
                             const Value& value) {
  using Kind = Value::Kind;
  if (parameter.name == kAxis.name) return bind_axis(context, entry, value);
  const bool is_limit = parameter.name == "max_value";
  if (is_limit && value.kind == Kind::kNone) return kInf;
  double number = value.number;
  if (value.kind == Kind::kInt || value.kind == Kind::kBool) {
    number = static_cast<double>(value.integer);
  } else if (value.kind != Kind::kFloat) {
    return context.fail(value, fmt::format("`{}` of {} must be a number, got {}", parameter.name, entry.name,
                                           describe(value)));
  }
  if (number < 0 && entry.nonnegative != 0 && !context.accepts(entry.generations & ~entry.nonnegative)) {
    return context.fail(value, fmt::format("`{}` of {} must not be negative, got {}", parameter.name,
                                           entry.name, describe(value)));
  }
  if (is_limit && number > FLT_MAX) return kInf;
  if (!(std::fabs(number) <= FLT_MAX)) {
    return context.fail(value, fmt::format("`{}` of {} must be a finite float32 number, got {}",
                                           parameter.name, entry.name, describe(value)));
  }
  return static_cast<float>(number);
}

Result<void> bind_parameters(const BindContext& context, const Entry& entry, const Value& arguments,
                             std::array<float, 3>& params) {
  // A file's own generation spelled its keys, and TensorFlow's functions have one spelling for all.
  const bool any_spelling = context.from_json || arguments.text.starts_with("tf.nn.");
  const Generations generations = any_spelling ? kBothKeras : accepted_generations(context.rules);
  std::size_t position = 0;
  for (const Argument& argument : arguments.items) {
    const bool ignored = argument.name == "name" || argument.name == "trainable" || argument.name == "dtype";
    if (entry.form == Form::kLayer && ignored) continue;
    const Parameter* parameter = argument.name.empty() ? positional_parameter(entry, position++)
                                                       : named_parameter(entry, argument.name, generations);
    if (parameter == nullptr && context.from_json) continue;
    if (parameter == nullptr && argument.name.empty()) {
      return context.fail(argument.value, fmt::format("Activation {} has too many arguments", entry.name));
    }
    if (parameter == nullptr) {
      return context.fail(argument.value, fmt::format("Activation {}{} has no parameter `{}`", entry.name,
                                                      generation_text(context.rules), argument.name));
    }
    Result<float> number = bind_parameter(context, entry, *parameter, argument.value);
    if (!number) return tl::unexpected(number.error());
    params[parameter->slot] = *number;
  }
  return {};
}

Result<Activation> finish(const BindContext& context, const Entry& entry, const Value& at,
                          const Value* arguments) {
  if (!entry.kind) {
    return context.fail(at,
                        fmt::format("Activation {} is not supported here, because it has weights; it must be "
                                    "a layer of its own",
                                    quote(entry.name)),
                        ErrorCode::kUnsupported);
  }
  Activation out{*entry.kind, entry.defaults};
  if (arguments != nullptr) {
    if (Result<void> done = bind_parameters(context, entry, *arguments, out.params); !done) {
      return tl::unexpected(done.error());
    }
  }
  if (std::isnan(out.params[0]) || std::isnan(out.params[1])) {
    return context.fail(
        at, fmt::format("Activation {} needs its parameters `threshold` and `default_value`, as in "
                        "lambda x: keras.activations.threshold(x, 0.5, 0.0)",
                        quote(entry.name)));
  }
  if (out.kind == Act::kGelu && out.params[0] != 0) out.kind = Act::kGeluTanh;
  if (out.kind == Act::kHardSigmoidKeras2) {
    if (dialect_of_package(at.text, context.dialect) == Dialect::kKeras3) {
      out.kind = Act::kHardSigmoidKeras3;
    } else if (context.is_ambiguous() && !at.text.starts_with("tf_keras.")) {
      context.note(
          "hard_sigmoid is computed as Keras 2 does, clip(0.2 x + 0.5, 0, 1); Keras 3 has relu6(x + 3) / 6.");
    }
  }
  return canonical_activation(out);
}

// Finds the entry for a name in one of its written forms, or says why there is none.
Result<const Entry*> find_accepted(const BindContext& context, const Value& at, std::string_view name,
                                   Form form, Generations class_name_generations = kBothKeras) {
  const Entry* entry = find_entry(name);
  Generations generations = entry == nullptr ? Generations{0} : entry->generations;
  if (entry != nullptr && entry->form == Form::kLayer) {
    generations = form == Form::kLayer ? generations : generations & class_name_generations;
  } else if (entry != nullptr && form == Form::kLayer && !context.from_json) {
    generations = 0;
  }
  if (generations == 0) {
    std::vector<std::string_view> names;
    for (const Entry& known : kEntries) {
      if (known.form == form && context.accepts(known.generations)) names.push_back(known.name);
    }
    return context.fail(at, fmt::format("Unknown activation {}", describe(at)), ErrorCode::kInvalidSpec,
                        did_you_mean(name, names));
  }
  if (!context.accepts(generations)) {
    return context.fail(at, fmt::format("{} is no activation{}; only Keras {} knows it", describe(at),
                                        generation_text(context.rules), generations == kKeras2Only ? 2 : 3));
  }
  return entry;
}

Result<Activation> bind_call(const BindContext& context, const Value& value) {
  const std::string_view name = last_component(value.text);
  if (name == "Activation" && value.items.size() == 1) return bind_activation(context, value.items[0].value);
  const Entry* known = find_entry(name);
  const bool is_function = known != nullptr && known->form == Form::kFunction;
  if (is_function && !value.partial) {
    return context.fail(value,
                        fmt::format("Activation {} is called without its input; write lambda x: {}(x, ...)",
                                    value.text, value.text));
  }
  Result<const Entry*> entry =
      find_accepted(context, value, name, is_function ? Form::kFunction : Form::kLayer);
  if (!entry) return tl::unexpected(entry.error());
  return finish(context, **entry, value, &value);
}

Result<Activation> bind_serialized(const BindContext& context, const Value& value) {
  const SerializedObject object = read_serialized(value);
  if (object.name.empty()) {
    return context.fail(value, fmt::format("`activation` must have a class_name, got {}", describe(value)));
  }
  if (object.name == "Activation" && object.config != nullptr) {
    const Value* inner = object.config->find("activation");
    if (inner != nullptr && inner->kind == Value::Kind::kString) return bind_activation(context, *inner);
  }
  Value at;  // the name alone makes a better message than the whole dictionary
  at.kind = Value::Kind::kString;
  at.offset = value.offset;
  at.text = object.name;
  Result<const Entry*> entry =
      find_accepted(context, at, object.name, object.is_function ? Form::kFunction : Form::kLayer);
  if (!entry) return tl::unexpected(entry.error());
  return finish(context, **entry, at, object.config);
}

}  // namespace

Result<Activation> bind_activation(const BindContext& context, const Value& value) {
  using Kind = Value::Kind;
  switch (value.kind) {
    case Kind::kNone:
      return Activation{};
    case Kind::kCall:
      return bind_call(context, value);
    case Kind::kDict:
      return bind_serialized(context, value);
    case Kind::kString:
    case Kind::kName: {
      const bool is_string = value.kind == Kind::kString;
      Result<const Entry*> entry = find_accepted(context, value, name_of(value), Form::kFunction,
                                                 is_string ? kKeras2Only : Generations{0});
      if (!entry) return tl::unexpected(entry.error());
      return finish(context, **entry, value, nullptr);
    }
    default:
      return context.fail(
          value,
          fmt::format("`activation` must be a name, a function, a layer or None, got {}", describe(value)));
  }
}

Result<Activation> find_activation(std::string_view name, Dialect dialect, Rules rules) {
  std::vector<std::string> notes;
  BindContext context{.rules = rules, .dialect = dialect, .notes = &notes};
  Value value;
  value.kind = Value::Kind::kString;
  value.text = name;
  return bind_activation(context, value);
}

Result<void> check_activation(const Activation& activation, Rules rules) {
  const Entry& entry = entry_of(activation.kind);
  Generations generations = entry.generations;
  if (activation.kind == Act::kThreshold && activation.params[1] == 0) generations = kBothKeras;
  if ((generations & accepted_generations(rules)) == 0) {
    return make_error(ErrorCode::kInvalidSpec, fmt::format("`activation` {} is no activation{}.",
                                                           quote(entry.name), generation_text(rules)));
  }
  const Activation used = canonical_activation(activation);
  for (std::size_t slot = 0; slot < used.params.size(); ++slot) {
    const bool is_limit = activation.kind == Act::kRelu && slot == 1;
    if (!std::isfinite(used.params[slot]) && !(is_limit && used.params[slot] == kInf)) {
      return make_error(ErrorCode::kInvalidSpec,
                        fmt::format("`activation` {} has the parameter {}, which must be a finite number.",
                                    quote(entry.name), used.params[slot]));
    }
  }
  const float axis = used.params[0];
  if (!is_elementwise(used.kind) && (axis != std::floor(axis) || std::fabs(axis) > kMaxAxisNumber)) {
    return make_error(ErrorCode::kInvalidSpec,
                      fmt::format("`activation` {} has the axis {}, which must be an integer from {} to {}.",
                                  quote(entry.name), axis, -kMaxAxisNumber, kMaxAxisNumber));
  }
  return {};
}

Activation canonical_activation(Activation activation) {
  std::array<bool, 3> used{};
  const bool is_gelu = activation.kind == Act::kGelu || activation.kind == Act::kGeluTanh;
  for (const Parameter& parameter : entry_of(activation.kind).parameters) {
    if (!parameter.name.empty() && !is_gelu) used[parameter.slot] = true;
  }
  for (std::size_t slot = 0; slot < used.size(); ++slot) {
    activation.params[slot] = used[slot] ? activation.params[slot] + 0.0F : 0.0F;  // no -0 either
  }
  return activation;
}

std::string_view keras_name_of(ActivationKind kind) {
  return entry_of(kind).name;
}

std::string activation_text(const Activation& activation, Dialect dialect) {
  const Activation wanted = canonical_activation(activation);
  const bool wants_keras3 = wanted.kind == Act::kHardSigmoidKeras3;
  if (wants_keras3 || wanted.kind == Act::kHardSigmoidKeras2) {
    if (wants_keras3 == (dialect == Dialect::kKeras3)) return "'hard_sigmoid'";
    return wants_keras3 ? "keras3.activations.hard_sigmoid" : "tf_keras.activations.hard_sigmoid";
  }
  if (wanted.kind == Act::kGeluTanh) return "lambda x: keras.activations.gelu(x, approximate=True)";
  for (const Entry& entry : kEntries) {
    const bool same =
        entry.form == Form::kFunction && entry.kind == wanted.kind && entry.defaults == wanted.params;
    if (same) return quote(entry.name);
  }
  const Entry& entry = entry_of(wanted.kind);
  std::string out = fmt::format("lambda x: keras.activations.{}(x", entry.name);
  const Generations spelling = dialect == Dialect::kKeras3 ? kKeras3Only : kKeras2Only;
  const Generations known = (entry.generations & spelling) != 0 ? spelling : kBothKeras;
  for (const Parameter& parameter : entry.parameters) {
    const float number = wanted.params[parameter.slot];
    const bool is_default = number == entry.defaults[parameter.slot];
    if (parameter.name.empty() || is_default || (parameter.generations & known) == 0) continue;
    const bool is_axis = parameter.name == kAxis.name;
    out += fmt::format(", {}={}", parameter.name, is_axis ? fmt::format("{}", number) : float32_text(number));
  }
  return out + ")";
}

}  // namespace convsmith
