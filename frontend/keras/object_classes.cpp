#include "frontend/keras/object_classes.hpp"

#include <cstdint>
#include <vector>

#include "frontend/keras/nearest.hpp"

namespace convsmith::objects {
namespace {

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

std::string to_lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  return out;
}

}  // namespace

const ClassInfo* find_class(Role role, std::string_view name) {
  for (const ClassInfo& info : kClasses) {
    if (info.role == role && info.name == name) return &info;
  }
  return nullptr;
}

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

const ParamInfo* find_param(const ClassInfo& info, std::string_view name) {
  for (const ParamInfo& param : info.params) {
    if (param.name == name && !name.empty()) return &param;
  }
  return nullptr;
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

}  // namespace convsmith::objects
