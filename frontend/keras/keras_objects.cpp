#include "frontend/keras/keras_objects.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "frontend/base/check.hpp"
#include "frontend/keras/object_classes.hpp"

namespace convsmith {
namespace {

using namespace objects;

constexpr std::string_view role_text(Role role) {
  return role == Role::kInitializer   ? "initializer"
         : role == Role::kRegularizer ? "regularizer"
                                      : "constraint";
}

// Whether `name` means the Keras 2 function l1_l2, whose defaults are 0.01 instead of 0.
bool is_keras2_l1_l2(const BindContext& context, Role role, std::string_view name, bool is_string) {
  return role == Role::kRegularizer && name == "l1_l2" && (is_string || !context.means_keras3());
}

// An infinite limit of a constraint is none; Keras refuses infinite penalties, and what it draws from an
// infinite range is not defined.
bool is_number_of(Role role, double number) {
  return std::isfinite(number) || (role == Role::kConstraint && std::isinf(number));
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
        if (!is_number_of(role_, number)) return refuse("finite");
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
    std::string operator()(double number) const {
      return std::isinf(number) ? fmt::format("float('{}')", number) : float_text(number);
    }
    std::string operator()(const std::string& text) const { return quote(text); }
    std::string operator()(const std::vector<int64_t>& axes) const {
      if (axes.size() == 1) return fmt::format("{}", axes[0]);
      return fmt::format("({})", fmt::join(axes, ", "));
    }
  };
  return std::visit(Printer{}, param);
}

bool has_type(const KerasObject::Param& param, Role role, Type type) {
  if (type == Type::kNumber) {
    const double* number = std::get_if<double>(&param);
    return number != nullptr ? is_number_of(role, *number) : std::holds_alternative<int64_t>(param);
  }
  if (type == Type::kText) return std::holds_alternative<std::string>(param);
  if (type == Type::kAxis) {
    const auto* axes = std::get_if<std::vector<int64_t>>(&param);
    return axes != nullptr && !axes->empty();
  }
  return std::holds_alternative<int64_t>(param);
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
    const bool legal =
        has_type(value, role, param->type) &&
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
