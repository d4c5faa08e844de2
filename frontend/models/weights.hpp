// The weights of a model's layers from an HDF5 file of either layout: by the path of the layer's class
// (*.weights.h5, and inside .keras), or by names that groups list (.h5 of Keras 1, 2 and Keras 3's legacy
// writer). Numbers of weights, their ranks and the sizes that the layers' arguments say are checked here.
// Called by load_model.
#pragma once

#include <string>
#include <vector>

#include "convsmith/error.hpp"
#include "frontend/model_spec.hpp"
#include "frontend/models/architecture.hpp"
#include "frontend/models/h5_tree.hpp"

namespace convsmith::models {

// Fills in the weights of all layers of `spec`, which build_spec made of `architecture`.
Result<void> read_weights(const Architecture& architecture, H5Node root, ModelSpec& spec,
                          std::vector<std::string>& notes);

}  // namespace convsmith::models
