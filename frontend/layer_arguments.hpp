// Which arguments each kind of layer has: their names, order and generations. The one place that says so:
// binding, checking and printing of layers all read these tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "convsmith/layer_spec.hpp"
#include "frontend/bind_context.hpp"
#include "frontend/keras_objects.hpp"

namespace convsmith {

// What an argument sets, whatever its name in a kind of layer (filters is called units in Dense, kernel_* is
// called depthwise_* where there are two kernels).
enum class Target : uint8_t {
  kFilters,
  kKernelSize,
  kStrides,
  kPadding,
  kOutputPadding,
  kDataFormat,
  kDilationRate,
  kGroups,
  kDepthMultiplier,
  kActivation,
  kUseBias,
  kKernelInitializer,
  kPointwiseInitializer,
  kBiasInitializer,
  kKernelRegularizer,
  kPointwiseRegularizer,
  kBiasRegularizer,
  kActivityRegularizer,
  kKernelConstraint,
  kPointwiseConstraint,
  kBiasConstraint,
  kName,
  kDtype,
  kTrainable,
  kInputShape,
  kBatchInputShape,
  kBatchSize,
  kInputDim,
  kWeights,
  kIgnoredGroups,  // Keras 2 takes it from the base class, checks it, saves it and does not use it
  kUnused,         // the same without a check: in every file, and no news to anybody
  kIgnored
};

struct ArgumentInfo {
  std::string_view name;
  Target target;
  Generations generations = kBothKeras;
};

struct ArgumentTable {
  std::vector<ArgumentInfo> arguments;
  std::size_t required = 0;    // the first ones must be given
  std::size_t positional = 0;  // the first ones may be given by position
};

const ArgumentTable& argument_table(LayerKind kind);

// The name of the argument of `kind` that sets `target`; empty if it has none.
std::string_view argument_name(LayerKind kind, Target target);
inline bool has_argument(LayerKind kind, Target target) {
  return !argument_name(kind, target).empty();
}

// Where a spec keeps its initializers, regularizers and constraints.
struct ObjectMember {
  Target target;
  ObjectRole role;
  Initializer LayerSpec::*initializer = nullptr;              // of role kInitializer
  std::optional<KerasObject> LayerSpec::*optional = nullptr;  // of the others
};
inline constexpr ObjectMember kObjectMembers[] = {
    {Target::kKernelInitializer, ObjectRole::kInitializer, &LayerSpec::kernel_initializer},
    {Target::kPointwiseInitializer, ObjectRole::kInitializer, &LayerSpec::pointwise_initializer},
    {Target::kBiasInitializer, ObjectRole::kInitializer, &LayerSpec::bias_initializer},
    {Target::kKernelRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::kernel_regularizer},
    {Target::kPointwiseRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::pointwise_regularizer},
    {Target::kBiasRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::bias_regularizer},
    {Target::kActivityRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::activity_regularizer},
    {Target::kKernelConstraint, ObjectRole::kConstraint, nullptr, &LayerSpec::kernel_constraint},
    {Target::kPointwiseConstraint, ObjectRole::kConstraint, nullptr, &LayerSpec::pointwise_constraint},
    {Target::kBiasConstraint, ObjectRole::kConstraint, nullptr, &LayerSpec::bias_constraint},
};

// The object of a spec, or null.
inline const KerasObject* object_of(const LayerSpec& spec, const ObjectMember& member) {
  if (member.initializer != nullptr) return &(spec.*member.initializer);
  const std::optional<KerasObject>& object = spec.*member.optional;
  return object ? &*object : nullptr;
}

}  // namespace convsmith
