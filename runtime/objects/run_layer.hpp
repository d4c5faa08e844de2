// One layer of the family on one tensor: compiles at the first call, packs when the weights have changed.
// Used by the layer objects.
#pragma once

#include <optional>
#include <vector>

#include "convsmith/convsmith.hpp"
#include "convsmith/tensor.hpp"

namespace convsmith {

class LayerRunner {
 public:
  // `output_shape` is the layer's for this input; weights are in Keras's order and have been checked.
  Result<Tensor> run(const LayerSpec& spec, const std::vector<Tensor>& weights, const Tensor& input,
                     std::vector<int64_t> output_shape, Denormals denormals);
  // Weights have changed.
  void forget_weights() { packed_.reset(); }

 private:
  std::optional<CompiledLayer> compiled_;
  std::optional<PackedWeights> packed_;
};

}  // namespace convsmith
