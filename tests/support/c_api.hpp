// What tests of the C functions have in common.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cstdint>
#include <memory>
#include <vector>

#include "convsmith/convsmith.h"

namespace convsmith::test {

inline constexpr const char* kLayer = "Conv1D(3, 2, input_shape=(None, 2))";

// All defaults.
template <class Struct>
Struct sized(size_t size = sizeof(Struct)) {
  Struct out{};
  out.struct_size = size;
  return out;
}

struct Destroy {
  void operator()(convsmith_model* model) const { convsmith_model_destroy(model); }
  void operator()(convsmith_weights* weights) const { convsmith_weights_destroy(weights); }
  void operator()(convsmith_thread_pool* pool) const { convsmith_thread_pool_destroy(pool); }
};
using OwnModel = std::unique_ptr<convsmith_model, Destroy>;
using OwnWeights = std::unique_ptr<convsmith_weights, Destroy>;
using OwnPool = std::unique_ptr<convsmith_thread_pool, Destroy>;

inline std::vector<float> numbers(size_t count, uint32_t seed) {
  std::vector<float> data(count);
  for (float& value : data) {
    seed = seed * 1664525U + 1013904223U;
    value = static_cast<float>(static_cast<int32_t>(seed)) * 0x1p-31F;
  }
  return data;
}

inline std::vector<uint32_t> bits(const std::vector<float>& data) {
  std::vector<uint32_t> out;
  for (const float value : data) out.push_back(std::bit_cast<uint32_t>(value));
  return out;
}

inline OwnModel compile_c(const char* text, const convsmith_compile_options* options = nullptr) {
  convsmith_model* model = nullptr;
  EXPECT_EQ(convsmith_compile(text, options, &model), CONVSMITH_OK) << convsmith_last_error();
  return OwnModel(model);
}

inline std::vector<std::vector<float>> weight_arrays(const convsmith_model* model) {
  auto info = sized<convsmith_info>();
  EXPECT_EQ(convsmith_get_info(model, &info), CONVSMITH_OK);
  std::vector<std::vector<float>> arrays;
  for (size_t i = 0; i < static_cast<size_t>(info.weights); ++i) {
    size_t floats = 1;
    for (int32_t axis = 0; axis < convsmith_weight_rank(model, i); ++axis)
      floats *= static_cast<size_t>(convsmith_weight_dims(model, i)[axis]);
    arrays.push_back(numbers(floats, static_cast<uint32_t>(i) + 17));
  }
  return arrays;
}

inline OwnWeights pack_c(const convsmith_model* model, const std::vector<std::vector<float>>& arrays) {
  std::vector<const float*> pointers;
  std::vector<size_t> sizes;
  for (const auto& array : arrays) {
    pointers.push_back(array.data());
    sizes.push_back(array.size());
  }
  convsmith_weights* weights = nullptr;
  EXPECT_EQ(convsmith_pack(model, pointers.data(), sizes.data(), sizes.size(), &weights), CONVSMITH_OK)
      << convsmith_last_error();
  return OwnWeights(weights);
}

inline void run_in_reverse(void* calls, void (*task)(void*, size_t), void* context, size_t count) {
  ++*static_cast<int*>(calls);
  while (count > 0) task(context, --count);
}

}  // namespace convsmith::test
