// Which arguments each kind of layer has: their names, order and generations. The one place that says so:
// binding, checking and printing of layers all read these tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "convsmith/layer_spec.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/keras_objects.hpp"

namespace convsmith {

// What an argument sets, whatever its name in a kind of layer (filters is called units in Dense, kernel_* is
// called depthwise_* where there are two kernels).
enum class Parameter : uint8_t {
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
  Parameter parameter;
  Generations generations = kBothKeras;
};

struct ArgumentTable {
  std::vector<ArgumentInfo> arguments;
  std::size_t required = 0;    // the first ones must be given
  std::size_t positional = 0;  // the first ones may be given by position
};

const ArgumentTable& argument_table(LayerKind kind);

// The name of the argument of `kind` that sets `parameter`; empty if it has none.
std::string_view argument_name(LayerKind kind, Parameter parameter);
inline bool has_argument(LayerKind kind, Parameter parameter) {
  return !argument_name(kind, parameter).empty();
}

// Where a spec keeps its initializers, regularizers and constraints.
struct ObjectMember {
  Parameter parameter;
  ObjectRole role;
  Initializer LayerSpec::*initializer = nullptr;              // of role kInitializer
  std::optional<KerasObject> LayerSpec::*optional = nullptr;  // of the others
};
inline constexpr ObjectMember kObjectMembers[] = {
    {Parameter::kKernelInitializer, ObjectRole::kInitializer, &LayerSpec::kernel_initializer},
    {Parameter::kPointwiseInitializer, ObjectRole::kInitializer, &LayerSpec::pointwise_initializer},
    {Parameter::kBiasInitializer, ObjectRole::kInitializer, &LayerSpec::bias_initializer},
    {Parameter::kKernelRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::kernel_regularizer},
    {Parameter::kPointwiseRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::pointwise_regularizer},
    {Parameter::kBiasRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::bias_regularizer},
    {Parameter::kActivityRegularizer, ObjectRole::kRegularizer, nullptr, &LayerSpec::activity_regularizer},
    {Parameter::kKernelConstraint, ObjectRole::kConstraint, nullptr, &LayerSpec::kernel_constraint},
    {Parameter::kPointwiseConstraint, ObjectRole::kConstraint, nullptr, &LayerSpec::pointwise_constraint},
    {Parameter::kBiasConstraint, ObjectRole::kConstraint, nullptr, &LayerSpec::bias_constraint},
};

// The object of a spec, or null.
inline const KerasObject* object_of(const LayerSpec& spec, const ObjectMember& member) {
  if (member.initializer != nullptr) return &(spec.*member.initializer);
  const std::optional<KerasObject>& object = spec.*member.optional;
  return object ? &*object : nullptr;
}

}  // namespace convsmith
