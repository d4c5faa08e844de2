// Runs whole models on arrays, compares the outputs with others, and the bits of all back ends with each
// other.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "convsmith/model.hpp"
#include "tests/support/golden_arrays.hpp"
#include "tests/support/run_everywhere.hpp"

namespace convsmith::test::model_runs {

struct Arrays {
  std::vector<std::vector<int64_t>> shapes;
  std::vector<std::vector<float>> data;
};

inline std::vector<int64_t> steps_of(const Arrays& inputs) {
  std::vector<int64_t> steps;
  for (const std::vector<int64_t>& shape : inputs.shapes)
    steps.push_back(shape.size() >= 3 ? shape[1] : 1);
  return steps;
}

// Every output of one call. Workspace and outputs begin with garbage.
inline Arrays run(const CompiledModel& model, const Arrays& inputs, bool own_workspace,
                  const ParallelFor& parallel = {}) {
  const int64_t batch = inputs.shapes[0][0];
  const std::vector<int64_t> steps = steps_of(inputs);
  Arrays out;
  out.shapes = model.output_shapes(batch, steps);
  std::vector<const float*> in_pointers;
  std::vector<float*> out_pointers;
  for (const std::vector<float>& array : inputs.data) in_pointers.push_back(array.data());
  for (const std::vector<int64_t>& shape : out.shapes) {
    int64_t size = 1;
    for (const int64_t axis : shape) size *= axis;
    out.data.emplace_back(static_cast<size_t>(size), -7.0F);
  }
  for (std::vector<float>& array : out.data) out_pointers.push_back(array.data());
  const int threads = std::max(parallel.threads, 1);
  std::vector<double> workspace(model.workspace_bytes(batch, steps, threads) / sizeof(double) + 1, NAN);
  const RunStatus status =
      model.run(in_pointers, out_pointers, batch, steps,
                {.workspace = own_workspace ? workspace.data() : nullptr, .parallel = parallel});
  EXPECT_EQ(status, RunStatus::kOk) << describe(status);
  return out;
}

inline Result<CompiledModel> compile_at(const Model& model, const Place& place) {
  return compile(model, {.backend = place.backend, .isa = place.isa});
}

inline void expect_close(const Arrays& actual, const Arrays& expected, double share) {
  ASSERT_EQ(actual.shapes, expected.shapes);
  for (size_t i = 0; i < expected.data.size(); ++i) {
    double largest = 0;
    double range = 0;
    for (size_t j = 0; j < expected.data[i].size(); ++j) {
      const double difference = std::abs(double{actual.data[i][j]} - double{expected.data[i][j]});
      ASSERT_FALSE(std::isnan(difference)) << "output " << i << "[" << j << "]";
      largest = std::max(largest, difference);
      range = std::max(range, std::abs(double{expected.data[i][j]}));
    }
    EXPECT_LE(largest, share * range) << "output " << i;
  }
}

inline void run_in_reverse(void*, void (*task)(void*, size_t), void* context, size_t count) {
  while (count > 0) task(context, --count);
}

// The interpreter's bits are those of all back ends, with memory of either kind and several threads.
inline void expect_equal_bits(const Model& model, const std::vector<Arrays>& calls,
                              const std::vector<Arrays>& expected) {
  for (const Place& place : machine_code_places()) {
    SCOPED_TRACE(name_of(place));
    const auto compiled = compile_at(model, place);
    ASSERT_TRUE(compiled) << compiled.error().message;
    EXPECT_EQ(compiled->backend(), place.backend);
    for (size_t call = 0; call < calls.size(); ++call) {
      for (const int threads : {1, 2, 3}) {
        const Arrays actual = run(*compiled, calls[call], threads != 2, {run_in_reverse, nullptr, threads});
        for (size_t i = 0; i < actual.data.size(); ++i) {
          ASSERT_EQ(bits_of(actual.data[i]), bits_of(expected[call].data[i]))
              << "call " << call << ", " << threads << " threads, output " << i;
        }
      }
    }
  }
}

inline Arrays arrays_of(const golden::Json& call, const golden::Arrays<float>& blob, const char* role) {
  Arrays arrays;
  const auto add = [&](const std::string& name) {
    const golden::Json& tensor = call["tensors"][name];
    const std::span<const float> data = blob.get(tensor);
    arrays.shapes.push_back(tensor["shape"].get<std::vector<int64_t>>());
    arrays.data.emplace_back(data.begin(), data.end());
  };
  if (call["tensors"].contains(role)) add(role);
  for (int i = 0; call["tensors"].contains(role + std::to_string(i)); ++i) add(role + std::to_string(i));
  return arrays;
}

}  // namespace convsmith::test::model_runs
