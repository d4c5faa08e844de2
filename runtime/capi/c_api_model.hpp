// What stands behind the opaque types of convsmith.h: one interface over compiled layers, models and
// artifacts. Used by runtime/capi/c_api*.cpp only. Numbers of steps and batches have been checked before any
// of its functions is called, pointers to them are not null.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "convsmith/convsmith.h"
#include "convsmith/convsmith.hpp"

struct convsmith_weights {
  convsmith::PackedWeights layer;        // of a layer
  std::shared_ptr<const void> artifact;  // of an artifact: the packed memory,
  const void* packed_for = nullptr;      // and the address of its run function
};

struct convsmith_thread_pool {
  convsmith::ThreadPool pool;
  convsmith_parallel_for parallel;
};

// What a call hands on to a model. Null pointers among inputs and outputs are the model's to refuse.
struct convsmith_call {
  const convsmith_weights* weights;
  std::span<const float* const> inputs;
  std::span<float* const> outputs;
  int64_t batch;
  std::span<const int64_t> steps;
  void* workspace = nullptr;
  const convsmith_parallel_for* parallel = nullptr;  // one thread
  convsmith::Denormals denormals = convsmith::Denormals::kKeep;
};

struct convsmith_model {
  virtual ~convsmith_model() = default;

  virtual convsmith::Result<convsmith_weights> pack(std::span<const std::span<const float>> arrays) const = 0;
  virtual convsmith_status run(const convsmith_call& call) const noexcept = 0;
  virtual int64_t output_steps(std::span<const int64_t> steps, size_t output) const = 0;
  // Of one sample.
  virtual std::vector<int64_t> input_shape(size_t input, std::span<const int64_t> steps) const = 0;
  virtual std::vector<int64_t> output_shape(size_t output, std::span<const int64_t> steps) const = 0;
  virtual int64_t workspace_bytes(int64_t batch, std::span<const int64_t> steps, int64_t threads) const = 0;

  convsmith_info info{};
  std::string text;
  std::vector<std::string> input_names;
  std::vector<std::string> output_names;
  std::vector<convsmith::WeightShape> weights;

 protected:
  convsmith_model() = default;
  convsmith_model(const convsmith_model&) = delete;
  convsmith_model& operator=(const convsmith_model&) = delete;
};

namespace convsmith::c_api {

// An artifact; see convsmith_load_artifact.
Result<std::unique_ptr<convsmith_model>> load_artifact(const std::string& path, const std::string& name);

}  // namespace convsmith::c_api
