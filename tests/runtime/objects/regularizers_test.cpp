// Regularizers and constraints give real Keras's numbers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "frontend/keras/keras_objects.hpp"
#include "runtime/objects/constraints.hpp"
#include "runtime/objects/regularizers.hpp"
#include "tests/runtime/keras_object_json.hpp"

namespace convsmith {
namespace {

using golden::Json;

// "pointwise_regularizer" is on the tensor pointwise_kernel; kernel_regularizer of a depthwise layer, too, is
// found under the only name there is.
std::string regularized_tensor(const std::string& argument) {
  const std::string role = argument.substr(0, argument.rfind("_regularizer"));
  if (role == "activity") return "output";
  return role == "depthwise" || role == "pointwise" ? role + "_kernel" : role;
}

TEST(Regularizers, LossesAreKeras) {
  const golden::Arrays<float> arrays("regularizers.f32");
  int cases = 0;
  for (const Json& row : golden::read_lines("regularizers.jsonl")) {
    SCOPED_TRACE(row["id"].get<std::string>() + " " + row["regularizer"].dump());
    std::vector<double> losses;
    for (const Json& on : row["on"]) {
      const auto argument = on.get<std::string>();
      const Json& object = row["layer"]["config"][argument];
      if (object.is_null()) continue;
      const std::string name = regularized_tensor(argument);
      const Json& where = row["tensors"];
      const Tensor tensor = golden::to_tensor(arrays, where.contains(name) ? where[name] : where["kernel"]);
      const Result<double> loss = regularization_loss(golden::to_object(object), argument, tensor);
      ASSERT_TRUE(loss.has_value()) << loss.error().message;
      losses.push_back(name == "output" ? *loss / static_cast<double>(tensor.shape[0]) : *loss);
    }
    auto wanted = row["losses"].get<std::vector<double>>();
    std::sort(losses.begin(), losses.end());
    std::sort(wanted.begin(), wanted.end());
    ASSERT_EQ(losses.size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(losses[i], wanted[i], 2e-6 * std::fabs(wanted[i]) + 1e-9);
    }
    ++cases;
  }
  EXPECT_EQ(cases, 161);
}

TEST(Constraints, WeightsAreKeras) {
  const golden::Arrays<float> arrays("constraints.f32");
  int cases = 0;
  for (const Json& row : golden::read_lines("constraints.jsonl")) {
    SCOPED_TRACE(row["id"].get<std::string>() + row["constraint"].dump());
    Tensor weight = golden::to_tensor(arrays, row["tensors"]["input"]);
    const Tensor wanted = golden::to_tensor(arrays, row["tensors"]["output"]);
    const Constraint constraint = golden::to_object(row["constraint"]);
    if (const Result<void> done = apply_constraint(constraint, "kernel_constraint", weight); !done) {
      FAIL() << done.error().message;
    }
    ASSERT_EQ(weight.shape, wanted.shape);
    for (size_t i = 0; i < wanted.data.size(); ++i) {
      ASSERT_NEAR(weight.data[i], wanted.data[i], 1e-6 * std::fabs(wanted.data[i]) + 1e-12) << i;
    }
    ++cases;
  }
  EXPECT_EQ(cases, 167);
}

TEST(Constraints, Mistakes) {
  Tensor weight{{2, 3}, {1, 2, 3, 4, 5, 6}};
  auto message = [&](const Constraint& constraint) {
    const Result<void> done = apply_constraint(constraint, "bias_constraint", weight);
    return done ? std::string() : done.error().message;
  };
  EXPECT_EQ(message({"UnitNorm", {{"axis", std::vector<int64_t>{2}}}}),
            "`bias_constraint`: axis 2 is not an axis of a weight of shape (2, 3).");
  EXPECT_EQ(message({"RadialConstraint"}),
            "`bias_constraint`: RadialConstraint is for kernels of 4 axes, got one of 2.");
  EXPECT_EQ(message({"MaxNorm", {{"max_value", std::string("2")}}}),
            "`bias_constraint`: max_value of MaxNorm cannot be '2'.");
  EXPECT_EQ(message({"NoSuch"}), "`bias_constraint`: unknown constraint 'NoSuch'.");
  EXPECT_EQ(weight.data, (std::vector<float>{1, 2, 3, 4, 5, 6}));
}

TEST(Regularizers, Mistakes) {
  const Tensor kernel{{1, 1, 1}, {1}};
  const Result<double> loss = regularization_loss({"OrthogonalRegularizer"}, "kernel_regularizer", kernel);
  ASSERT_FALSE(loss.has_value());
  EXPECT_EQ(loss.error().message,
            "`kernel_regularizer`: OrthogonalRegularizer is for tensors of 2 axes, got one of 3.");
  EXPECT_FALSE(regularization_loss({"L1", {{"l2", 0.1}}}, "kernel_regularizer", kernel).has_value());
}

}  // namespace
}  // namespace convsmith
