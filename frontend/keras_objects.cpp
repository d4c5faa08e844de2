#include "frontend/keras_objects.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <cmath>
#include <limits>

#include "frontend/check.hpp"
#include "frontend/nearest.hpp"

namespace convsmith {
namespace {

using Role = ObjectRole;

enum class Type : uint8_t {
  kNumber,
  kSeed,  // an int, or None: then it is left out
  kText,
  kFlag,
  kAxis  // an int or a tuple of ints, kept as a list
};

struct ParamInfo {
  std::string_view name;
  Type type = Type::kNumber;
  double number = 0.0;          // default of numbers and flags
  std::string_view text = {};   // default of texts
  std::string_view legal = {};  // for texts: the legal ones, each between bars
};

struct ClassInfo {
  Role role;
  std::string_view name;
  Generations generations = kBothKeras;
  std::array<ParamInfo, 4> params = {};
};

constexpr ParamInfo kSeed{"seed", Type::kSeed}, kAxis{"axis", Type::kAxis};
constexpr ParamInfo kMean{"mean"}, kStddev{"stddev", Type::kNumber, 0.05}, kGain{"gain", Type::kNumber, 1.0};
constexpr ParamInfo kScale{"scale", Type::kNumber, 1.0};
constexpr ParamInfo kMode{"mode", Type::kText, 0, "fan_in", "|fan_in|fan_out|fan_avg|"};
constexpr ParamInfo kDistribution{"distribution", Type::kText, 0, "truncated_normal",
                                  "|truncated_normal|untruncated_normal|uniform|"};

// Parameters in Keras's order.
constexpr ClassInfo kClasses[] = {
    {Role::kInitializer, "Zeros"},
    {Role::kInitializer, "Ones"},
    {Role::kInitializer, "Constant", kBothKeras, {{{"value"}}}},
    {Role::kInitializer,
     "RandomUniform",
     kBothKeras,
     {{{"minval", Type::kNumber, -0.05}, {"maxval", Type::kNumber, 0.05}, kSeed}}},
    {Role::kInitializer, "RandomNormal", kBothKeras, {kMean, kStddev, kSeed}},
    {Role::kInitializer, "TruncatedNormal", kBothKeras, {kMean, kStddev, kSeed}},
    {Role::kInitializer, "VarianceScaling", kBothKeras, {kScale, kMode, kDistribution, kSeed}},
    {Role::kInitializer, "GlorotUniform", kBothKeras, {kSeed}},
    {Role::kInitializer, "GlorotNormal", kBothKeras, {kSeed}},
    {Role::kInitializer, "HeUniform", kBothKeras, {kSeed}},
    {Role::kInitializer, "HeNormal", kBothKeras, {kSeed}},
    {Role::kInitializer, "LecunUniform", kBothKeras, {kSeed}},
    {Role::kInitializer, "LecunNormal", kBothKeras, {kSeed}},
    {Role::kInitializer, "Orthogonal", kBothKeras, {kGain, kSeed}},
    {Role::kInitializer, "Identity", kBothKeras, {kGain}},
    {Role::kInitializer,
     "STFT",
     kKeras3Only,
     {{{"side", Type::kText, 0, "real"},
       {"window", Type::kText, 0, "hann"},
       {"scaling", Type::kText, 0, "density"},
       {"periodic", Type::kFlag}}}},
    {Role::kRegularizer, "L1", kBothKeras, {{{"l1", Type::kNumber, 0.01}}}},
    {Role::kRegularizer, "L2", kBothKeras, {{{"l2", Type::kNumber, 0.01}}}},
    {Role::kRegularizer, "L1L2", kBothKeras, {{{"l1"}, {"l2"}}}},
    {Role::kRegularizer,
     "OrthogonalRegularizer",
     kBothKeras,
     {{{"factor", Type::kNumber, 0.01}, {"mode", Type::kText, 0, "rows", "|rows|columns|"}}}},
    {Role::kConstraint, "MaxNorm", kBothKeras, {{{"max_value", Type::kNumber, 2.0}, kAxis}}},
    {Role::kConstraint, "NonNeg"},
    {Role::kConstraint, "UnitNorm", kBothKeras, {kAxis}},
    {Role::kConstraint,
     "MinMaxNorm",
     kBothKeras,
     {{{"min_value"}, {"max_value", Type::kNumber, 1.0}, {"rate", Type::kNumber, 1.0}, kAxis}}},
    {Role::kConstraint, "RadialConstraint", kKeras2Only},
};

struct NameInfo {
  Role role;
  std::string_view name, class_name;
  Generations generations = kBothKeras;
};

// The other names by which classes go. Strings and functions share them; what only one generation knows
// is marked.
constexpr NameInfo kNames[] = {
    {Role::kInitializer, "zeros", "Zeros"},
    {Role::kInitializer, "zero", "Zeros"},
    {Role::kInitializer, "ones", "Ones"},
    {Role::kInitializer, "one", "Ones"},
    {Role::kInitializer, "constant", "Constant"},
    {Role::kInitializer, "random_uniform", "RandomUniform"},
    {Role::kInitializer, "uniform", "RandomUniform"},
    {Role::kInitializer, "random_normal", "RandomNormal"},
    {Role::kInitializer, "normal", "RandomNormal"},
    {Role::kInitializer, "truncated_normal", "TruncatedNormal"},
    {Role::kInitializer, "variance_scaling", "VarianceScaling"},
    {Role::kInitializer, "glorot_uniform", "GlorotUniform"},
    {Role::kInitializer, "glorot_normal", "GlorotNormal"},
    {Role::kInitializer, "he_uniform", "HeUniform"},
    {Role::kInitializer, "he_normal", "HeNormal"},
    {Role::kInitializer, "lecun_uniform", "LecunUniform"},
    {Role::kInitializer, "lecun_normal", "LecunNormal"},
    {Role::kInitializer, "orthogonal", "Orthogonal"},
    {Role::kInitializer, "OrthogonalInitializer", "Orthogonal", kKeras3Only},
    {Role::kInitializer, "identity", "Identity"},
    {Role::kInitializer, "IdentityInitializer", "Identity", kKeras3Only},
    {Role::kInitializer, "stft", "STFT", kKeras3Only},
    {Role::kRegularizer, "l1", "L1"},
    {Role::kRegularizer, "l2", "L2"},
    {Role::kRegularizer, "l1_l2", "L1L2"},
    {Role::kRegularizer, "l1l2", "L1L2", kKeras3Only},
    {Role::kRegularizer, "orthogonal_regularizer", "OrthogonalRegularizer"},
    {Role::kConstraint, "max_norm", "MaxNorm"},
    {Role::kConstraint, "maxnorm", "MaxNorm", kKeras2Only},
    {Role::kConstraint, "non_neg", "NonNeg"},
    {Role::kConstraint, "nonneg", "NonNeg", kKeras2Only},
    {Role::kConstraint, "unit_norm", "UnitNorm"},
    {Role::kConstraint, "unitnorm", "UnitNorm", kKeras2Only},
    {Role::kConstraint, "min_max_norm", "MinMaxNorm"},
    {Role::kConstraint, "radial_constraint", "RadialConstraint", kKeras2Only},
};

constexpr std::string_view role_text(Role role) {
  return role == Role::kInitializer   ? "initializer"
         : role == Role::kRegularizer ? "regularizer"
                                      : "constraint";
}

const ClassInfo* find_class(Role role, std::string_view name) {
  for (const ClassInfo& info : kClasses) {
    if (info.role == role && info.name == name) return &info;
  }
  return nullptr;
}

struct Found {
  const ClassInfo* info = nullptr;
  Generations generations = 0;
};

Found find_name(Role role, std::string_view name) {
  if (const ClassInfo* info = find_class(role, name)) return {info, info->generations};
  for (const NameInfo& alias : kNames) {
    if (alias.role == role && alias.name == name)
      return {find_class(role, alias.class_name), alias.generations};
  }
  // tf.random_normal_initializer is random_normal, and Keras 2 writes some classes as HeNormalV2.
  for (std::string_view suffix : {std::string_view("_initializer"), std::string_view("V2")}) {
    if (role == Role::kInitializer && name.ends_with(suffix)) {
      name.remove_suffix(suffix.size());
      return {find_name(role, name).info, kKeras2Only};
    }
  }
  return {};
}

// Whether `name` means the Keras 2 function l1_l2, whose defaults are 0.01 instead of 0.
bool is_keras2_l1_l2(const BindContext& context, Role role, std::string_view name, bool is_string) {
  return role == Role::kRegularizer && name == "l1_l2" && (is_string || !context.means_keras3());
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

std::string nearest_names(Role role, std::string_view name) {
  if (role == Role::kInitializer && to_lower(name).starts_with("xavier"))
    return "Xavier's are 'glorot_uniform' and 'glorot_normal' here.";
  if (role == Role::kInitializer && to_lower(name).starts_with("kaiming"))
    return "Kaiming's are 'he_uniform' and 'he_normal' here.";
  std::vector<std::string_view> names;
  for (const NameInfo& known : kNames)
    if (known.role == role) names.push_back(known.name);
  for (const ClassInfo& known : kClasses)
    if (known.role == role) names.push_back(known.name);
  return did_you_mean(name, names);
}

KerasObject::Param default_param(const ParamInfo& info) {
  if (info.type == Type::kText) return std::string(info.text);
  if (info.type == Type::kFlag) return int64_t{0};
  if (info.type == Type::kAxis) return std::vector<int64_t>{0};
  return info.number;
}

class ObjectBinder {
 public:
  ObjectBinder(const BindContext& context, Role role, std::string_view argument)
      : context_(context), role_(role), argument_(argument) {}

  // `given` holds arguments or the entries of a config; null if only a name was given.
  Result<std::optional<KerasObject>> bind(const Value& at, std::string_view name, const Value* given) {
    const bool is_string = at.kind == Value::Kind::kString && given == nullptr;
    const Found found = find_name(role_, name);
    if (found.info == nullptr && is_string && role_ == Role::kRegularizer &&
        context_.rules == Rules::kKeras2) {
      context_.note(fmt::format("`{}`={} is unknown; Keras 2 keeps such a name and fails only in training.",
                                argument_, describe(at)));
      return std::nullopt;
    }
    if (found.info == nullptr)
      return fail(at, fmt::format("unknown {} {}", role_text(role_), describe(at)),
                  nearest_names(role_, name));
    Generations generations = found.generations;
    if (is_string && (name == "l1_l2" || name == "constant" || name == "Constant")) generations = kKeras2Only;
    if (!context_.accepts(generations) && !context_.from_json) {
      return fail(
          at, fmt::format("{} is no {}{}", describe(at), role_text(role_), generation_text(context_.rules)));
    }
    static const Value kNothing;
    const bool small_defaults = is_keras2_l1_l2(context_, role_, name, is_string);
    return fill(*found.info, given != nullptr ? *given : kNothing, small_defaults);
  }

 private:
  tl::unexpected<Error> fail(const Value& at, std::string_view what, std::string_view hint = {}) const {
    return context_.fail(at, fmt::format("`{}`: {}", argument_, what), ErrorCode::kInvalidSpec, hint);
  }

  Result<std::optional<KerasObject>> fill(const ClassInfo& info, const Value& given, bool keras2_l1_l2) {
    std::array<const Value*, 4> values{};
    if (Result<void> done = assign(info, given, values); !done) return tl::unexpected(done.error());
    KerasObject out{std::string(info.name)};
    for (std::size_t i = 0; i < values.size() && !info.params[i].name.empty(); ++i) {
      ParamInfo param = info.params[i];
      if (keras2_l1_l2) param.number = 0.01;
      const bool none = values[i] == nullptr || values[i]->kind == Value::Kind::kNone;
      const bool none_is_default =
          role_ == Role::kRegularizer || values[i] == nullptr || param.type == Type::kText;
      if (keras2_l1_l2 && none && context_.is_ambiguous()) {
        context_.note(
            fmt::format("`{}`: l1_l2 has {}=0.01 as in Keras 2; it is 0 in Keras 3.", argument_, param.name));
      }
      if (none && param.type == Type::kSeed) continue;
      if (none && none_is_default) {
        out.params.emplace_back(param.name, default_param(param));
        continue;
      }
      // Keras 3 may save a random generator's state here; which numbers are drawn is not ours to repeat.
      if (param.type == Type::kSeed && values[i]->kind == Value::Kind::kDict) continue;
      Result<KerasObject::Param> bound = convert(info, param, *values[i]);
      if (!bound) return tl::unexpected(bound.error());
      out.params.emplace_back(param.name, std::move(*bound));
    }
    return out;
  }

  Result<void> assign(const ClassInfo& info, const Value& given, std::array<const Value*, 4>& values) const {
    std::size_t position = 0;
    for (const Argument& argument : given.items) {
      std::size_t index = position;
      if (argument.name.empty()) {
        ++position;
      } else {
        const bool short_name = argument.name == "l" && (info.name == "L1" || info.name == "L2");
        const std::string_view wanted = short_name ? info.params[0].name : std::string_view(argument.name);
        for (index = 0; index < 4 && info.params[index].name != wanted;) ++index;
      }
      if (index < 4 && !info.params[index].name.empty()) {
        values[index] = &argument.value;
      } else if (!context_.from_json && argument.name != "dtype") {
        return fail(argument.value, argument.name.empty()
                                        ? fmt::format("{} has too many arguments", info.name)
                                        : fmt::format("{} has no parameter `{}`", info.name, argument.name));
      }
    }
    return {};
  }

  Result<KerasObject::Param> convert(const ClassInfo& info, const ParamInfo& param,
                                     const Value& value) const {
    using Kind = Value::Kind;
    const bool is_int = value.kind == Kind::kInt || value.kind == Kind::kBool;
    auto refuse = [&](std::string_view wanted) {
      return fail(value,
                  fmt::format("{} of {} must be {}, got {}", param.name, info.name, wanted, describe(value)));
    };
    switch (param.type) {
      case Type::kSeed:
      case Type::kFlag:
        if (!is_int) return refuse("an integer");
        return value.integer;
      case Type::kNumber: {
        if (!is_int && value.kind != Kind::kFloat) return refuse("a number");
        const double number = is_int ? static_cast<double>(value.integer) : value.number;
        // A limit that is infinite is none; what Keras draws from an infinite range is not defined.
        const bool may_be_infinite = context_.from_json && role_ == Role::kConstraint;
        if (!std::isfinite(number) && !may_be_infinite) return refuse("finite");
        const bool refuses_negative = role_ == Role::kRegularizer && context_.rules == Rules::kKeras3;
        if (number < 0 && refuses_negative) return refuse("at least 0");
        return number;
      }
      case Type::kText: {
        const std::string_view text =
            value.text == "normal" ? "truncated_normal" : std::string_view(value.text);
        if (value.kind != Kind::kString) return refuse("a string");
        if (!param.legal.empty() && param.legal.find(fmt::format("|{}|", text)) == std::string_view::npos) {
          return refuse(fmt::format("one of {}", param.legal));
        }
        return std::string(text);
      }
      case Type::kAxis: {
        if (is_int) return std::vector<int64_t>{value.integer};
        std::vector<int64_t> axes;
        for (const Argument& item : value.items) {
          if (item.value.kind != Kind::kInt) return refuse("an integer or integers");
          axes.push_back(item.value.integer);
        }
        if (!value.is_sequence() || axes.empty()) return refuse("an integer or integers");
        return axes;
      }
    }
    return refuse("something else");
  }

  const BindContext& context_;
  Role role_;
  std::string_view argument_;
};

std::string param_text(const KerasObject::Param& param) {
  struct Printer {
    std::string operator()(int64_t number) const { return fmt::format("{}", number); }
    std::string operator()(double number) const { return float_text(number); }
    std::string operator()(const std::string& text) const { return quote(text); }
    std::string operator()(const std::vector<int64_t>& axes) const {
      if (axes.size() == 1) return fmt::format("{}", axes[0]);
      return fmt::format("({})", fmt::join(axes, ", "));
    }
  };
  return std::visit(Printer{}, param);
}

bool has_type(const KerasObject::Param& param, Type type) {
  if (type == Type::kNumber) {
    const double* number = std::get_if<double>(&param);
    return number != nullptr ? std::isfinite(*number) : std::holds_alternative<int64_t>(param);
  }
  if (type == Type::kText) return std::holds_alternative<std::string>(param);
  if (type == Type::kAxis) {
    const auto* axes = std::get_if<std::vector<int64_t>>(&param);
    return axes != nullptr && !axes->empty();
  }
  return std::holds_alternative<int64_t>(param);
}

const ParamInfo* find_param(const ClassInfo& info, std::string_view name) {
  for (const ParamInfo& param : info.params) {
    if (param.name == name && !name.empty()) return &param;
  }
  return nullptr;
}

}  // namespace

Result<std::optional<KerasObject>> bind_keras_object(const BindContext& context, ObjectRole role,
                                                     std::string_view argument, const Value& value) {
  using Kind = Value::Kind;
  ObjectBinder binder(context, role, argument);
  switch (value.kind) {
    case Kind::kNone:
      return std::nullopt;
    case Kind::kString:
    case Kind::kName:
      return binder.bind(value, name_of(value), nullptr);
    case Kind::kCall: {
      BindContext own = context;
      own.dialect = dialect_of_package(value.text, context.dialect);
      return ObjectBinder(own, role, argument).bind(value, name_of(value), &value);
    }
    case Kind::kDict: {
      const SerializedObject object = read_serialized(value);
      Value at;
      at.kind = Kind::kString;
      at.offset = value.offset;
      at.text = object.name;
      static const Value kNoParams;
      if (!object.name.empty()) {
        return binder.bind(at, object.name, object.config != nullptr ? object.config : &kNoParams);
      }
      [[fallthrough]];
    }
    default:
      return context.fail(value, fmt::format("`{}` must be a name, a call, a config or None, got {}",
                                             argument, describe(value)));
  }
}

Result<void> check_keras_object(const KerasObject& object, ObjectRole role, std::string_view argument,
                                Rules rules) {
  auto refuse = [&](std::string_view what) {
    return make_error(ErrorCode::kInvalidSpec, fmt::format("`{}`: {}.", argument, what));
  };
  const ClassInfo* info = find_class(role, object.class_name);
  if (info == nullptr) {
    Result<void> unknown = refuse(fmt::format("unknown {} {}", role_text(role), quote(object.class_name)));
    const std::string hint = nearest_names(role, object.class_name);
    unknown.error().message += (hint.empty() ? "" : " ") + hint;
    return unknown;
  }
  if ((info->generations & accepted_generations(rules)) == 0) {
    return refuse(fmt::format("{} is no {}{}", info->name, role_text(role), generation_text(rules)));
  }
  for (const auto& [name, value] : object.params) {
    const ParamInfo* param = find_param(*info, name);
    if (param == nullptr) return refuse(fmt::format("{} has no parameter `{}`", info->name, name));
    const double* number = std::get_if<double>(&value);
    const bool is_no_limit = role == Role::kConstraint && number != nullptr && *number > DBL_MAX;
    const bool legal =
        (has_type(value, param->type) || is_no_limit) &&
        (param->legal.empty() ||
         param->legal.find(fmt::format("|{}|", std::get<std::string>(value))) != std::string_view::npos);
    if (!legal) return refuse(fmt::format("{} of {} cannot be {}", name, info->name, param_text(value)));
  }
  return {};
}

Result<KerasObject> complete_keras_object(const KerasObject& object, ObjectRole role,
                                          std::string_view argument) {
  const ClassInfo* info = find_class(role, object.class_name);
  Result<void> legal = check_keras_object(object, role, argument, Rules::kAny);
  if (!legal) return tl::unexpected(legal.error());
  KerasObject out{object.class_name};
  for (const ParamInfo& param : info->params) {
    if (param.name.empty()) break;
    const auto given = std::find_if(object.params.begin(), object.params.end(),
                                    [&](const auto& entry) { return entry.first == param.name; });
    if (given != object.params.end()) {
      out.params.push_back(*given);
    } else if (param.type != Type::kSeed) {
      out.params.emplace_back(param.name, default_param(param));
    }
  }
  return out;
}

namespace {

const KerasObject::Param& find_given(const KerasObject& object, std::string_view name) {
  for (const auto& [key, value] : object.params) {
    if (key == name) return value;
  }
  fail_check(__FILE__, __LINE__, "a completed object has all of its parameters");
}

}  // namespace

double number_param(const KerasObject& object, std::string_view name) {
  const KerasObject::Param& param = find_given(object, name);
  const int64_t* integer = std::get_if<int64_t>(&param);
  return integer != nullptr ? static_cast<double>(*integer) : std::get<double>(param);
}

std::string_view text_param(const KerasObject& object, std::string_view name) {
  return std::get<std::string>(find_given(object, name));
}

const std::vector<int64_t>& axes_param(const KerasObject& object, std::string_view name) {
  return std::get<std::vector<int64_t>>(find_given(object, name));
}

const int64_t* find_integer_param(const KerasObject& object, std::string_view name) {
  for (const auto& [key, value] : object.params) {
    if (key == name) return std::get_if<int64_t>(&value);
  }
  return nullptr;
}

std::string keras_object_text(const KerasObject& object, ObjectRole role) {
  const ClassInfo* info = find_class(role, object.class_name);
  bool all_default =
      object.class_name != "Constant";  // the one class that Keras 3 cannot make without a value
  for (const auto& [name, value] : object.params) {
    const ParamInfo* param = info != nullptr ? find_param(*info, name) : nullptr;
    all_default =
        all_default && param != nullptr && param->type != Type::kSeed && value == default_param(*param);
  }
  if (all_default) return quote(object.class_name);
  std::string out = fmt::format("keras.{}s.{}(", role_text(role), object.class_name);
  for (std::size_t i = 0; i < object.params.size(); ++i) {
    out += fmt::format("{}{}={}", i == 0 ? "" : ", ", object.params[i].first,
                       param_text(object.params[i].second));
  }
  return out + ")";
}

}  // namespace convsmith
