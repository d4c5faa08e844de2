#include "runtime/objects/constraints.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "frontend/keras/keras_objects.hpp"

namespace convsmith {
namespace {

constexpr double kEpsilon = 1e-7;

Result<std::vector<bool>> find_reduced_axes(const std::vector<int64_t>& axes, std::string_view argument,
                                            const Tensor& weight) {
  const auto rank = static_cast<int64_t>(weight.shape.size());
  std::vector<bool> reduced(weight.shape.size());
  for (const int64_t axis : axes) {
    if (axis < -rank || axis >= rank) {
      return make_error(ErrorCode::kInvalidSpec,
                        fmt::format("`{}`: axis {} is not an axis of a weight of shape ({}).", argument, axis,
                                    fmt::join(weight.shape, ", ")));
    }
    reduced[static_cast<size_t>(axis < 0 ? axis + rank : axis)] = true;
  }
  return reduced;
}

// For each element the index of its norm: the position along the axes that are not reduced.
std::vector<size_t> index_norms(const Tensor& weight, const std::vector<bool>& reduced) {
  std::vector<size_t> index(weight.data.size());
  size_t inner = 1;  // elements per step along the axis
  size_t norms = 1;
  for (size_t axis = weight.shape.size(); axis-- > 0;) {
    const auto size = static_cast<size_t>(weight.shape[axis]);
    for (size_t i = 0; i < index.size() && !reduced[axis]; ++i) index[i] += i / inner % size * norms;
    inner *= size;
    if (!reduced[axis]) norms *= size;
  }
  return index;
}

// What an element is multiplied with.
double factor_of(const KerasObject& constraint, double norm) {
  double wanted = 1.0;
  if (constraint.class_name == "MaxNorm") {
    wanted = std::min(norm, number_param(constraint, "max_value"));
  } else if (constraint.class_name == "MinMaxNorm") {
    const double rate = number_param(constraint, "rate");
    const double low = number_param(constraint, "min_value");
    const double high = number_param(constraint, "max_value");
    wanted = rate * std::min(std::max(norm, low), high) + (1.0 - rate) * norm;
  }
  return wanted / (kEpsilon + norm);
}

}  // namespace

Result<void> apply_constraint(const Constraint& given, std::string_view argument, Tensor& weight) {
  const Result<KerasObject> full = complete_keras_object(given, ObjectRole::kConstraint, argument);
  if (!full) return tl::unexpected(full.error());
  if (full->class_name == "NonNeg") {
    for (float& x : weight.data) x = x >= 0.0F ? x : 0.0F * x;
    return {};
  }
  if (full->class_name == "RadialConstraint") {
    return make_error(ErrorCode::kUnsupported,
                      fmt::format("`{}`: RadialConstraint is for kernels of 4 axes, got one of {}.", argument,
                                  weight.shape.size()));
  }
  const Result<std::vector<bool>> reduced = find_reduced_axes(axes_param(*full, "axis"), argument, weight);
  if (!reduced) return tl::unexpected(reduced.error());
  const std::vector<size_t> index = index_norms(weight, *reduced);
  std::vector<double> norms(weight.data.size());
  for (size_t i = 0; i < index.size(); ++i) {
    norms[index[i]] += static_cast<double>(weight.data[i]) * static_cast<double>(weight.data[i]);
  }
  for (double& norm : norms) norm = std::sqrt(norm);
  for (size_t i = 0; i < index.size(); ++i) {
    weight.data[i] = static_cast<float>(weight.data[i] * factor_of(*full, norms[index[i]]));
  }
  return {};
}

}  // namespace convsmith
