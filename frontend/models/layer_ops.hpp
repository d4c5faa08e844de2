// One layer of a model file: its class and config become a LayerOp, and what weights it must have. The
// convolution family is bound by bind_layer; this is everything around it. Called by architecture (names),
// build_spec (ops) and weights.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "convsmith/error.hpp"
#include "frontend/keras/bind_context.hpp"
#include "frontend/keras/value.hpp"
#include "frontend/model_spec.hpp"
#include "frontend/models/fields.hpp"

namespace convsmith::models {

// The name of a class behind an alias ("MaxPool1D") or a spelling of Keras 1 ("Convolution1D").
std::string_view canonical_class(std::string_view name);

// "Conv1DTranspose" -> "conv1d_transpose", as Keras does it.
std::string snake_case(std::string_view class_name);

// Whether bind_op knows the class.
bool is_known_class(std::string_view class_name);

// The op of a layer of a known class. Messages don't say which layer it is.
Result<LayerOp> bind_op(const BindContext& context, std::string_view class_name, const Value& config);

// Softmax along one axis or over several: the layer, and the operator of that name.
Result<LayerOp> bind_softmax(const Fields& fields);

// What is known about a weight before the channels are.
struct ExpectedWeight {
  std::string name;
  std::vector<std::optional<int64_t>> shape;
  bool trainable = true;
  bool any_rank = false;
  bool unread = false;  // in the file, but of no use; behind all others
};
std::vector<ExpectedWeight> expected_weights(const LayerOp& op);

}  // namespace convsmith::models
