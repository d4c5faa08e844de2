// What stands behind a layers::Layer. Shared by the files of the layer objects and nobody else.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "convsmith/layers.hpp"
#include "frontend/model_spec.hpp"
#include "runtime/objects/run_layer.hpp"

namespace convsmith::layers {

// Invariants: built means that weights fit op for inputs of built_shape's channels; the spec has the layer's
// name.
struct Layer::State {
  std::string class_name;
  std::string name;
  bool is_named = false;       // by the caller
  std::optional<Error> error;  // of the arguments; every operation returns it
  LayerOp op = IdentityOp{};
  Shape input_shape = {};                    // without batch, as given; empty: not given
  std::optional<int64_t> batch_size = {};    // as given
  KerasObject arguments = {};                // of layers that are no LayerSpec, for their config
  RegularizerFunction kernel_function = {};  // depthwise where there are two kernels
  RegularizerFunction pointwise_function = {};
  RegularizerFunction bias_function = {};
  RegularizerFunction activity_function = {};

  bool built = false;
  Shape built_shape = {};  // with batch
  std::vector<Tensor> weights = {};
  std::optional<double> activity_loss = {};
  LayerRunner runner = {};

  const LayerSpec* spec() const { return std::get_if<LayerSpec>(&op); }
  bool has_functions() const {
    return kernel_function || pointwise_function || bias_function || activity_function;
  }
  bool has_activity_regularizer() const {
    return activity_function || (spec() != nullptr && spec()->activity_regularizer);
  }

  void set_name(std::string new_name) {
    if (auto* own = std::get_if<LayerSpec>(&op)) own->name = new_name;
    name = std::move(new_name);
  }
};

// A layer of the family, from a spec that has been checked.
std::shared_ptr<Layer::State> make_family_state(LayerSpec spec);

// A layer without arguments of the family's; `arguments` is its class and what its config says.
std::shared_ptr<Layer::State> make_simple_state(KerasObject arguments, LayerOp op, std::string name);

// Tensors come from the caller, who may have broken their invariant.
Result<void> check_tensor(const Tensor& tensor);

}  // namespace convsmith::layers
