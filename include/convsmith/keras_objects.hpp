// Keras's initializers, regularizers and constraints as values, under Keras's names and with its defaults:
//   Initializer initializer = initializers::he_normal(7);
//   Regularizer regularizer = regularizers::L1L2(1e-5, 1e-4);
//   Constraint constraint = constraints::max_norm(2.0, {0, 1});
// Functions in snake case are Keras's functions, those in camel case its classes; only l1_l2 and L1L2 differ
// (in their defaults). A name as a string ("he_normal") is accepted wherever one of these is.
#pragma once

#include "convsmith/language.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convsmith/layer_spec.hpp"

namespace convsmith {

using Seed = std::optional<int64_t>;

namespace initializers {

inline Initializer with_seed(Initializer object, Seed seed) {
  if (seed) object.params.emplace_back("seed", *seed);
  return object;
}

inline Initializer zeros() {
  return {"Zeros"};
}
inline Initializer ones() {
  return {"Ones"};
}
inline Initializer constant(double value) {
  return {"Constant", {{"value", value}}};
}
inline Initializer random_uniform(double minval = -0.05, double maxval = 0.05, Seed seed = {}) {
  return with_seed({"RandomUniform", {{"minval", minval}, {"maxval", maxval}}}, seed);
}
inline Initializer random_normal(double mean = 0.0, double stddev = 0.05, Seed seed = {}) {
  return with_seed({"RandomNormal", {{"mean", mean}, {"stddev", stddev}}}, seed);
}
inline Initializer truncated_normal(double mean = 0.0, double stddev = 0.05, Seed seed = {}) {
  return with_seed({"TruncatedNormal", {{"mean", mean}, {"stddev", stddev}}}, seed);
}
inline Initializer variance_scaling(double scale = 1.0, std::string mode = "fan_in",
                                    std::string distribution = "truncated_normal", Seed seed = {}) {
  return with_seed({"VarianceScaling",
                    {{"scale", scale}, {"mode", std::move(mode)}, {"distribution", std::move(distribution)}}},
                   seed);
}
inline Initializer glorot_uniform(Seed seed = {}) {
  return with_seed({"GlorotUniform"}, seed);
}
inline Initializer glorot_normal(Seed seed = {}) {
  return with_seed({"GlorotNormal"}, seed);
}
inline Initializer he_uniform(Seed seed = {}) {
  return with_seed({"HeUniform"}, seed);
}
inline Initializer he_normal(Seed seed = {}) {
  return with_seed({"HeNormal"}, seed);
}
inline Initializer lecun_uniform(Seed seed = {}) {
  return with_seed({"LecunUniform"}, seed);
}
inline Initializer lecun_normal(Seed seed = {}) {
  return with_seed({"LecunNormal"}, seed);
}
inline Initializer orthogonal(double gain = 1.0, Seed seed = {}) {
  return with_seed({"Orthogonal", {{"gain", gain}}}, seed);
}
inline Initializer identity(double gain = 1.0) {
  return {"Identity", {{"gain", gain}}};
}

}  // namespace initializers

namespace regularizers {

inline Regularizer L1(double l1 = 0.01) {
  return {"L1", {{"l1", l1}}};
}
inline Regularizer L2(double l2 = 0.01) {
  return {"L2", {{"l2", l2}}};
}
inline Regularizer L1L2(double l1 = 0.0, double l2 = 0.0) {
  return {"L1L2", {{"l1", l1}, {"l2", l2}}};
}
inline Regularizer OrthogonalRegularizer(double factor = 0.01, std::string mode = "rows") {
  return {"OrthogonalRegularizer", {{"factor", factor}, {"mode", std::move(mode)}}};
}
inline Regularizer l1(double l1 = 0.01) {
  return L1(l1);
}
inline Regularizer l2(double l2 = 0.01) {
  return L2(l2);
}
inline Regularizer l1_l2(double l1 = 0.01, double l2 = 0.01) {
  return L1L2(l1, l2);
}
inline Regularizer orthogonal_regularizer(double factor = 0.01, std::string mode = "rows") {
  return OrthogonalRegularizer(factor, std::move(mode));
}

}  // namespace regularizers

namespace constraints {

using Axes = std::vector<int64_t>;

inline Constraint max_norm(double max_value = 2.0, Axes axis = {0}) {
  return {"MaxNorm", {{"max_value", max_value}, {"axis", std::move(axis)}}};
}
inline Constraint min_max_norm(double min_value = 0.0, double max_value = 1.0, double rate = 1.0,
                               Axes axis = {0}) {
  return {"MinMaxNorm",
          {{"min_value", min_value}, {"max_value", max_value}, {"rate", rate}, {"axis", std::move(axis)}}};
}
inline Constraint non_neg() {
  return {"NonNeg"};
}
inline Constraint unit_norm(Axes axis = {0}) {
  return {"UnitNorm", {{"axis", std::move(axis)}}};
}

}  // namespace constraints

}  // namespace convsmith
