// The JSON of a Keras model as a tree of its own: layers by name and which layer's output each call reads.
// What the layers are stays JSON here. Both generations' forms, Sequential and Functional, become one.
// Called by build_spec; the weights' readers walk the same tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "convsmith/layer_spec.hpp"
#include "frontend/keras/value.hpp"

namespace convsmith::models {

struct ModelTree;

// Output number `tensor` of call number `call` of layer number `layer` of the same model.
struct TensorRef {
  int layer = 0;
  int call = 0;
  int tensor = 0;
};

struct LayerEntry {
  std::string name;        // in its own model
  std::string class_name;  // Keras's, without "Keras 1" spellings
  bool trainable = true;
  const Value* config = nullptr;     // of the JSON, which must outlive the tree
  const Value* nodes = nullptr;      // its calls there, null in a Sequential model
  std::unique_ptr<ModelTree> model;  // of a nested model
  std::vector<std::vector<TensorRef>> calls;
  // Of an operator of keras.ops, by call: its arguments, null where tensors stand.
  bool is_operator = false;
  std::vector<std::vector<const Value*>> arguments;
  int spec_index =
      -1;  // of ModelSpec::layers; none for nested models and their inputs; of an operator its first call
};

// Invariant: every TensorRef is in range.
struct ModelTree {
  std::string name;
  std::string class_name;
  bool trainable = true;
  std::vector<LayerEntry> layers;
  std::vector<TensorRef> inputs;  // calls of InputLayers
  std::vector<TensorRef> outputs;
  // By input and output: the key in a dictionary, else the layer's name.
  std::vector<std::string> input_names;
  std::vector<std::string> output_names;
};

struct Architecture {
  Value json;
  Dialect dialect = Dialect::kKeras3;
  std::string keras_version;  // empty: not given
  ModelTree model;
  std::vector<std::string> notes;  // whole sentences
};

// Whether a JSON object is a model rather than a layer: by its config, or by its class where that says
// enough.
bool is_model(const Value& object);

// `keras_version` is what the file around the text says; the text's own wins.
Result<std::unique_ptr<Architecture>> read_architecture(std::string_view text,
                                                        std::string_view keras_version);

}  // namespace convsmith::models
