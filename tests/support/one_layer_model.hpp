// A Sequential model of one layer from the layer's own config, as a file of its generation would hold it.
#pragma once

#include <memory>
#include <string>

#include "convsmith/model.hpp"
#include "frontend/model_spec.hpp"
#include "frontend/models/load_model.hpp"
#include "tests/frontend/golden.hpp"

namespace convsmith::test {

// `input_shape` has a batch axis; `layer` has class_name and config. Weights are empty.
inline Result<LoadedModel> one_layer_model(golden::Json layer, const golden::Json& input_shape, bool keras3,
                                           Rules rules = Rules::kCommon) {
  golden::Json batch_shape = input_shape;
  batch_shape[0] = nullptr;
  golden::Json input = {{"class_name", "InputLayer"}, {"config", {{"name", "input"}, {"dtype", "float32"}}}};
  input["config"][keras3 ? "batch_shape" : "batch_input_shape"] = batch_shape;
  golden::Json model = {{"class_name", "Sequential"},
                        {"config", {{"name", "model"}, {"layers", {input, layer}}}},
                        {"keras_version", keras3 ? "3.15.1" : "2.15.0"}};
  if (keras3) model["module"] = "keras";
  return parse_model_json(model.dump(), rules);
}

}  // namespace convsmith::test
